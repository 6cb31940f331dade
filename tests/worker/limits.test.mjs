/** Settings of an org and its members, and the limits that they set: how many sessions there may be. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertError, json, member, MODEL, newSessionId, startWorker, until } from './harness.mjs';
import { specOf, startHost } from './stand-ins.mjs';

let worker;
let host;
before(async () => {
  host = await startHost();
  worker = await startWorker({ vars: { ...host.vars, SETTINGS: JSON.stringify({ personDailySessions: 6 }) } });
});
afterEach(() => worker.assertNoPanics());
after(async () => {
  await worker.stop();
  await host.stop();
});

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
    assert.equal(Number(refused.headers.get('retry-after')), error.details.retryAfter);
    assert.ok(error.details.retryAfter > 0);
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

  test('a session that was made long ago waits with its work until another one rests, and says why', async () => {
    const { owner } = await anOrg();
    const idle = await (await create(owner)).json();
    const busy = await (await create(owner)).json();
    await put(owner, { personConcurrentSessions: 1 });
    const prompt = (id) => owner.api(`/api/sessions/${id}/prompts`, json('POST', { text: 'Work' }));
    assert.equal((await prompt(busy.id)).status, 202);
    await specOf(host, busy.id);
    assert.equal((await prompt(idle.id)).status, 202);
    await until(async () => /you have 1 session at work: wait until one rests/.test((await (await owner.api(`/api/sessions/${idle.id}`)).json()).cause?.message), 'the reason');
    assert.ok(!host.puts.some(({ name }) => name.includes(idle.id)));
    assert.equal((await owner.api(`/api/sessions/${busy.id}`, { method: 'DELETE' })).status, 200);
    await specOf(host, idle.id);
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

describe('sandboxes', () => {
  test('are never limited to what none could work with', async () => {
    const { owner, org } = await anOrg();
    const person = await member(worker, org, 'member');
    for (const [field, least] of [['sandboxMinutes', 5], ['sandboxMemoryMib', 256], ['sandboxCpuMillis', 100]]) {
      for (const path of ['', `/users/${person.user.id}`]) {
        for (const value of [0, least - 1]) {
          const error = await assertError(await owner.api(`/api/admin/settings${path}`, { method: 'PUT', body: { [field]: value } }), 422, 'invalid');
          assert.equal(error.details.field, field);
        }
        assert.equal((await owner.api(`/api/admin/settings${path}`, { method: 'PUT', body: { [field]: least } })).status, 200);
      }
    }
  });

  test('are as large and last as long as their maker wants, up to the limit of the org', async () => {
    const { owner, org } = await anOrg();
    const person = await member(worker, org, 'member');
    await put(owner, { sandboxMemoryMib: 2048, sandboxMinutes: 30 });
    const spec = async (body) => {
      const answer = await create(person, { id: newSessionId(), prompt: 'Work', ...body });
      assert.equal(answer.status, 201, await answer.clone().text());
      const { id } = await answer.json();
      return (await specOf(host, id)).spec.limits;
    };
    assert.deepEqual(await spec({}), { memoryMib: 2048, pids: 2048, cpuMillis: 2000 }, 'what is usual, up to the limit');
    assert.deepEqual(await spec({ sandbox: { memoryMib: 512, cpuMillis: 500, minutes: 30 } }), { memoryMib: 512, pids: 2048, cpuMillis: 500 });
    const tooMuch = await create(person, { sandbox: { memoryMib: 4096 } });
    assert.match((await assertError(tooMuch, 429, 'rate_limited')).message, /may have 2048 MiB of memory, not 4096: ask for less; the org's admins set this limit/);
    assert.equal(tooMuch.headers.get('retry-after'), null, 'time alone changes nothing');
    await assertError(await create(person, { sandbox: { minutes: 31 } }), 429, 'rate_limited');
    await put(owner, { sandboxMemoryMib: 'unlimited' }, `/users/${person.user.id}`);
    assert.equal((await spec({ sandbox: { memoryMib: 4096 } })).memoryMib, 4096);
    for (const sandbox of [{ memoryMib: 1 }, { cpuMillis: 0 }, { minutes: 4 }, { minutes: 99_999 }]) await assertError(await create(person, { sandbox }), 422, 'invalid');
    for (const sandbox of [{ memoryMib: -1 }, { disk: 1 }, { minutes: 'all' }, 7]) await assertError(await create(person, { sandbox }), 400, 'bad_request');
  });
});

describe('settings', () => {
  test('say who sees a new session, unless its maker does', async () => {
    const { owner, org } = await anOrg();
    const colleague = await member(worker, org, 'member');
    await put(owner, { defaultVisibility: 'org' });
    const { id } = await (await create(owner)).json();
    assert.equal((await colleague.api(`/api/sessions/${id}`)).status, 200);
    assert.equal((await (await colleague.api(`/api/sessions/${id}`)).json()).visibility, 'org');
    const { id: own } = await (await create(owner, { visibility: 'private' })).json();
    await assertError(await colleague.api(`/api/sessions/${own}`), 404, 'not_found');
    await assertError(await create(owner, { visibility: 'public' }), 400, 'bad_request');
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
