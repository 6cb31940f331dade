/** The sandbox holds no secrets, and what it must not see it cannot see. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { PROVIDER_KEY, startSystem } from '../lib/system.mjs';
import { readProc } from '../lib/programs.mjs';

const JWT = /eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}/;

describe('a sandbox', () => {
  let system;
  let session;
  let isolation;

  before(async () => {
    // Something of the host's own environment that must not get in.
    process.env.ERRAND_E2E_HOST_SECRET = 'do-not-leak-this';
    // The agent may look everywhere it can: what it sees is the question here.
    system = await startSystem({ permissions: { external_directory: 'allow' } });
    const { isolation: kind } = await (await fetch(`${system.url}/api/config`)).json();
    isolation = kind;
    session = await (await system.signIn()).create({ repo: { url: system.sample } });
  });
  after(() => system?.stop());

  async function shell(cmd) {
    const turn = await session.run(`[[bash:{"cmd":${JSON.stringify(cmd)}}]]`);
    const [bash] = turn.tools('bash');
    return bash.output ?? bash.error;
  }

  /** Everything that must not be where code of the sandbox, or a reader of the log, can see it. */
  function assertNothingSecret(text, where) {
    const { masterKey, hostSecret } = system.context;
    const secrets = { masterKey, hostSecret, PROVIDER_KEY, person: session.user.token, host: 'do-not-leak-this' };
    for (const [name, secret] of Object.entries(secrets)) assert.ok(!text.includes(secret), `${name} in ${where}`);
    assert.doesNotMatch(text, JWT, `a token in ${where}`);
  }

  test('gives the agent an environment without tokens, keys and anything of the host', async () => {
    const env = await shell('env');
    assert.match(env, /^PATH=/m);
    assertNothingSecret(env, 'the environment of a command');
    assert.doesNotMatch(env, /^(ERRAND_TOKEN|OPENCODE_AUTH_CONTENT|ERRAND_HOST_SECRET)=/m);
    assert.doesNotMatch(env, /^(SSH_|AWS_|GITHUB_|npm_)/m);
  });

  test('shows no secret in /proc and in the files of the engine and the runner', async () => {
    const seen = await shell("cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'");
    assertNothingSecret(seen, '/proc');
    const places = isolation === 'namespaces' ? '/state /workspace /tmp /home' : '"$HOME" "$TMPDIR" .';
    const found = await shell(`grep -rlaE 'eyJ[A-Za-z0-9_-]{10,}\\.[A-Za-z0-9_-]{10,}\\.|sk-[t]he-key' ${places} 2>/dev/null | grep -v '/opencode.db' ; echo end`);
    assert.equal(found.trim(), 'end');
    for (const { pid } of system.sandboxProcesses(session)) assertNothingSecret(readProc(pid, 'cmdline'), `the command line of ${pid}`);
  });

  test('works all the same: the key is put in by the control plane', async () => {
    const turn = await session.run('[[text:{"words":3}]]');
    assert.equal(turn.end.outcome, 'done');
  });

  test('cannot read the files of the host or of other sessions', async (t) => {
    if (isolation !== 'namespaces') return t.skip(`no namespaces here: ${isolation}`);
    const other = await session.user.create({ prompt: '[[write:{"path":"private.txt","content":"theirs"}]]' });
    await other.firstTurn();
    // A Node that is installed below somebody's home directory is shown at its place, and nothing beside the way to it.
    const tools = path.dirname(process.execPath);
    const way = tools.split('/').slice(1, -1).map((_, depth, parts) => `/${parts.slice(0, depth + 1).join('/')}`);
    const below = way.filter((directory) => /^\/(root|home)(\/|$)/.test(directory));
    const paths = [system.home, path.join(system.sandboxDir(other), 'workspace', 'private.txt'), '/root', '/home', ...below, '/etc/shadow', '/var/log'];
    assert.ok(fs.existsSync(paths[1]));
    const output = await shell(paths.map((file) => `ls -A ${file} 2>/dev/null | head -20`).join('; '));
    // Of the installation's own directory only the way to the bound repository shows, of /home its own.
    const names = output.split('\n').map((line) => line.trim()).filter(Boolean);
    const allowed = ['sample', 'errand', 'ubuntu', 'lib', ...tools.split('/')];
    assert.deepEqual(names.filter((name) => !allowed.includes(name)), []);
    assert.equal((await shell(`cat ${system.home}/secrets.json /etc/shadow /root/.bashrc 2>/dev/null; echo end`)).trim(), 'end');
    const written = await shell(`touch ${system.sample}/intruder /usr/intruder /opt/errand/intruder 2>/dev/null; echo end`);
    assert.equal(written.trim(), 'end');
    assert.equal(fs.existsSync(path.join(system.sample, 'intruder')), false);
    assert.equal(fs.existsSync('/usr/intruder'), false);
    await other.end();
  });

  test('sees only its own processes, and cannot signal others', async (t) => {
    if (isolation !== 'namespaces') return t.skip(`no namespaces here: ${isolation}`);
    const pids = [system.host, system.worker, system.demo].map((program) => program.pid);
    const output = await shell(`ls -d /proc/[0-9]* | wc -l; kill -9 ${pids.join(' ')} 2>/dev/null; true`);
    assert.ok(Number.parseInt(output, 10) < 30, output);
    assert.ok(await system.healthy());
  });

  test('leaves no secret in events, transcripts and logs', async () => {
    assertNothingSecret(JSON.stringify(session.viewer.frames), 'the frames');
    assertNothingSecret(JSON.stringify(await session.transcript()), 'the transcript');
    for (const program of [system.worker, system.host, system.demo]) assertNothingSecret(program.output, `the log of ${program.name}`);
    for (const file of fs.readdirSync(path.dirname(system.sandboxDir(session)), { recursive: true })) {
      if (!file.endsWith('.log')) continue;
      assertNothingSecret(fs.readFileSync(path.join(path.dirname(system.sandboxDir(session)), file), 'utf8'), file);
    }
    assert.equal(fs.statSync(path.join(system.home, 'secrets.json')).mode & 0o077, 0);
  });
});
