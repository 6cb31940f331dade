/** Settings of an org and its members, and the limits that they set: how many sessions there may be. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertError, json, member, MODEL, newSessionId, startWorker, until } from './harness.mjs';

let worker;
before(async () => {
  worker = await startWorker({ vars: { SETTINGS: JSON.stringify({ personDailySessions: 6 }) } });
});
afterEach(() => worker.assertNoPanics());
after(() => worker.stop());

async function anOrg() {
  const owner = await worker.signIn();
  const org = (await (await owner.api('/api/auth/me')).json()).org.id;
  return { owner, org };
}
const put = (by, body, path = '') => by.api(`/api/admin/settings${path}`, json('PUT', body));
const create = (by, body = {}, headers = {}) => by.api('/api/sessions', { ...json('POST', { model: MODEL, ...body }), headers: { 'content-type': 'application/json', ...headers } });

describe('limits', () => {
  test('the system’s hold where nobody says otherwise, and are not overrun by many at once', async () => {
    const { owner } = await anOrg();
    const answers = await Promise.all(Array.from({ length: 12 }, () => create(owner)));
    const statuses = answers.map((answer) => answer.status).sort();
    assert.deepEqual(statuses, [...Array(6).fill(201), ...Array(6).fill(429)]);
    const refused = answers.find((answer) => answer.status === 429);
    const error = await assertError(refused, 429, 'rate_limited');
    assert.match(error.message, /you have made 6 sessions within 24 hours: wait until/);
  });

  test('the org overrides the system, and what is said of a member overrides the org', async () => {
    const { owner, org } = await anOrg();
    const person = await member(worker, org, 'member');
    assert.equal((await put(owner, { personDailySessions: 1 })).status, 200);
    assert.equal((await create(person)).status, 201);
    await assertError(await create(person), 429, 'rate_limited');
    assert.equal((await put(owner, { personDailySessions: 'unlimited' }, `/users/${person.user.id}`)).status, 200);
    for (let n = 0; n < 3; n++) assert.equal((await create(person)).status, 201);
    assert.deepEqual(await (await owner.api(`/api/admin/settings/users/${person.user.id}`)).json(), { personDailySessions: 'unlimited' });
    assert.deepEqual(await (await owner.api('/api/admin/settings')).json(), { personDailySessions: 1 });
    assert.equal((await put(owner, {})).status, 200);
    assert.deepEqual(await (await owner.api('/api/admin/settings')).json(), {});
  });

  test('of the org count everybody’s', async () => {
    const { owner, org } = await anOrg();
    const person = await member(worker, org, 'member');
    await put(owner, { orgDailySessions: 2 });
    assert.equal((await create(owner)).status, 201);
    assert.equal((await create(person)).status, 201);
    assert.match((await assertError(await create(owner), 429, 'rate_limited')).message, /your org has made 2/);
    const { owner: other } = await anOrg();
    assert.equal((await create(other)).status, 201);
  });

  test('making the same session again is no second one', async () => {
    const { owner } = await anOrg();
    await put(owner, { personDailySessions: 1 });
    const id = newSessionId();
    assert.equal((await create(owner, { id })).status, 201);
    assert.equal((await create(owner, { id })).status, 200);
    await assertError(await create(owner, { id: newSessionId() }), 429, 'rate_limited');
  });

  test('a session that is at work counts, and one that rests does not', async () => {
    const { owner } = await anOrg();
    await put(owner, { personConcurrentSessions: 1 });
    const { id } = await (await create(owner)).json();
    // It is idle, and rests: as soon as the index knows it, there may be another.
    const next = await until(async () => {
      const answer = await create(owner, { id: newSessionId(), prompt: 'Work' });
      return answer.status === 201 && answer.json();
    }, 'a second session');
    await until(async () => (await (await owner.api(`/api/sessions/${next.id}`)).json()).phase === 'starting', 'a start');
    await assertError(await create(owner, { id: newSessionId() }), 429, 'rate_limited');
    assert.equal((await owner.api(`/api/sessions/${next.id}`, { method: 'DELETE' })).status, 200);
    await until(async () => (await create(owner, { id: newSessionId() })).status === 201, 'room after the end');
    assert.ok(id);
  });
});

describe('settings', () => {
  test('say who sees a new session', async () => {
    const { owner, org } = await anOrg();
    const colleague = await member(worker, org, 'member');
    await put(owner, { defaultVisibility: 'org' });
    const { id } = await (await create(owner)).json();
    assert.equal((await colleague.api(`/api/sessions/${id}`)).status, 200);
    assert.equal((await (await colleague.api(`/api/sessions/${id}`)).json()).visibility, 'org');
  });

  test('are read and written by admins, of their own org’s members', async () => {
    const { owner, org } = await anOrg();
    const [admin, plain, stranger] = [await member(worker, org, 'admin'), await member(worker, org, 'member'), await worker.signIn()];
    assert.equal((await put(admin, { personDailySessions: 3 })).status, 200);
    for (const [method, path] of [['GET', ''], ['PUT', ''], ['GET', `/users/${plain.user.id}`], ['PUT', `/users/${plain.user.id}`]]) {
      const answer = await plain.api(`/api/admin/settings${path}`, { method, ...(method === 'PUT' && { body: {} }) });
      await assertError(answer, 403, 'forbidden');
    }
    await assertError(await put(owner, {}, `/users/${stranger.user.id}`), 404, 'not_found');
    await assertError(await owner.api(`/api/admin/settings/users/${stranger.user.id}`), 404, 'not_found');
    await assertError(await owner.api('/api/admin/settings/users/nobody'), 404, 'not_found');
    await assertError(await worker.fetch('/api/admin/settings'), 401, 'unauthenticated');
  });

  test('take no nonsense, and keep what was there', async () => {
    const { owner, org } = await anOrg();
    const person = await member(worker, org, 'member');
    await put(owner, { personDailySessions: 3 });
    for (const body of ['', '[]', '{', '{"x":1}', '{"defaultVisibility":"public"}']) await assertError(await put(owner, body), 400, 'bad_request');
    for (const body of [{ personDailySessions: -1 }, { personDailySessions: 1.5 }, { personDailySessions: 'many' }]) await assertError(await put(owner, body), 422, 'invalid');
    await assertError(await put(owner, { orgDailySessions: 1 }, `/users/${person.user.id}`), 422, 'invalid');
    await assertError(await put(owner, `{"personDailySessions":${'1'.repeat(2_000_000)}}`), 413, 'too_large');
    assert.deepEqual(await (await owner.api('/api/admin/settings')).json(), { personDailySessions: 3 });
  });
});
