/** Which credential the git proxy puts in: the owner's, the org's, the installation's; and storing the org's. */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { startGitServer } from '../lib/git-server.mjs';
import { assertError, join, json, member, sandboxToken, startWorker, until } from './harness.mjs';
import { Browser, githubber, startProviders } from './providers.mjs';

const SECRET = 'ghp_stored-by-an-admin';
const HOST = 'git.example';
const PREVIOUS = '77'.repeat(32);
const basic = (username, secret) => `Basic ${Buffer.from(`${username}:${secret}`).toString('base64')}`;

let server;
let providers;
let worker;
let admin;
let org;

before(async () => {
  server = await startGitServer();
  providers = await startProviders();
  const hosts = [
    { host: HOST, url: server.url },
    { host: 'github.test', url: server.url, provider: 'github', username: 'installation', secret: 'of-the-installation' },
  ];
  worker = await startWorker({ vars: { ...providers.vars, MASTER_KEY_PREVIOUS: PREVIOUS, GIT_HOSTS: JSON.stringify(hosts) } });
  admin = await worker.signIn();
  org = (await (await admin.api('/api/auth/me')).json()).org.id;
});
beforeEach(() => {
  server.requests.length = 0;
  // What credential was shown is all that these tests ask.
  server.answer = (request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-advertisement' }).end('0000');
  };
});
afterEach(() => {
  for (const secret of [SECRET, 'gho_', 'of-the-installation']) {
    assert.ok(!worker.logs().some((entry) => entry.message.includes(secret)), 'a credential is in the log');
  }
  worker.assertNoPanics();
});
after(async () => {
  await worker?.stop();
  await providers?.stop();
  await server?.stop();
});

const put = (host, body, who = admin) => who.api(`/api/admin/git-credentials/${host}`, { method: 'PUT', body });
const remove = (host, who = admin) => who.api(`/api/admin/git-credentials/${host}`, { method: 'DELETE' });
const list = async (who = admin) => (await who.api('/api/admin/git-credentials')).json();

/** What the host is shown when this person's session on the repository asks. */
async function shown(person, url) {
  const made = await person.api('/api/sessions', json('POST', { repo: { url }, prompt: 'work' }));
  assert.equal(made.status, 201, await made.clone().text());
  const session = (await made.json()).id;
  const own = (await (await person.api('/api/auth/me')).json()).org.id;
  const token = sandboxToken(session, { claims: { org: own } });
  const target = `/git/${url.slice('https://'.length)}.git/info/refs?service=git-upload-pack`;
  const answer = await worker.fetch(target, { headers: { authorization: `Bearer ${token}` } });
  assert.equal(answer.status, 200, await answer.text());
  return { session, header: server.requests.at(-1).headers.authorization };
}

describe('an org\'s credential', () => {
  test('is stored, listed without its secret, used, replaced and removed', async () => {
    const repo = `https://${HOST}/team/app`;
    assert.equal((await shown(admin, repo)).header, undefined);
    const answer = await put(HOST, { secret: SECRET, username: 'bot' });
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
    const { updatedAt, ...rest } = JSON.parse(text);
    assert.deepEqual(rest, { host: HOST, username: 'bot', repositories: [], updatedBy: admin.user.id });
    assert.ok(Date.parse(updatedAt) > 0);
    assert.equal((await shown(admin, repo)).header, basic('bot', SECRET));
    const listed = JSON.stringify(await list());
    assert.ok(!text.includes(SECRET) && !listed.includes(SECRET));
    const { hosts, credentials } = JSON.parse(listed);
    assert.deepEqual(hosts, [HOST, 'github.test']);
    assert.ok(Date.parse(credentials[0].usedAt) > 0, 'its use is noted');
    const { DB } = await worker.env();
    const { results } = await DB.prepare('SELECT * FROM git_credentials').all();
    assert.ok(!JSON.stringify(results).includes(SECRET), 'it is sealed');
    for (let n = 0; n < 2; n++) assert.equal((await put(HOST, { secret: `${SECRET}-2` })).status, 200);
    assert.equal((await shown(admin, repo)).header, basic('x-access-token', `${SECRET}-2`));
    for (let n = 0; n < 2; n++) assert.equal((await remove(HOST)).status, 204);
    assert.equal((await shown(admin, repo)).header, undefined);
  });

  test('is used for its repositories only, and for its org only', async () => {
    assert.equal((await put(HOST, { secret: SECRET, repositories: ['team/*', 'x/y'] })).status, 200);
    const used = basic('x-access-token', SECRET);
    assert.equal((await shown(admin, `https://${HOST}/team/app`)).header, used);
    assert.equal((await shown(admin, `https://${HOST}/x/y`)).header, used);
    assert.equal((await shown(admin, `https://${HOST}/x/z`)).header, undefined);
    assert.equal((await shown(await worker.signIn(), `https://${HOST}/team/app`)).header, undefined);
    assert.equal((await shown(await member(worker, org, 'member'), `https://${HOST}/team/app`)).header, used);
    assert.equal((await remove(HOST)).status, 204);
  });

  test('is the business of admins', async () => {
    for (const [role, status, code] of [['viewer', 403, 'forbidden'], ['member', 403, 'forbidden']]) {
      const person = await member(worker, org, role);
      await assertError(await put(HOST, { secret: SECRET }, person), status, code);
      await assertError(await remove(HOST, person), status, code);
      await assertError(await person.api('/api/admin/git-credentials'), status, code);
    }
    await assertError(await worker.fetch(`/api/admin/git-credentials/${HOST}`, json('PUT', { secret: SECRET })), 401, 'unauthenticated');
    const other = await worker.signIn();
    assert.deepEqual((await list(other)).credentials, []);
  });

  test('is checked', async () => {
    await assertError(await put('unknown.example', { secret: SECRET }), 404, 'not_found');
    await assertError(await put('127.0.0.1', { secret: SECRET }), 404, 'not_found');
    await assertError(await put('a%2fb', { secret: SECRET }), 404, 'not_found');
    for (const [body, status, code] of [
      [{}, 400, 'bad_request'],
      [{ secret: 7 }, 400, 'bad_request'],
      [{ secret: SECRET, url: 'https://evil.example' }, 400, 'bad_request'],
      [{ secret: '' }, 422, 'invalid'],
      [{ secret: 'a b' }, 422, 'invalid'],
      [{ secret: 'a\r\nx: y' }, 422, 'invalid'],
      [{ secret: 'x'.repeat(5000) }, 422, 'invalid'],
      [{ secret: SECRET, username: 'a:b' }, 422, 'invalid'],
      [{ secret: SECRET, repositories: ['../x'] }, 422, 'invalid'],
      [{ secret: SECRET, repositories: Array.from({ length: 201 }, (_, n) => `a/b${n}`) }, 422, 'invalid'],
    ]) {
      await assertError(await put(HOST, body), status, code);
    }
    await assertError(await put(HOST, `{"secret":"${'x'.repeat(2_000_000)}"}`), 413, 'too_large');
    assert.deepEqual((await list()).credentials, []);
  });

  test('and its uses are in the audit log', async () => {
    assert.equal((await put(HOST, { secret: SECRET })).status, 200);
    const { session } = await shown(admin, `https://${HOST}/team/audited`);
    const entries = async () => (await (await admin.api('/api/admin/audit?limit=100')).json()).entries;
    const used = await until(async () => (await entries()).find(({ action, target }) => action === 'git.fetch' && target.startsWith(session)), 'the entry');
    assert.equal(used.target, `${session}/${HOST}/team/audited org:${HOST}`);
    assert.deepEqual([used.outcome, used.credential], ['ok', `sbx-${session}-1`]);
    const stored = await until(async () => (await entries()).find(({ action }) => action === `PUT /api/admin/git-credentials/${HOST}`), 'the entry of storing it');
    assert.deepEqual([stored.userId, stored.target, stored.details], [admin.user.id, HOST, { repositories: 'all of the host\'s' }]);
    assert.ok(!JSON.stringify(await entries()).includes(SECRET));
    assert.equal((await remove(HOST)).status, 204);
  });
});

describe('the owner\'s own sign-in with GitHub', () => {
  const repo = 'https://github.test/team/app';

  async function githubPerson() {
    const browser = new Browser(worker);
    const answer = await browser.signIn(providers, githubber());
    assert.ok(browser.cookies.has('errand_session'), `${answer.status} ${await answer.text()}`);
    const { user } = await (await browser.api('/api/auth/me')).json();
    const token = [...providers.tokens.keys()].at(-1);
    await join(worker, { user }, org, 'member');
    return { user, token, api: (target, init) => browser.api(target, init), DB: (await worker.env()).DB };
  }

  test('comes first where it is good, while they belong to the org and it lasts', async () => {
    const person = await githubPerson();
    assert.equal((await shown(person, repo)).header, basic('x-access-token', person.token));
    assert.equal((await shown(person, `https://${HOST}/team/app`)).header, undefined, 'nowhere else');
    assert.equal((await put('github.test', { secret: SECRET })).status, 200);
    assert.equal((await shown(person, repo)).header, basic('x-access-token', person.token), 'before the org\'s');
    assert.equal((await shown(admin, repo)).header, basic('x-access-token', SECRET), 'who has none uses the org\'s');
    await person.DB.prepare('UPDATE oauth_tokens SET expires_at = 1 WHERE user_id = ?').bind(person.user.id).run();
    assert.equal((await shown(person, repo)).header, basic('x-access-token', SECRET), 'after its end');
    await person.DB.prepare('UPDATE oauth_tokens SET expires_at = NULL WHERE user_id = ?').bind(person.user.id).run();
    assert.equal((await remove('github.test')).status, 204);
    const { session, header } = await shown(person, repo);
    assert.equal(header, basic('x-access-token', person.token));
    await person.DB.prepare('DELETE FROM members WHERE user_id = ?').bind(person.user.id).run();
    const ask = `/git/github.test/team/app.git/info/refs?service=git-upload-pack`;
    const answer = await worker.fetch(ask, { headers: { authorization: `Bearer ${sandboxToken(session, { claims: { org } })}` } });
    assert.equal(answer.status, 200);
    assert.equal(server.requests.at(-1).headers.authorization, basic('installation', 'of-the-installation'), 'who has left takes theirs along');
  });
});

test('what was sealed with the previous master key is used, and sealed anew', async () => {
  assert.equal((await put(HOST, { secret: 'another' })).status, 200);
  const { DB } = await worker.env();
  const hmac = (text) => crypto.createHmac('sha256', Buffer.from(PREVIOUS, 'hex')).update(text).digest();
  const cipher = crypto.createCipheriv('aes-256-gcm', hmac('sealing:aes-256-gcm:1'), Buffer.alloc(12, 7));
  cipher.setAAD(Buffer.from([org, 'git.credential', HOST].map((field) => `${field.length}:${field}`).join('')));
  const body = Buffer.concat([Buffer.alloc(12, 7), cipher.update(SECRET), cipher.final(), cipher.getAuthTag()]).toString('base64url');
  const old = `s1.${hmac('sealing:key-id').subarray(0, 4).toString('hex')}.${body}`;
  await DB.prepare('UPDATE git_credentials SET secret = ? WHERE org_id = ?').bind(old, org).run();
  for (let n = 0; n < 2; n++) assert.equal((await shown(admin, `https://${HOST}/a/b`)).header, basic('x-access-token', SECRET));
  const { secret } = await DB.prepare('SELECT secret FROM git_credentials WHERE org_id = ?').bind(org).first();
  assert.notEqual(secret.split('.')[1], old.split('.')[1]);
  assert.equal((await remove(HOST)).status, 204);
});
