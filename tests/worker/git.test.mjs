/** The git proxy: real git against a real server that demands a credential, and whatever else may be asked of it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import zlib from 'node:zlib';

import { git, packets, PASSWORD, startGitServer, tryGit, USERNAME } from '../lib/git-server.mjs';
import { newSessionId, sandboxToken, startWorker, until } from './harness.mjs';

const HOST = 'git.example';
const ZERO = '0'.repeat(40);

let server;
let worker;
let home;
let me;
let org;
let mine;

before(async () => {
  server = await startGitServer();
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'errand-git-work-'));
  const hosts = [
    { host: HOST, url: `${server.url}/`, username: USERNAME, secret: PASSWORD, read: ['shared/*'] },
    { host: 'other.example', url: `${server.url}/other` },
    { host: 'gone.example', url: 'http://127.0.0.1:9' },
  ];
  worker = await startWorker({ vars: { GIT_HOSTS: JSON.stringify(hosts) } });
  me = await worker.signIn();
  org = (await (await me.api('/api/auth/me')).json()).org.id;
  server.repository('team/app');
  server.repository('team/other');
  server.repository('shared/lib');
  mine = await sandbox(`https://${HOST}/team/app`);
});
beforeEach(() => {
  server.requests.length = 0;
  server.answer = null;
});
afterEach(() => {
  assert.ok(!worker.logs().some((entry) => entry.message.includes(PASSWORD)), 'the credential is in the log');
  worker.assertNoPanics();
});
after(async () => {
  await worker?.stop();
  await server?.stop();
  fs.rmSync(home, { recursive: true, force: true });
});

/** A session on this repository, as its sandbox sees it: `{session, token, git, branch}`. */
async function sandbox(url, person = me) {
  const made = await person.api('/api/sessions', { method: 'POST', body: { prompt: 'work', ...(url && { repo: { url } }) } });
  assert.equal(made.status, 201, await made.clone().text());
  const session = (await made.json()).id;
  const own = (await (await person.api('/api/auth/me')).json()).org.id;
  const token = sandboxToken(session, { claims: { org: own, aud: ['git'] } });
  return {
    session,
    token,
    branch: `errand/${session}`,
    git: (cwd, ...args) => tryGit(cwd, ['-c', `http.extraHeader=Authorization: Bearer ${token}`, ...args]),
  };
}

const address = (repository = 'team/app', host = HOST) => `${worker.url}/git/${host}/${repository}.git`;
const directory = () => fs.mkdtempSync(path.join(home, 'w-'));

async function cloned(of = mine) {
  const cwd = directory();
  const { code, output } = await of.git(cwd, 'clone', '-q', address(), '.');
  assert.equal(code, 0, output);
  return cwd;
}

/** A commit in `cwd`; its name. */
function commit(cwd, name = 'new.txt', content = 'new\n') {
  fs.writeFileSync(path.join(cwd, name), content);
  git(cwd, 'add', '-A');
  git(cwd, 'commit', '-q', '-m', `Change ${name}`);
  return git(cwd, 'rev-parse', 'HEAD');
}

const upstream = (...args) => git(path.join(server.root, 'team/app.git'), ...args);
const refs = () => upstream('for-each-ref', '--format=%(refname)');

/** Asks the proxy as git does, with anything bent. */
const ask = (target, { token = mine.token, headers = {}, ...init } = {}) =>
  worker.fetch(target, { ...init, headers: { ...(token && { authorization: `Bearer ${token}` }), ...headers } });
const REFS = `/git/${HOST}/team/app.git/info/refs?service=git-upload-pack`;

async function assertRefused(response, status, words = /./) {
  const text = await response.text();
  assert.equal(response.status, status, text);
  assert.match(response.headers.get('content-type'), /^text\/plain/);
  assert.match(text, /^Errand: .* \(req_[0-9A-Z]{26}\)\n$/);
  assert.match(text, words);
  assert.equal(response.headers.get('www-authenticate'), null);
  assert.ok(!text.includes(PASSWORD) && !text.includes(mine.token) && !text.includes(server.url), text);
}

describe('with real git', () => {
  test('clone and fetch, with protocol v2 and without', async () => {
    for (const version of ['2', '0']) {
      const cwd = directory();
      const { code, output } = await mine.git(cwd, '-c', `protocol.version=${version}`, 'clone', '-q', address(), '.');
      assert.equal(code, 0, output);
      assert.equal(fs.readFileSync(path.join(cwd, 'README.md'), 'utf8'), '# App\n');
    }
    assert.ok(server.requests.some(({ headers }) => headers['git-protocol'] === 'version=2'));
    const cwd = await cloned();
    const head = upstream('rev-parse', 'main');
    const fetched = await mine.git(cwd, 'fetch', '-q', 'origin', 'main');
    assert.equal(fetched.code, 0, fetched.output);
    assert.equal(git(cwd, 'rev-parse', 'FETCH_HEAD'), head);
  });

  test('the host sees the credential and few headers, the sandbox its own token only', async () => {
    const cwd = await cloned();
    for (const { headers } of server.requests) {
      assert.equal(headers.authorization, `Basic ${Buffer.from(`${USERNAME}:${PASSWORD}`).toString('base64')}`);
      assert.ok(!JSON.stringify(headers).includes(mine.token));
      for (const name of ['cookie', 'x-forwarded-for', 'x-errand-actor', 'x-request-id']) assert.equal(headers[name], undefined, name);
    }
    const found = await tryGit(cwd, ['grep', '--no-index', '-I', '-l', '-e', PASSWORD, '-e', mine.token, '--', '.', '.git']);
    assert.equal(found.output, '');
  });

  test('a push of the session\'s branch reaches the host, is shown, and may be repeated, forced and continued', async () => {
    const own = await sandbox(`https://${HOST}/team/app`);
    const cwd = await cloned(own);
    const first = commit(cwd);
    const pushed = await own.git(cwd, 'push', 'origin', `HEAD:${own.branch}`);
    assert.equal(pushed.code, 0, pushed.output);
    assert.equal(upstream('rev-parse', own.branch), first);
    const shown = await until(async () => (await (await me.api(`/api/sessions/${own.session}`)).json()).pushed, 'the push');
    assert.deepEqual(shown, { branch: own.branch, commit: first });
    assert.equal((await own.git(cwd, 'push', 'origin', `HEAD:${own.branch}`)).code, 0, 'nothing new');
    git(cwd, 'commit', '-q', '--amend', '-m', 'Rewritten');
    assert.notEqual((await own.git(cwd, 'push', 'origin', `HEAD:${own.branch}`)).code, 0, 'not forced');
    assert.equal((await own.git(cwd, 'push', '-f', 'origin', `HEAD:${own.branch}`, `HEAD:${own.branch}-more`)).code, 0);
    assert.equal(upstream('rev-parse', `${own.branch}-more`), git(cwd, 'rev-parse', 'HEAD'));
    const { events } = await (await me.api(`/api/sessions/${own.session}/events`)).json();
    const told = events.filter(({ type }) => type === 'git.pushed').map(({ branch }) => branch);
    assert.deepEqual(told, [own.branch, own.branch, `${own.branch}-more`]);
  });

  test('whatever else is pushed is refused, with a reason that git shows', async () => {
    const own = await sandbox(`https://${HOST}/team/app`);
    const cwd = await cloned(own);
    commit(cwd);
    git(cwd, 'tag', 'v1');
    assert.equal((await own.git(cwd, 'push', 'origin', `HEAD:${own.branch}`)).code, 0);
    const before = refs();
    const main = upstream('rev-parse', 'main');
    for (const [args, words] of [
      [['main'], new RegExp(`! \\[remote rejected\\] main -> main \\(Errand: this session pushes only to ${own.branch}\\)`)],
      [['HEAD:feature'], /remote rejected.*feature \(Errand: /],
      [[`HEAD:${mine.branch}`], /remote rejected/],
      [['HEAD:errand/'.concat(own.session.slice(0, -1))], /remote rejected/],
      [[`HEAD:${own.branch}x`], /remote rejected/],
      [['v1'], /no tags/],
      [['--tags'], /no tags/],
      [['--delete', own.branch], /does not delete/],
      [['-f', 'HEAD:main'], /remote rejected/],
      [[`HEAD:${own.branch}-b`, 'HEAD:main'], /another branch of this push was refused/],
      [['--mirror'], /remote rejected/],
    ]) {
      const { code, output } = await own.git(cwd, 'push', 'origin', ...args);
      assert.notEqual(code, 0, args.join(' '));
      assert.match(output, words, args.join(' '));
      assert.match(output, new RegExp(`git push origin HEAD:${own.branch}`), 'what to do instead');
    }
    assert.equal(refs(), before);
    assert.equal(upstream('rev-parse', 'main'), main);
    const reached = server.requests.filter(({ method, url }) => method === 'POST' && url.endsWith('git-receive-pack'));
    assert.equal(reached.length, 1, 'the host saw the first push only');
    const entries = async () => (await (await me.api('/api/admin/audit?limit=200')).json()).entries.filter(({ target }) => target.startsWith(own.session));
    const told = await until(async () => {
      const all = await entries();
      return all.filter(({ action }) => action === 'git.push.refused').length === 11 && all;
    }, 'the entries of the refused pushes');
    assert.ok(told.some(({ target }) => target.includes('refs/heads/main')));
    assert.deepEqual(told.filter(({ action }) => action === 'git.push').map(({ outcome, target }) => [outcome, target.split(' ')[1]]), [['ok', `installation:${HOST}`]]);
  });

  test('a repository that the host\'s configuration names is read, and not pushed to', async () => {
    const cwd = directory();
    const { code, output } = await mine.git(cwd, 'clone', '-q', address('shared/lib'), '.');
    assert.equal(code, 0, output);
    const pushed = await mine.git(cwd, 'push', 'origin', `HEAD:${mine.branch}`);
    assert.notEqual(pushed.code, 0);
    assert.match(pushed.output, /remote: Errand: this session may read git\.example\/shared\/lib, and not push to it/);
  });
});

describe('what a session reaches', () => {
  test('its own repository only, at its own host, however it is spelled', async () => {
    for (const target of [
      `/git/${HOST}/team/other.git/info/refs?service=git-upload-pack`,
      `/git/${HOST}/Team/app.git/info/refs?service=git-upload-pack`,
      `/git/other.example/team/app.git/info/refs?service=git-upload-pack`,
      `/git/evil.example/team/app.git/info/refs?service=git-upload-pack`,
      `/git/127.0.0.1:${server.port}/team/app.git/info/refs?service=git-upload-pack`,
      `/git/169.254.169.254/team/app.git/info/refs?service=git-upload-pack`,
      `/git/${HOST}/team/app.git/info/refs?service=git-upload-pack&x=1`,
      `/git/${HOST}/team/app.git/info/refs`,
      `/git/${HOST}/team/app.git/HEAD`,
      `/git/${HOST}/team/app.git/objects/info/packs`,
      `/git/${HOST}/team/app.git/config`,
      `/git/${HOST}/team%2fapp.git/info/refs?service=git-upload-pack`,
      `/git/${HOST}/team/app.git%2f..%2f..%2fshared/lib/info/refs?service=git-upload-pack`,
      `/git/${HOST}/team/app%00.git/info/refs?service=git-upload-pack`,
      `/git/${HOST}@evil.example/team/app.git/info/refs?service=git-upload-pack`,
      `/git/https%3A%2F%2F${HOST}/team/app.git/info/refs?service=git-upload-pack`,
      `/git/${HOST}/../../team/app.git/info/refs?service=git-upload-pack`,
      `/git/${HOST}/team/./app.git/info/refs?service=git-upload-pack&`,
    ]) {
      const answer = await ask(target);
      assert.equal(answer.status, 404, target);
      await answer.text();
    }
    assert.deepEqual(server.requests, []);
    assert.equal((await ask(REFS)).status, 200);
  });

  test('a session without a repository, or with one on a disk, reaches none', async () => {
    for (const url of [undefined, '/srv/repositories/team/app']) {
      const { token } = await sandbox(url);
      await assertRefused(await ask(REFS, { token }), 404);
    }
  });

  test('methods, media types and encodings that git does not use are refused', async () => {
    const fetchPack = `/git/${HOST}/team/app.git/git-upload-pack`;
    const pushPack = `/git/${HOST}/team/app.git/git-receive-pack`;
    const kind = (service) => ({ 'content-type': `application/x-git-${service}-request` });
    await assertRefused(await ask(REFS, { method: 'POST', body: '' }), 405);
    await assertRefused(await ask(fetchPack), 405);
    await assertRefused(await ask(fetchPack, { method: 'POST', body: '0000' }), 415);
    await assertRefused(await ask(fetchPack, { method: 'POST', body: '0000', headers: kind('receive-pack') }), 415);
    await assertRefused(await ask(fetchPack, { method: 'POST', body: '0000', headers: { ...kind('upload-pack'), 'content-encoding': 'br' } }), 415);
    await assertRefused(await ask(pushPack, { method: 'POST', body: zlib.deflateSync('0000'), headers: { ...kind('receive-pack'), 'content-encoding': 'deflate' } }), 415, /gzip only/);
    assert.deepEqual(server.requests, []);
  });

  test('a compressed fetch is passed on as it is', async () => {
    const head = upstream('rev-parse', 'main');
    const body = packets('command=fetch', 'object-format=sha1') + '0001' + packets(`want ${head}\n`, 'done\n', null);
    const answer = await ask(`/git/${HOST}/team/app.git/git-upload-pack`, {
      method: 'POST',
      body: zlib.gzipSync(body),
      headers: { 'content-type': 'application/x-git-upload-pack-request', 'content-encoding': 'gzip', 'git-protocol': 'version=2' },
    });
    assert.equal(answer.status, 200);
    assert.match(Buffer.from(await answer.arrayBuffer()).toString('latin1'), /packfile\n[^]*PACK/);
    assert.equal(server.requests.at(-1).headers['content-encoding'], 'gzip');
  });

  test('headers that are smuggled in or giant are not passed on', async () => {
    const headers = {
      'x-forwarded-for': '10.0.0.1', cookie: 'a=b', 'proxy-authorization': 'Basic x', 'x-errand-actor': '{}', host: 'evil.example',
      'git-protocol': `version=2:${'x'.repeat(8000)}`, 'x-giant': 'y'.repeat(8000), 'user-agent': 'git/2.39.5', te: 'trailers',
    };
    assert.equal((await ask(REFS, { headers })).status, 200);
    const [seen] = server.requests;
    for (const name of ['x-forwarded-for', 'cookie', 'proxy-authorization', 'x-errand-actor', 'git-protocol', 'x-giant', 'te']) assert.equal(seen.headers[name], undefined, name);
    assert.equal(seen.headers.host, `127.0.0.1:${server.port}`);
    assert.equal(seen.headers['user-agent'], 'git/2.39.5');
  });
});

describe('a push that is not what it seems', () => {
  const push = (body, headers = {}) =>
    ask(`/git/${HOST}/team/app.git/git-receive-pack`, { method: 'POST', body, headers: { 'content-type': 'application/x-git-receive-pack-request', ...headers } });
  const line = (reference, abilities = '') => `${ZERO} ${'a'.repeat(40)} ${reference}${abilities}`;

  test('is refused before anything of it is passed on', async () => {
    const own = line(`refs/heads/${mine.branch}`, '\0 report-status side-band-64k');
    for (const [what, body, status] of [
      ['not git\'s', 'GET / HTTP/1.1\r\n\r\n', 400],
      ['breaking off', packets(own), 400],
      ['a second list of abilities', packets(own, own, null), 400],
      ['two lines in one', packets(`${own}\n${line('refs/heads/main')}`, null), 400],
      ['a name behind a space', packets(line(`refs/heads/${mine.branch} refs/heads/main`), null), 400],
      ['signed', packets('push-cert\0 report-status\n', null), 403],
      ['a delimiter', `${packets(own)}0001${packets(line('refs/heads/main'), null)}`, 400],
      ['endless', packets(...Array.from({ length: 6000 }, () => `shallow ${'a'.repeat(40)}`)), 413],
      ['another branch without a report', packets(line('refs/heads/main'), null), 403],
    ]) {
      const answer = await push(body);
      assert.equal(answer.status, status, `${what}: ${await answer.clone().text()}`);
      await assertRefused(answer, status);
    }
    assert.deepEqual(server.requests, []);
  });

  test('is read in spite of its compression', async () => {
    const zipped = (body) => push(body, { 'content-encoding': 'gzip' });
    const refs = () => upstream('for-each-ref');
    const before = refs();
    const main = packets(line('refs/heads/main', '\0 report-status'), null);
    assert.match(await (await zipped(zlib.gzipSync(main))).text(), /ng refs\/heads\/main Errand: this session pushes only to/);
    await assertRefused(await zipped(main), 400);
    await assertRefused(await zipped(zlib.gzipSync(crypto.randomBytes(100_000)).subarray(0, 500)), 400);
    assert.deepEqual(server.requests, []);
    assert.equal(refs(), before);
    // One that is longer than what is held, with a pack.
    const dir = path.join(server.root, 'team/app.git');
    const commit = execFileSync('git', ['-C', dir, 'hash-object', '-w', '-t', 'commit', '--stdin'], {
      input: `tree ${upstream('rev-parse', 'main^{tree}')}\nparent ${upstream('rev-parse', 'main')}\nauthor T <t@x.invalid> 1 +0000\ncommitter T <t@x.invalid> 1 +0000\n\n${crypto.randomBytes(2_000_000).toString('hex')}\n`,
      encoding: 'utf8',
    }).trim();
    const pack = execFileSync('git', ['-C', dir, 'pack-objects', '--stdout', '-q'], { input: `${commit}\n`, maxBuffer: 64 * 1024 * 1024 });
    const head = packets(`${ZERO} ${commit} refs/heads/${mine.branch}-zipped\0 report-status`, null);
    const answer = await zipped(zlib.gzipSync(Buffer.concat([Buffer.from(head), pack])));
    assert.match(await answer.text(), /ok refs\/heads\/errand/);
    assert.equal(upstream('rev-parse', `${mine.branch}-zipped`), commit);
    assert.equal(server.requests.at(-1).headers['content-encoding'], undefined);
  });

  test('is answered in the client\'s own way, also after a long pack', async () => {
    const body = Buffer.concat([Buffer.from(packets(line('refs/heads/main', '\0 report-status'), null)), crypto.randomBytes(5_000_000)]);
    const answer = await push(body);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-type'), 'application/x-git-receive-pack-result');
    assert.equal(await answer.text(), packets('unpack ok\n', `ng refs/heads/main Errand: this session pushes only to ${mine.branch}\n`, null));
    assert.deepEqual(server.requests, []);
  });
});

describe('who is let in', () => {
  const now = Math.floor(Date.now() / 1000);
  const signed = (over) => sandboxToken(mine.session, { ...over, claims: { org, aud: ['git'], ...over.claims } });
  for (const [what, token] of [
    ['no token', () => null],
    ['nonsense', () => 'nonsense'],
    ['an expired token', () => signed({ claims: { exp: now - 1 } })],
    ['a token for something else', () => signed({ claims: { aud: ['runner', 'llm'] } })],
    ['a token signed with another key', () => signed({ key: '00'.repeat(32) })],
    ["a token that names another session than the key's", () => signed({ claims: { sub: newSessionId() } })],
    ['a token without an algorithm', () => signed({ header: { alg: 'none' } })],
    ['a token of another org', () => signed({ claims: { org: 'org_other' } })],
    ['a token of an earlier sandbox', () => signed({ claims: { gen: 0 } })],
    ['a token of a session that was never made', () => sandboxToken(newSessionId(), { claims: { org, aud: ['git'] } })],
  ]) {
    test(`not ${what}`, async () => {
      await assertRefused(await ask(REFS, { token: token() }), 401);
      assert.deepEqual(server.requests, []);
    });
  }

  test("not a person's own token, nor the token of another session for this repository", async () => {
    await assertRefused(await ask(REFS, { token: me.token }), 401);
    const other = await sandbox(`https://${HOST}/team/other`);
    await assertRefused(await ask(REFS, { token: other.token }), 404);
    assert.deepEqual(server.requests, []);
  });

  test('not the token of a session that has been ended', async () => {
    const ended = await sandbox(`https://${HOST}/team/app`);
    assert.equal((await ask(REFS, { token: ended.token })).status, 200);
    assert.ok((await me.api(`/api/sessions/${ended.session}`, { method: 'DELETE' })).ok);
    await assertRefused(await ask(REFS, { token: ended.token }), 401);
  });
});

describe('what the host answers', () => {
  const says = (status, headers = {}, body = 'theirs') => {
    server.answer = (request, response) => {
      request.resume();
      response.writeHead(status, headers);
      response.end(body);
    };
  };
  for (const [status, expected, words] of [
    [401, 403, /refused the credential for git\.example\/team\/app/],
    [403, 403, /refused the credential/],
    [404, 404, /knows no repository/],
    [429, 429, /too often/],
    [500, 503, /does not work just now \(500\)/],
    [503, 503, /does not work/],
  ]) {
    test(`${status} is told in words`, async () => {
      says(status, { 'content-type': 'text/html', 'set-cookie': 'a=b', 'www-authenticate': 'Basic realm="x"' });
      const answer = await ask(REFS);
      assert.equal(answer.headers.get('set-cookie'), null);
      await assertRefused(answer, expected, words);
    });
  }

  test('a page instead of git is no answer', async () => {
    says(200, { 'content-type': 'text/html' }, '<html>Sign in</html>');
    await assertRefused(await ask(REFS), 503, /did not answer as a git server does/);
  });

  test('a broken connection and a host that is not there are told', async () => {
    server.answer = (_, response) => response.destroy();
    await assertRefused(await ask(REFS), 503);
    const { token } = await sandbox('https://gone.example/team/app');
    await assertRefused(await ask('/git/gone.example/team/app.git/info/refs?service=git-upload-pack', { token }), 503);
  });

  test('an answer comes piece by piece', async () => {
    let more;
    server.answer = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-advertisement' });
      response.write('one');
      more = () => response.end('two');
    };
    const answer = await ask(REFS);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    assert.equal((await reader.read()).value, 'one');
    more();
    assert.equal((await reader.read()).value, 'two');
    assert.equal((await reader.read()).done, true);
  });
});
