/** Who may do what where no route says it: WebSockets, lists, roles that change, tokens and headers. Routes: `matrix.mjs`. */
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

async function newSession(person = callers.maker) {
  const answer = await person.api('/api/sessions', json('POST', { model: MODEL, title: 'Mine' }));
  assert.equal(answer.status, 201, await answer.clone().text());
  return (await answer.json()).id;
}

describe('a private session', () => {
  test('its WebSocket', async () => {
    const session = await newSession();
    const cells = [];
    for (const { token } of Object.values(callers)) {
      const socket = worker.socket(`/api/sessions/${session}/ws`, { token });
      cells.push(await socket.opened.then(() => 'ok', (refusal) => refusal.status));
    }
    assert.deepEqual(cells, [401, 404, 404, 404, 'ok', 'ok', 'ok']);
  });

  test('commands over a WebSocket are decided one by one', async () => {
    const session = await newSession();
    const socket = worker.socket(`/api/sessions/${session}/ws`, { token: callers.admin.token });
    await socket.opened;
    const answer = async (id, command) => {
      socket.send({ id: `cmd_${id}`, ...command });
      return socket.next((frame) => frame.id === `cmd_${id}`, `an answer to ${id}`);
    };
    const prompt = await answer('a', { type: 'prompt', promptId: 'prm_1', text: 'hello' });
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
