/**
 * The git proxy in workerd as `npm start` runs it, with nothing between it and the network: packs that no memory holds,
 * hosts that send elsewhere, break off or never answer.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { git, PASSWORD, startGitServer, tryGit, USERNAME } from '../lib/git-server.mjs';
import { readProc } from '../lib/programs.mjs';
import { sandboxToken } from './harness.mjs';
import { startRestartable } from './restartable.mjs';

const MIB = 1024 * 1024;
const SIZE = 240 * MIB;
/** The platform pipes: what is pushed passes neither through our memory nor through that of scripts. */
const MOST = 64 * MIB;

let server;
let worker;
let home;
before(async () => {
  server = await startGitServer();
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'errand-git-large-'));
  const hosts = [{ host: 'git.example', url: server.url, username: USERNAME, secret: PASSWORD }];
  worker = await startRestartable({ vars: { GIT_HOSTS: JSON.stringify(hosts) } });
});
after(async () => {
  await worker?.stop();
  await server?.stop();
  fs.rmSync(home, { recursive: true, force: true });
});

/** Bytes of memory of the Worker's largest process, looked at while `work` goes on. */
async function peak(work) {
  const numbers = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const stat = (pid) => readProc(pid, 'stat').match(/\((.*)\) \S \d+ (\d+) /) ?? [];
  const pids = numbers.filter((pid) => stat(pid)[1] === 'workerd' && Number(stat(pid)[2]) === worker.pid());
  assert.ok(pids.length > 0, 'no workerd');
  const rss = () => Math.max(...pids.map((pid) => Number(readProc(pid, 'status').match(/VmRSS:\s+(\d+)/)?.[1] ?? 0) * 1024));
  const before = rss();
  let most = before;
  const timer = setInterval(() => (most = Math.max(most, rss())), 20);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return most - before;
}

const REFS = '/git/git.example/team/app.git/info/refs?service=git-upload-pack';

/** A session on the repository: `{session, token}`. */
async function sandbox() {
  const me = await worker.signIn();
  const org = (await (await me.api('/api/auth/me')).json()).org.id;
  const made = await me.api('/api/sessions', { method: 'POST', body: { prompt: 'work', repo: { url: 'https://git.example/team/app' } } });
  const session = (await made.json()).id;
  return { session, token: sandboxToken(session, { claims: { org, aud: ['git'] } }) };
}

/** Asks while the host answers so. */
async function whileItSays(answer) {
  const { token } = await sandbox();
  server.answer = answer;
  try {
    const response = await worker.fetch(REFS, { headers: { authorization: `Bearer ${token}` } });
    return { status: response.status, text: await response.text() };
  } finally {
    server.answer = null;
  }
}

test('a redirect is not followed: it could carry the credential elsewhere', async () => {
  const seen = [];
  for (const location of ['/stolen', `http://localhost:${server.port}/stolen`, 'http://169.254.169.254/']) {
    const { status, text } = await whileItSays((request, response) => {
      seen.push(request.url);
      response.writeHead(301, { location }).end();
    });
    assert.equal(status, 503);
    assert.match(text, /is somewhere else now/);
    assert.ok(!text.includes('stolen'));
  }
  assert.ok(seen.every((url) => url.startsWith('/team/app.git/')), seen.join());
});

test('a host that never answers is given up, one that breaks off is told', async () => {
  const broken = await whileItSays((_, response) => response.destroy());
  assert.equal(broken.status, 503);
  const silent = await whileItSays(() => {});
  assert.equal(silent.status, 503);
  assert.match(silent.text, /does not answer/);
});

test('a large pack is pushed and cloned without being held', async (t) => {
  server.repository('team/app');
  const { session, token } = await sandbox();
  const as = ['-c', `http.extraHeader=Authorization: Bearer ${token}`, '-c', 'core.compression=0', '-c', 'pack.compression=0'];
  const url = `${worker.url}/git/git.example/team/app.git`;
  const run = async (cwd, ...args) => {
    const { code, output } = await tryGit(cwd, [...as, ...args]);
    assert.equal(code, 0, output);
  };
  const [one, two] = [path.join(home, 'one'), path.join(home, 'two')];
  await run(home, 'clone', '-q', url, one);
  const content = crypto.randomBytes(SIZE);
  fs.writeFileSync(path.join(one, 'large.bin'), content);
  await run(one, 'add', '-A');
  await run(one, 'commit', '-q', '-m', 'Large');
  const branch = `errand/${session}`;
  const pushing = await peak(() => run(one, 'push', '-q', 'origin', `HEAD:${branch}`));
  assert.equal(git(path.join(server.root, 'team/app.git'), 'rev-parse', branch), git(one, 'rev-parse', 'HEAD'));
  const cloning = await peak(() => run(home, 'clone', '-q', '--branch', branch, url, two));
  assert.ok(fs.readFileSync(path.join(two, 'large.bin')).equals(content));
  t.diagnostic(`workerd grew by ${(pushing / MIB).toFixed(0)} MB while ${SIZE / MIB} MB were pushed, by ${(cloning / MIB).toFixed(0)} MB while they were cloned`);
  for (const [what, grown] of [['pushing', pushing], ['cloning', cloning]]) assert.ok(grown < MOST, `${what}: ${grown / MIB} MB`);
});
