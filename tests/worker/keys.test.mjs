/** API keys: what they are good for, what they are not, how they end; the rate limit; the audit log. */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertError, join, json, member, MODEL, startWorker, until } from './harness.mjs';

let worker;
let owner;
let org;
before(async () => {
  worker = await startWorker();
  owner = await worker.signIn();
  org = (await (await owner.api('/api/auth/me')).json()).org.id;
});
afterEach(() => worker.assertNoPanics());
after(() => worker.stop());

const make = (by, body, headers = {}) => by.api('/api/keys', { ...json('POST', { name: 'a script', ...body }), headers: { 'content-type': 'application/json', ...headers } });
/** A key of `by`, as something that calls the API. */
async function keyOf(by, scopes, more = {}) {
  const answer = await make(by, { scopes, ...more });
  assert.equal(answer.status, 201, await answer.clone().text());
  const { key, apiKey } = await answer.json();
  const api = (path, { method = 'GET', body, headers } = {}) =>
    worker.fetch(path, { ...(body === undefined ? { method } : json(method, body)), headers: { ...(body !== undefined && { 'content-type': 'application/json' }), authorization: `Bearer ${key}`, ...headers } });
  return { key, apiKey, api, token: key };
}
const newSession = async (person, body = {}) => (await (await person.api('/api/sessions', json('POST', { model: MODEL, ...body }))).json()).id;
const status = async (answer) => (await answer).status;

describe('a key', () => {
  test('is shown once, and its hash is kept', async () => {
    const { key, apiKey } = await keyOf(owner, ['sessions:*']);
    assert.match(key, /^er_[0-9a-f]{64}$/);
    assert.equal(apiKey.prefix, key.slice(0, 9));
    assert.deepEqual(apiKey.scopes, ['sessions:read', 'sessions:write']);
    const { DB } = await worker.env();
    const stored = JSON.stringify((await DB.prepare('SELECT * FROM api_keys').all()).results);
    assert.ok(!stored.includes(key.slice(10)));
    assert.ok(stored.includes(crypto.createHash('sha256').update(key).digest('hex')));
    const listed = await (await owner.api('/api/keys')).text();
    assert.ok(listed.includes(apiKey.id) && !listed.includes(key.slice(10)));
  });

  test('does what its scopes say and nothing else', async () => {
    const session = await newSession(owner);
    const tries = {
      'sessions:read': [(key) => key.api('/api/sessions'), (key) => key.api(`/api/sessions/${session}`), (key) => key.api(`/api/sessions/${session}/transcript`), (key) => key.api('/api/repos')],
      'sessions:write': [(key) => key.api('/api/sessions', json('POST', { model: MODEL })), (key) => key.api(`/api/sessions/${session}`, json('PATCH', { title: 'X' })), (key) => key.api(`/api/sessions/${session}/archive`, { method: 'POST' })],
      'prompts:write': [(key) => key.api(`/api/sessions/${session}/prompts`, json('POST', { text: 'go' })), (key) => key.api(`/api/sessions/${session}/abort`, { method: 'POST' })],
      'keys:read': [(key) => key.api('/api/keys')],
      'keys:write': [(key) => make(key, { scopes: ['keys:write'] })],
      'admin:read': [(key) => key.api('/api/admin/members'), (key) => key.api('/api/admin/invitations'), (key) => key.api('/api/admin/audit')],
      'admin:write': [(key) => key.api('/api/admin/invitations', json('POST', { role: 'viewer' }))],
    };
    for (const scope of Object.keys(tries)) {
      const key = await keyOf(owner, [scope]);
      for (const [needed, requests] of Object.entries(tries)) {
        for (const request of requests) {
          const answer = await request(key);
          if (needed === scope) assert.ok(![401, 403, 404].includes(answer.status), `${scope}: ${answer.status} ${await answer.text()}`);
          else assert.match((await assertError(answer, 403, 'forbidden')).message, new RegExp(needed));
        }
      }
      assert.equal(await status(key.api('/api/auth/me')), 200);
    }
  });

  test('cannot do what only a person can', async () => {
    const key = await keyOf(owner, ['sessions:*', 'prompts:write', 'pulls:write', 'workflows:*', 'keys:*', 'admin:*']);
    for (const [method, path, body] of [['GET', '/api/auth/sign-ins'], ['DELETE', '/api/auth/sign-ins'], ['POST', '/api/auth/org', { org }], ['GET', '/api/orgs'], ['POST', '/api/orgs', { name: 'x' }], ['POST', '/api/auth/invitations', { code: 'x' }]]) {
      await assertError(await key.api(path, { method, body }), 403, 'forbidden');
    }
  });

  test('never does more than its person may at that moment', async () => {
    const person = await member(worker, org, 'admin');
    const key = await keyOf(person, ['admin:*', 'sessions:*']);
    assert.equal(await status(key.api('/api/admin/members')), 200);
    await join(worker, person, org, 'member');
    await assertError(await key.api('/api/admin/members'), 403, 'forbidden');
    await join(worker, person, org, 'viewer');
    await assertError(await key.api('/api/sessions', json('POST', {})), 403, 'forbidden');
    assert.equal(await status(owner.api(`/api/admin/members/${person.user.id}`, { method: 'DELETE' })), 204);
    await assertError(await key.api('/api/sessions'), 401, 'unauthenticated');
  });

  test('of another org sees nothing here', async () => {
    const stranger = await worker.signIn();
    const key = await keyOf(stranger, ['sessions:*', 'keys:*', 'admin:*']);
    const session = await newSession(owner);
    await assertError(await key.api(`/api/sessions/${session}`), 404, 'not_found');
    const mine = await keyOf(owner, ['sessions:read']);
    await assertError(await key.api(`/api/keys/${mine.apiKey.id}`, { method: 'DELETE' }), 404, 'not_found');
    assert.equal(await status(mine.api('/api/sessions')), 200);
  });

  test('for one repository sees and makes sessions of that one only', async () => {
    const [here, there] = [{ repo: { url: '/srv/here' } }, { repo: { url: '/srv/there' } }];
    const [inside, outside] = [await newSession(owner, here), await newSession(owner, there)];
    const key = await keyOf(owner, ['sessions:*', 'admin:*'], { repo: '/srv/here' });
    assert.equal(await status(key.api(`/api/sessions/${inside}`)), 200);
    await assertError(await key.api(`/api/sessions/${outside}`), 404, 'not_found');
    const listed = await (await key.api('/api/sessions?filter=all')).json();
    assert.deepEqual(listed.sessions.map(({ id }) => id), [inside]);
    assert.equal(await status(key.api('/api/sessions', json('POST', here))), 201);
    for (const url of ['/srv/here/', 'file:///srv/here', '/srv//here.git']) assert.equal(await status(key.api('/api/sessions', json('POST', { repo: { url } }))), 201, url);
    assert.equal((await (await key.api('/api/sessions?filter=all')).json()).sessions.length, 5);
    for (const body of [there, {}]) await assertError(await key.api('/api/sessions', json('POST', body)), 403, 'forbidden');
    for (const path of ['/api/admin/members', '/api/admin/audit', '/api/events']) await assertError(await key.api(path), 403, 'forbidden');
  });

  test('ends when it is revoked, at once, also what it has open', async () => {
    const session = await newSession(owner);
    const key = await keyOf(owner, ['sessions:read']);
    const other = await keyOf(owner, ['sessions:read']);
    const open = async ({ key: token }) => {
      const socket = worker.socket(`/api/sessions/${session}/ws`, { protocols: ['errand', `bearer.${token}`] });
      await socket.opened;
      await socket.next((frame) => frame.type === 'hello', 'hello');
      return socket;
    };
    const [mine, theirs] = [await open(key), await open(other)];
    const feed = worker.socket('/api/events/ws', { token: key.key });
    await feed.opened;
    mine.send({ id: 'cmd_1', type: 'rename', title: 'x' });
    assert.equal((await mine.next((frame) => frame.id === 'cmd_1', 'an answer')).code, 'forbidden');
    for (let n = 0; n < 2; n++) assert.equal(await status(owner.api(`/api/keys/${key.apiKey.id}`, { method: 'DELETE' })), 204);
    assert.equal((await mine.closed).code, 4401);
    assert.equal((await feed.closed).code, 4401);
    await assertError(await key.api('/api/sessions'), 401, 'unauthenticated');
    theirs.send({ id: 'cmd_1', type: 'rename', title: 'x' });
    assert.equal((await theirs.next((frame) => frame.id === 'cmd_1', 'an answer')).type, 'reject');
    assert.equal(await status(other.api('/api/sessions')), 200);
  });

  test('ends what it reads as a stream when it is revoked: the log of a session, and the feed', async () => {
    const session = await newSession(owner);
    const key = await keyOf(owner, ['sessions:read']);
    const open = async (path) => {
      const answer = await key.api(path, { headers: { accept: 'text/event-stream' } });
      assert.equal(answer.status, 200, path);
      const reader = answer.body.getReader();
      await reader.read();
      return reader;
    };
    const readers = [await open(`/api/sessions/${session}/events`), await open('/api/events')];
    assert.equal(await status(owner.api(`/api/keys/${key.apiKey.id}`, { method: 'DELETE' })), 204);
    for (const reader of readers) for (let piece = await reader.read(); !piece.done; piece = await reader.read());
  });

  test('that ends by itself ends what it has open, also when nothing else happens', async () => {
    const session = await newSession(owner);
    const key = await keyOf(owner, ['sessions:read'], { days: 1 });
    const { DB } = await worker.env();
    await DB.prepare('UPDATE api_keys SET expires_at = ? WHERE id = ?').bind(Date.now() + 1500, key.apiKey.id).run();
    const socket = worker.socket(`/api/sessions/${session}/ws`, { token: key.key });
    await socket.next((frame) => frame.type === 'hello', 'hello');
    const feed = worker.socket('/api/events/ws', { token: key.key });
    await feed.opened;
    const stream = (await key.api(`/api/sessions/${session}/events`, { headers: { accept: 'text/event-stream' } })).body.getReader();
    assert.equal((await socket.closed).code, 4401);
    assert.equal((await feed.closed).code, 4401);
    for (let piece = await stream.read(); !piece.done; piece = await stream.read());
    await assertError(await key.api('/api/sessions'), 401, 'unauthenticated');
  });

  test('takes along the keys that it made, and theirs, when it is revoked; and none of them outlives it', async () => {
    const first = await keyOf(owner, ['keys:*', 'sessions:read'], { days: 2 });
    const second = await keyOf(first, ['keys:*', 'sessions:read']);
    const third = await keyOf(second, ['sessions:read'], { days: 300 });
    const other = await keyOf(owner, ['sessions:read']);
    for (const made of [second, third]) assert.equal(made.apiKey.expiresAt, first.apiKey.expiresAt);
    const feed = worker.socket('/api/events/ws', { token: third.key });
    await feed.opened;
    assert.equal(await status(owner.api(`/api/keys/${first.apiKey.id}`, { method: 'DELETE' })), 204);
    assert.equal((await feed.closed).code, 4401);
    for (const made of [first, second, third]) await assertError(await made.api('/api/sessions'), 401, 'unauthenticated');
    assert.equal(await status(other.api('/api/sessions')), 200);
  });

  test('that opens a feed while it is revoked does not get one', async () => {
    const key = await keyOf(owner, ['sessions:read']);
    assert.equal(await status(owner.api(`/api/keys/${key.apiKey.id}`, { method: 'DELETE' })), 204);
    // The Worker has let the request in before; the person's bus sees it after.
    const { EVENT_BUS } = await worker.env();
    const bus = EVENT_BUS.get(EVENT_BUS.idFromName(owner.user.id));
    const actor = { person: owner.user, org, role: 'owner', credential: { kind: 'api_key', id: key.apiKey.id, scopes: ['sessions:read'] } };
    const answer = await bus.fetch('https://do/api/events', { headers: { accept: 'text/event-stream', 'x-errand-actor': JSON.stringify(actor) } });
    assert.equal(answer.status, 401, await answer.text());
  });

  test('of somebody who was removed stays over when they come again', async () => {
    const person = await member(worker, org, 'member');
    const key = await keyOf(person, ['sessions:read']);
    assert.equal(await status(owner.api(`/api/admin/members/${person.user.id}`, { method: 'DELETE' })), 204);
    const { code } = await (await owner.api('/api/admin/invitations', json('POST', { role: 'member' }))).json();
    const again = await worker.signIn(person.login);
    assert.equal(await status(again.api('/api/auth/invitations', json('POST', { code }))), 200);
    await assertError(await key.api('/api/sessions'), 401, 'unauthenticated');
  });

  test('ends when its time is over, and says when it was used', async () => {
    const key = await keyOf(owner, ['sessions:read'], { days: 1 });
    assert.equal(Math.round((Date.parse(key.apiKey.expiresAt) - Date.parse(key.apiKey.createdAt)) / 3_600_000), 24);
    await key.api('/api/sessions');
    const { keys } = await (await owner.api('/api/keys')).json();
    assert.ok(keys.find(({ id }) => id === key.apiKey.id).usedAt);
    const { DB } = await worker.env();
    await DB.prepare('UPDATE api_keys SET expires_at = 1 WHERE id = ?').bind(key.apiKey.id).run();
    await assertError(await key.api('/api/sessions'), 401, 'unauthenticated');
  });

  test('that is none, or almost one, is nobody', async () => {
    const { key } = await keyOf(owner, ['sessions:read']);
    for (const bad of ['er_', `er_${'0'.repeat(64)}`, `${key}0`, key.slice(0, -1), key.toUpperCase(), key.slice(3), `x${key}`]) {
      await assertError(await worker.fetch('/api/sessions', { headers: { authorization: `Bearer ${bad}` } }), 401, 'unauthenticated');
    }
    await assertError(await worker.fetch('/api/sessions', { headers: { cookie: `errand_session=${key}` } }), 401, 'unauthenticated');
  });

  test('is made as asked for, or refused', async () => {
    const person = await member(worker, org, 'member');
    for (const body of [{ scopes: [] }, { scopes: ['god:*'] }, { scopes: ['*'] }, { scopes: ['sessions:read'], name: '' }, { scopes: ['sessions:read'], days: 0 }, { scopes: ['sessions:read'], repo: '../x' }, { scopes: ['sessions:read'], repo: `/${'x'.repeat(600)}` }]) {
      await assertError(await make(person, body), 422, 'invalid');
    }
    for (const body of [{}, { scopes: 'sessions:read' }, { scopes: ['sessions:read'], x: 1 }]) await assertError(await make(person, body), 400, 'bad_request');
    await assertError(await make(await member(worker, org, 'viewer'), { scopes: ['sessions:read'] }), 403, 'forbidden');
    const headers = { 'idempotency-key': 'press' };
    const [one, two] = await Promise.all([make(person, { scopes: ['sessions:read'] }, headers), make(person, { scopes: ['sessions:read'] }, headers)]);
    assert.equal((await one.json()).key, (await two.json()).key);
    await assertError(await make(person, { scopes: ['keys:*'] }, headers), 409, 'conflict');
  });

  test('makes no key that is good for more than itself', async () => {
    const key = await keyOf(owner, ['keys:*', 'sessions:read']);
    assert.equal(await status(make(key, { scopes: ['sessions:read'] })), 201);
    await assertError(await make(key, { scopes: ['sessions:write'] }), 403, 'forbidden');
  });

  test("of a colleague is seen and revoked by admins, and by nobody else", async () => {
    const [person, colleague, admin] = [await member(worker, org, 'member'), await member(worker, org, 'member'), await member(worker, org, 'admin')];
    const key = await keyOf(person, ['sessions:read']);
    const ids = async (by, query = '') => (await (await by.api(`/api/keys${query}`)).json()).keys.map(({ id }) => id);
    assert.deepEqual(await ids(colleague), []);
    await assertError(await colleague.api('/api/keys?all=true'), 403, 'forbidden');
    await assertError(await colleague.api(`/api/keys/${key.apiKey.id}`, { method: 'DELETE' }), 404, 'not_found');
    assert.ok((await ids(admin, '?all=true')).includes(key.apiKey.id));
    for (const [query, status, code] of [['all=yes', 422, 'invalid'], ['all=true&all=true', 400, 'bad_request']]) {
      await assertError(await admin.api(`/api/keys?${query}`), status, code);
    }
    assert.equal(await status(admin.api(`/api/keys/${key.apiKey.id}`, { method: 'DELETE' })), 204);
    await assertError(await key.api('/api/sessions'), 401, 'unauthenticated');
  });
});

test('a key that asks too often is told when to come back; its person is not counted', async () => {
  const person = await worker.signIn();
  const key = await keyOf(person, ['sessions:read']);
  const first = await key.api('/api/auth/me');
  assert.equal(first.headers.get('ratelimit-limit'), '300');
  assert.equal(first.headers.get('ratelimit-remaining'), '299');
  assert.equal(first.headers.get('ratelimit-policy'), '300;w=60');
  let refused;
  for (let round = 0; round < 40 && !refused; round++) {
    const answers = await Promise.all(Array.from({ length: 20 }, () => key.api('/api/auth/me')));
    refused = answers.find((answer) => answer.status === 429);
  }
  const error = await assertError(refused, 429, 'rate_limited');
  assert.ok(Number(refused.headers.get('retry-after')) >= 1);
  assert.equal(refused.headers.get('ratelimit-remaining'), '0');
  assert.ok(error.details.retryAfter >= 1);
  const own = await person.api('/api/auth/me');
  assert.equal(own.status, 200);
  assert.equal(own.headers.get('ratelimit-limit'), null);
});

describe('the audit log', () => {
  const audit = async (by, query = '') => (await (await by.api(`/api/admin/audit${query}`)).json()).entries;
  const settled = (by, query, n) => until(async () => {
    const entries = await audit(by, query);
    return entries.length >= n && entries;
  }, `${n} entries for ${query}`);

  test('tells each write and refusal: who, by what, what, of what, how it ended', async () => {
    const boss = await worker.signIn();
    const { id: mine } = (await (await boss.api('/api/auth/me')).json()).org;
    const viewer = await member(worker, mine, 'viewer');
    const session = await newSession(boss);
    const key = await keyOf(boss, ['sessions:write']);
    await key.api(`/api/sessions/${session}`, json('PATCH', { title: 'By a script' }));
    await viewer.api('/api/sessions', json('POST', {}));
    await viewer.api(`/api/sessions/${session}`);
    const entries = await settled(boss, '', 5);
    const told = entries.reverse().map(({ userId, credential, action, target, outcome }) => [userId, credential.slice(0, 4), action, target, outcome]);
    const has = (...entry) => assert.ok(told.some((row) => JSON.stringify(row) === JSON.stringify(entry)), JSON.stringify({ entry, told }, null, 1));
    has(boss.user.id, 'sgn_', 'sign-in', '', 'ok');
    has(boss.user.id, 'sgn_', 'POST /api/sessions', session, 'ok');
    has(boss.user.id, 'sgn_', 'POST /api/keys', key.apiKey.id, 'ok');
    has(boss.user.id, 'key_', 'PATCH /api/sessions/:id', session, 'ok');
    has(viewer.user.id, 'sgn_', 'POST /api/sessions', '', '403');
    assert.ok(!told.some(([, , action]) => action.startsWith('GET')));
    assert.ok(entries.every(({ requestId }) => /^req_/.test(requestId)));
  });

  test('tells what is commanded over a WebSocket as well, and from where', async () => {
    const boss = await worker.signIn();
    const { id: mine } = (await (await boss.api('/api/auth/me')).json()).org;
    const admin = await member(worker, mine, 'admin');
    const session = await newSession(boss);
    const command = async (by, id, frame) => {
      const socket = worker.socket(`/api/sessions/${session}/ws`, { token: by.token });
      await socket.next((other) => other.type === 'hello', 'hello');
      socket.send({ id, ...frame });
      await socket.next((other) => other.id === id, 'an answer');
    };
    await command(boss, 'cmd_a', { type: 'share', visibility: 'org' });
    await command(admin, 'cmd_b', { type: 'share', visibility: 'private' });
    const entries = await settled(boss, '?action=COMMAND', 2);
    const told = entries.map(({ userId, credential, action, target, outcome, requestId }) => [userId, credential.slice(0, 4), action, target, outcome, requestId]);
    assert.deepEqual(told.sort((a, b) => (a[5] < b[5] ? -1 : 1)), [
      [boss.user.id, 'sgn_', 'COMMAND share', session, 'ok', 'cmd_a'],
      [admin.user.id, 'sgn_', 'COMMAND share', session, '403', 'cmd_b'],
    ]);
  });

  test('is filtered, paged, and another org’s is another', async () => {
    const boss = await worker.signIn();
    for (let n = 0; n < 5; n++) await newSession(boss);
    await settled(boss, '?action=POST%20/api/sessions', 5);
    const found = [];
    let cursor = '';
    do {
      const page = await (await boss.api(`/api/admin/audit?limit=2&action=POST${cursor && `&cursor=${cursor}`}`)).json();
      found.push(...page.entries.map(({ id }) => id));
      cursor = page.cursor ?? '';
    } while (cursor);
    assert.equal(found.length, 5);
    assert.deepEqual(found, [...found].sort().reverse());
    assert.equal((await audit(boss, `?user=${boss.user.id}&outcome=ok`)).length, 6);
    assert.equal((await audit(boss, '?user=usr_other')).length, 0);
    assert.equal((await audit(boss, '?to=2020-01-01T00:00:00Z')).length, 0);
    const others = await audit(await worker.signIn());
    assert.ok(others.every(({ userId }) => userId !== boss.user.id));
    for (const query of ['limit=0', 'limit=1001', 'cursor=x', 'from=now', 'format=xml']) await assertError(await boss.api(`/api/admin/audit?${query}`), 422, 'invalid');
  });

  test('is exported as CSV in which no name is a formula', async () => {
    const boss = await worker.signIn();
    const { DB } = await worker.env();
    await DB.prepare('UPDATE users SET name = ? WHERE id = ?').bind('=HYPERLINK("http://evil.example")', boss.user.id).run();
    await newSession(boss);
    await settled(boss, '?action=POST%20/api/sessions', 1);
    const answer = await boss.api('/api/admin/audit?format=csv');
    assert.match(answer.headers.get('content-type'), /text\/csv/);
    const text = await answer.text();
    assert.match(text, /^id,at,userId,userName/);
    assert.ok(text.includes('"\'=HYPERLINK(""http://evil.example"")"'), text);
  });

  test('is read by admins', async () => {
    await assertError(await (await member(worker, org, 'member')).api('/api/admin/audit'), 403, 'forbidden');
    await assertError(await worker.fetch('/api/admin/audit'), 401, 'unauthenticated');
    assert.equal(await status((await member(worker, org, 'admin')).api('/api/admin/audit')), 200);
  });
});
