/**
 * Who may do what: each route × each kind of caller, as crates/access decides it. A cell is the status of a refusal, or
 * `ok` for whatever else the route answers.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertError, join, json, member, MODEL, newSessionId, sandboxToken, startWorker } from './harness.mjs';

let worker;
let callers;
let org;
before(async () => {
  worker = await startWorker();
  const maker = await worker.signIn();
  org = (await (await maker.api('/api/auth/me')).json()).org.id;
  await join(worker, maker, org, 'member');
  callers = {
    anonymous: { api: (path, { body, method = 'GET' } = {}) => worker.fetch(path, body === undefined ? { method } : json(method, body)) },
    stranger: await worker.signIn(),
    viewer: await member(worker, org, 'viewer'),
    member: await member(worker, org, 'member'),
    admin: await member(worker, org, 'admin'),
    chief: await member(worker, org, 'owner'),
    maker,
  };
});
afterEach(() => worker.assertNoPanics());
after(() => worker.stop());

/** Refusals of a private session by what the route asks for, in the order of `callers`. */
const PRIVATE = {
  read: [401, 404, 404, 404, 'ok', 'ok', 'ok'],
  work: [401, 404, 404, 404, 403, 403, 'ok'],
  oversee: [401, 404, 404, 404, 'ok', 'ok', 'ok'],
};

const PRM = 'prm_00000000000000000000000000';
const SESSION_ROUTES = [
  ['GET', '', 'read'],
  ['GET', '/events', 'read'],
  ['GET', '/transcript', 'read'],
  ['GET', '/startup', 'read'],
  ['GET', '/usage', 'read'],
  ['GET', '/nothing-of-that-name', 'read'],
  ['GET', '/ws', 'read'],
  ['GET', '/snapshot', 'work'],
  ['POST', '/fork', 'work', {}],
  ['POST', '/prompts', 'work', { text: 'hello' }],
  ['PATCH', `/prompts/${PRM}`, 'work', { text: 'x' }],
  ['DELETE', `/prompts/${PRM}`, 'work'],
  ['POST', '/interactions/int_1', 'work', { answer: {} }],
  ['POST', '/abort', 'work'],
  ['POST', '/retry', 'work'],
  ['POST', '/pause', 'work'],
  ['POST', '/resume', 'work'],
  ['PATCH', '', 'oversee', { title: 'Other' }],
  ['POST', '/archive', 'oversee'],
  ['POST', '/restore', 'oversee'],
  ['DELETE', '', 'oversee'],
];

async function newSession(person = callers.maker) {
  const answer = await person.api('/api/sessions', json('POST', { model: MODEL, title: 'Mine' }));
  assert.equal(answer.status, 201, await answer.clone().text());
  return (await answer.json()).id;
}

/** The status, when the policy refused; a 404 counts only when it says that the session is not there. */
async function cellOf(response) {
  if (![401, 403, 404].includes(response.status)) return 'ok';
  const { error } = JSON.parse(await response.text());
  return response.status === 404 && !/no such session$/.test(error.message) ? 'ok' : response.status;
}

describe('a private session', () => {
  for (const [method, path, kind, body] of SESSION_ROUTES) {
    test(`${method} /api/sessions/:id${path}`, async () => {
      const cells = [];
      for (const caller of Object.values(callers)) {
        const session = await newSession();
        cells.push(await cellOf(await caller.api(`/api/sessions/${session}${path}`, { method, body })));
      }
      assert.deepEqual(cells, PRIVATE[kind]);
    });
  }

  test('its WebSocket', async () => {
    const session = await newSession();
    const cells = [];
    for (const { token } of Object.values(callers)) {
      const socket = worker.socket(`/api/sessions/${session}/ws`, { token });
      cells.push(await socket.opened.then(() => 'ok', (refusal) => refusal.status));
    }
    assert.deepEqual(cells, PRIVATE.read);
  });

  test('commands over a WebSocket are decided one by one', async () => {
    const session = await newSession();
    const socket = worker.socket(`/api/sessions/${session}/ws`, { token: callers.admin.token });
    await socket.opened;
    const answer = async (id, command) => {
      socket.send({ id: `cmd_${id}`, ...command });
      return socket.next((frame) => frame.id === `cmd_${id}`, `an answer to ${id}`);
    };
    const prompt = await answer('a', { type: 'prompt', promptId: PRM, text: 'hello' });
    assert.deepEqual([prompt.type, prompt.code], ['reject', 'forbidden']);
    assert.equal((await answer('b', { type: 'rename', title: 'Renamed by an admin' })).type, 'ack');
    assert.equal((await answer('c', { type: 'terminate' })).type, 'ack');
  });

  test("nobody else's list and feed know it", async () => {
    const session = await newSession();
    for (const caller of [callers.stranger, callers.viewer, callers.member]) {
      const { sessions } = await (await caller.api('/api/sessions')).json();
      assert.ok(!sessions.some(({ id }) => id === session));
    }
  });

  test('its id cannot be taken by a colleague', async () => {
    const id = await newSession();
    const answer = await callers.member.api('/api/sessions', json('POST', { id, model: MODEL }));
    await assertError(answer, 409, 'conflict');
  });
});

describe('routes of an org and of oneself', () => {
  // In the order of `callers`; the stranger owns an org of their own, in which they may do all of it.
  const EVERYBODY = [401, 'ok', 'ok', 'ok', 'ok', 'ok', 'ok'];
  const MEMBERS = [401, 'ok', 403, 'ok', 'ok', 'ok', 'ok'];
  const ADMINS = [401, 'ok', 403, 403, 'ok', 'ok', 403];
  const ROUTES = [
    ['GET', '/api/sessions', [401, 'ok', 'ok', 'ok', 'ok', 'ok', 'ok']],
    ['POST', '/api/sessions', [401, 'ok', 403, 'ok', 'ok', 'ok', 'ok'], {}],
    ['GET', '/api/repos', [401, 'ok', 'ok', 'ok', 'ok', 'ok', 'ok']],
    ['GET', '/api/auth/me', EVERYBODY],
    ['GET', '/api/auth/sign-ins', EVERYBODY],
    ['GET', '/api/orgs', EVERYBODY],
    ['POST', '/api/orgs', EVERYBODY, { name: 'Another' }],
    ['POST', '/api/auth/org', EVERYBODY, { org: 'org_nowhere' }],
    ['POST', '/api/auth/invitations', EVERYBODY, { code: 'x' }],
    ['DELETE', '/api/auth/sign-ins/sgn_nowhere', EVERYBODY],
    ['GET', '/api/keys', MEMBERS],
    ['POST', '/api/keys', MEMBERS, { name: 'k', scopes: ['sessions:read'] }],
    ['DELETE', '/api/keys/key_nowhere', MEMBERS],
    ['GET', '/api/keys?all=true', ADMINS],
    ['GET', '/api/models', EVERYBODY],
    ['GET', '/api/model-keys', MEMBERS],
    ['PUT', '/api/model-keys/nobody', MEMBERS, { key: 'sk-not-a-real-key' }],
    ['DELETE', '/api/model-keys/openai', MEMBERS],
    ['GET', '/api/admin/model-keys', ADMINS],
    ['PUT', '/api/admin/model-keys/nobody', ADMINS, { key: 'sk-not-a-real-key' }],
    ['DELETE', '/api/admin/model-keys/openai', ADMINS],
    ['GET', '/api/usage/estimate', MEMBERS],
    ['GET', '/api/admin/members', ADMINS],
    ['PATCH', '/api/admin/members/usr_nowhere', ADMINS, { role: 'viewer' }],
    ['DELETE', '/api/admin/members/usr_nowhere', ADMINS],
    ['GET', '/api/admin/invitations', ADMINS],
    ['POST', '/api/admin/invitations', ADMINS, { role: 'viewer' }],
    ['DELETE', '/api/admin/invitations/inv_nowhere', ADMINS],
    ['GET', '/api/admin/audit', ADMINS],
    ['GET', '/api/admin/settings', ADMINS],
    ['PUT', '/api/admin/settings', ADMINS, {}],
    ['GET', '/api/admin/settings/users/usr_nowhere', ADMINS],
    ['PUT', '/api/admin/settings/users/usr_nowhere', ADMINS, {}],
  ];
  for (const [method, path, expected, body] of ROUTES) {
    test(`${method} ${path}`, async () => {
      const cells = [];
      for (const caller of Object.values(callers)) cells.push(await cellOf(await caller.api(path, { method, body })));
      assert.deepEqual(cells, expected);
    });
  }

  test('GET /api/events/ws', async () => {
    const cells = [];
    for (const { token } of Object.values(callers)) {
      const socket = worker.socket('/api/events/ws', { token });
      cells.push(await socket.opened.then(() => 'ok', (refusal) => refusal.status));
    }
    assert.deepEqual(cells, [401, 'ok', 'ok', 'ok', 'ok', 'ok', 'ok']);
  });

  test('everybody learns their own role', async () => {
    const roles = [];
    for (const caller of Object.values(callers).slice(1)) roles.push((await (await caller.api('/api/auth/me')).json()).role);
    assert.deepEqual(roles, ['owner', 'viewer', 'member', 'admin', 'owner', 'member']);
  });
});

test('a role is read at each request', async () => {
  const person = await member(worker, org, 'member');
  const session = await newSession(person);
  const title = (text) => person.api(`/api/sessions/${session}`, json('PATCH', { title: text }));
  assert.equal((await title('One')).status, 200);
  await join(worker, person, org, 'viewer');
  await assertError(await title('Two'), 403, 'forbidden');
  assert.equal((await person.api(`/api/sessions/${session}`)).status, 200);
  const { DB } = await worker.env();
  await DB.prepare('DELETE FROM members WHERE org_id = ? AND user_id = ?').bind(org, person.user.id).run();
  await assertError(await person.api(`/api/sessions/${session}`), 401, 'unauthenticated');
});

test("a sandbox's token is good for its own session, and for nothing that people do", async () => {
  const session = await newSession();
  const token = sandboxToken(session, { claims: { org } });
  const foreign = sandboxToken(session, { claims: { org: 'org_other' } });
  const headers = { authorization: `Bearer ${token}` };
  for (const path of ['/api/auth/me', '/api/sessions', `/api/sessions/${session}`, `/api/sessions/${session}/events`]) {
    await assertError(await worker.fetch(path, { headers }), 401, 'unauthenticated');
  }
  const dial = (as) => worker.socket(`/runner/${session}`, { token: as }).opened.then(() => 'ok', (refusal) => refusal.status);
  assert.equal(await dial(foreign), 404, "another org's token");
  assert.equal(await dial(token), 'ok');
  assert.equal(await dial(callers.maker.token), 401);
});

test('a header that names the caller is not believed', async () => {
  const session = await newSession();
  const forged = JSON.stringify({ person: callers.maker.user, org, role: 'owner', credential: { kind: 'sign_in', id: 'sgn_1' } });
  const headers = { 'x-errand-actor': forged, 'x-errand-runner': JSON.stringify({ org, generation: 1 }) };
  await assertError(await worker.fetch(`/api/sessions/${session}`, { headers }), 401, 'unauthenticated');
  await assertError(await callers.stranger.api(`/api/sessions/${session}`, { headers }), 404, 'not_found');
  await assertError(await worker.fetch(`/api/sessions/${newSessionId()}`, { headers }), 401, 'unauthenticated');
});
