/** What the Worker checks before a SessionAgent sees a request. What the agent then does is in the tests of sessions. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertError, newSessionId, ORIGIN, sandboxToken, startWorker } from './harness.mjs';

let worker;
before(async () => {
  worker = await startWorker();
});
afterEach(() => worker.assertNoPanics());
after(() => worker.stop());

describe('POST /api/sessions', () => {
  const create = (me, body, headers) => me.api('/api/sessions', { method: 'POST', body, headers });

  test('needs a sign-in, whatever the body is', async () => {
    await assertError(await worker.fetch('/api/sessions', { method: 'POST', body: 'nonsense' }), 401, 'unauthenticated');
  });

  test('refuses bodies that are not what it takes', async () => {
    const me = await worker.signIn();
    for (const body of ['', '{', '[]', '7', '{"promt":"x"}', '{"prompt":7}', '{"repo":"/srv/a"}', '{"repo":{"branch":"x"}}', '{"id":null,"id":null}']) {
      await assertError(await create(me, body), 400, 'bad_request');
    }
    const text = { method: 'POST', body: '{}', headers: { 'content-type': 'text/plain', authorization: `Bearer ${me.token}` } };
    await assertError(await worker.fetch('/api/sessions', text), 415, 'unsupported_media_type');
    await assertError(await create(me, `{"prompt":"${'a'.repeat(10_000_000)}"}`), 413, 'too_large');
  });

  for (const [field, body] of [
    ['title', { title: '' }],
    ['title', { title: 'x'.repeat(100_000) }],
    ['title', { title: 'a\u0007b' }],
    ['prompt', { prompt: ' \n ' }],
    ['prompt', { prompt: 'a\u0000b' }],
    ['prompt', { prompt: 'x'.repeat(600_000) }],
    ['repo.url', { repo: { url: 'relative/path' } }],
    ['repo.url', { repo: { url: '/srv/../etc' } }],
    ['repo.url', { repo: { url: 'https://user:token@example.com/a' } }],
    ['repo.branch', { repo: { url: '/srv/a', branch: 'a..b' } }],
    ['model', { model: 'nonsense' }],
    ['model', { model: 'demo/other' }],
    ['id', { id: 'usr_1' }],
    ['id', { id: 'ses_../../x' }],
  ]) {
    test(`refuses the ${field} of ${JSON.stringify(body).slice(0, 50)} and names it`, async () => {
      const error = await assertError(await create(await worker.signIn(), body), 422, 'invalid');
      assert.equal(error.details.field, field);
    });
  }

  test('refuses an idempotency key that is none', async () => {
    const me = await worker.signIn();
    for (const key of ['x'.repeat(201)]) {
      const error = await assertError(await create(me, {}, { 'idempotency-key': key }), 422, 'invalid');
      assert.equal(error.details.field, 'idempotency-key');
    }
  });

  test('by cookie is believed only from our own pages', async () => {
    const { cookie } = await worker.signIn();
    const send = (origin) => worker.fetch('/api/sessions', {
      method: 'POST', body: '{', headers: { cookie, 'content-type': 'application/json', ...(origin && { origin }) },
    });
    await assertError(await send(), 403, 'forbidden');
    await assertError(await send('https://evil.example'), 403, 'forbidden');
    await assertError(await send(ORIGIN), 400, 'bad_request');
  });
});

describe('a session that there is not', () => {
  test('is 404, whatever is wanted of it', async () => {
    const { api } = await worker.signIn();
    for (const id of [newSessionId(), 'ses_', 'usr_1', 'nonsense', 'ses_%00', `ses_${'a'.repeat(200)}`, 'ses_%ff']) {
      for (const [method, path] of [['GET', ''], ['GET', '/transcript'], ['POST', '/abort'], ['GET', '/events']]) {
        await assertError(await api(`/api/sessions/${id}${path}`, { method }), 404, 'not_found');
      }
    }
  });

  test('is 401 to nobody', async () => {
    for (const path of ['', '/transcript', '/ws', '/a/b/c']) {
      await assertError(await worker.fetch(`/api/sessions/${newSessionId()}${path}`), 401, 'unauthenticated');
    }
  });

  test('takes no body that is too large or not JSON', async () => {
    const { api, token } = await worker.signIn();
    const path = `/api/sessions/${newSessionId()}/prompts`;
    await assertError(await api(path, { method: 'POST', body: `{"text":"${'a'.repeat(2_000_000)}"}` }), 413, 'too_large');
    const form = { method: 'POST', body: 'text=a', headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: `Bearer ${token}` } };
    await assertError(await worker.fetch(path, form), 415, 'unsupported_media_type');
  });

  test('has no WebSocket', async () => {
    const { token } = await worker.signIn();
    const socket = worker.socket(`/api/sessions/${newSessionId()}/ws`, { token });
    const outcome = await Promise.race([
      socket.closed,
      socket.opened.then(() => socket.closed, (refusal) => ({ status: refusal.status })),
    ]);
    assert.ok(outcome.status === 404 || outcome.code === 4404, JSON.stringify(outcome));
  });
});

describe('GET /runner/:id', () => {
  const session = newSessionId();
  const now = Math.floor(Date.now() / 1000);
  for (const [what, token] of [
    ['without a token', undefined],
    ['with nonsense', 'nonsense'],
    ["with another session's token", sandboxToken(newSessionId())],
    ["with a token of its own that is signed by another's key", sandboxToken(newSessionId(), { claims: { sub: session } })],
    ['with an expired token', sandboxToken(session, { claims: { exp: now - 1 } })],
    ['with a token for the LLM proxy alone', sandboxToken(session, { claims: { aud: ['llm'] } })],
    ['with a forged token', sandboxToken(session, { key: 'ff'.repeat(32) })],
  ]) {
    test(`is 401 ${what}`, async () => {
      const headers = token ? { authorization: `Bearer ${token}` } : {};
      await assertError(await worker.fetch(`/runner/${session}`, { headers }), 401, 'unauthenticated');
      const refusal = await worker.socket(`/runner/${session}`, { token }).opened.then(() => assert.fail('let in'), (error) => error);
      assert.equal(refusal.status, 401);
    });
  }

  test("a person's token does not open it", async () => {
    const { api } = await worker.signIn();
    await assertError(await api(`/runner/${session}`), 401, 'unauthenticated');
  });

  test('takes only WebSocket connections', async () => {
    const headers = { authorization: `Bearer ${sandboxToken(session)}` };
    await assertError(await worker.fetch(`/runner/${session}`, { headers }), 400, 'bad_request');
  });
});
