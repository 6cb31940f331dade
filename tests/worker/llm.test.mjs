/** The LLM proxy: whose token opens it, what the provider sees, and what comes back. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { models, newSessionId, PROVIDER_KEY, sandboxToken, startServer, startWorker, workingSandbox } from './harness.mjs';

let worker;
let upstream;
let answer;
let session;
let token;
let org;

before(async () => {
  upstream = await startServer((request, response) => answer(request, response));
  const listed = [...JSON.parse(models(`${upstream.url}/openai/v1`, `${upstream.url}/anthropic/v1`)),
    { provider: 'gone', model: 'm', name: 'M', dialect: 'openai', baseUrl: 'http://127.0.0.1:9/v1', apiKey: PROVIDER_KEY }];
  worker = await startWorker({ vars: { MODELS: JSON.stringify(listed) } });
  ({ session, token, org } = await workingSandbox(worker));
});
beforeEach(() => {
  upstream.requests.length = 0;
  answer = (_, response) => {
    response.setHeader('content-type', 'application/json');
    response.end('{"ok":true}');
  };
});
afterEach(() => {
  assert.ok(!worker.logs().some((entry) => entry.message.includes(PROVIDER_KEY)), 'the key is in the log');
  worker.assertNoPanics();
});
after(async () => {
  await worker.stop();
  await upstream.stop();
});

const ask = (path, { body = { model: 'scripted', messages: [] }, method = 'POST', headers = {} } = {}) =>
  worker.fetch(path, {
    method,
    ...(method !== 'GET' && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers },
  });

/** Errors have the shape that both OpenAI's and Anthropic's clients read. */
async function assertLlmError(response, status, code) {
  const text = await response.text();
  assert.equal(response.status, status, text);
  const body = JSON.parse(text);
  assert.equal(body.type, 'error');
  assert.equal(body.error.code, code, text);
  assert.equal(body.error.type, code);
  assert.ok(body.error.message.length > 0);
  assert.ok(!text.includes(PROVIDER_KEY));
  return body.error;
}

describe('what the provider sees', () => {
  test('the configured key instead of the sandbox token, in the way of its dialect, and few headers', async () => {
    const headers = { cookie: 'a=b', 'x-forwarded-for': '10.0.0.1', 'x-errand-actor': '{}', 'user-agent': 'engine/1', 'anthropic-version': '2023-06-01' };
    assert.equal((await ask('/llm/demo/v1/chat/completions', { headers })).status, 200);
    assert.equal((await ask('/llm/claude/v1/messages', { headers, body: { model: 'c1' } })).status, 200);
    const [openai, anthropic] = upstream.requests;
    assert.deepEqual([openai.method, openai.url], ['POST', '/openai/v1/chat/completions']);
    assert.equal(openai.headers.authorization, `Bearer ${PROVIDER_KEY}`);
    assert.deepEqual([anthropic.method, anthropic.url], ['POST', '/anthropic/v1/messages']);
    assert.equal(anthropic.headers['x-api-key'], PROVIDER_KEY);
    assert.equal(anthropic.headers.authorization, undefined);
    assert.equal(anthropic.headers['anthropic-version'], '2023-06-01');
    for (const { headers: seen } of upstream.requests) {
      assert.ok(!JSON.stringify(seen).includes(token));
      for (const name of ['cookie', 'x-forwarded-for', 'x-errand-actor']) assert.equal(seen[name], undefined, name);
    }
  });

  test('the body, byte for byte', async () => {
    const body = `{ "model":"scripted" , "messages":[{"role":"user","content":"Grüße 🚀 ${'x'.repeat(2_000_000)}"}]}`;
    assert.equal((await ask('/llm/demo/v1/chat/completions', { body })).status, 200);
    assert.equal(upstream.requests[0].body.toString(), body);
  });

  test('no key when none is configured', async () => {
    assert.equal((await ask('/llm/open/chat/completions', { body: { model: 'm' } })).status, 200);
    assert.equal(upstream.requests[0].headers.authorization, undefined);
  });

  test("Anthropic's clients show the token as x-api-key", async () => {
    const headers = { authorization: '', 'x-api-key': token };
    assert.equal((await ask('/llm/claude/v1/messages', { headers, body: { model: 'c1' } })).status, 200);
    assert.equal(upstream.requests[0].headers['x-api-key'], PROVIDER_KEY);
  });
});

describe('what comes back', () => {
  test('a stream, piece by piece as the provider writes it', async () => {
    let more;
    answer = (_, response) => {
      response.setHeader('content-type', 'text/event-stream');
      response.write('data: one\n\n');
      more = () => response.end('data: two\n\n');
    };
    const response = await ask('/llm/demo/v1/chat/completions');
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    // The second piece is written only after the first has arrived: buffering would hang here.
    assert.equal((await reader.read()).value, 'data: one\n\n');
    more();
    assert.equal((await reader.read()).value, 'data: two\n\n');
    assert.equal((await reader.read()).done, true);
  });

  for (const status of [400, 401, 429, 500, 529]) {
    test(`the provider's own ${status}, with what a retry goes by`, async () => {
      answer = (_, response) => {
        response.writeHead(status, { 'content-type': 'application/json', 'retry-after': '7', 'set-cookie': 'a=b' });
        response.end('{"error":{"message":"theirs"}}');
      };
      const response = await ask('/llm/demo/v1/chat/completions');
      assert.equal(response.status, status);
      assert.equal(response.headers.get('retry-after'), '7');
      assert.equal(response.headers.get('set-cookie'), null);
      assert.equal((await response.json()).error.message, 'theirs');
    });
  }

  test('a redirect is not followed: it could carry the key elsewhere', async () => {
    answer = (_, response) => {
      response.writeHead(302, { location: `${upstream.url}/elsewhere` });
      response.end();
    };
    // The test harness stands between the Worker and the network, and makes a 500 of a redirect; workerd alone 502.
    assert.ok([500, 502].includes((await ask('/llm/demo/v1/chat/completions')).status));
    assert.deepEqual(upstream.requests.map((request) => request.url), ['/openai/v1/chat/completions']);
  });
});

describe('who is let in', () => {
  const now = Math.floor(Date.now() / 1000);
  const signed = (over) => `Bearer ${sandboxToken(session, { ...over, claims: { org, ...over.claims } })}`;
  for (const [what, bad] of [
    ['no token', () => ''],
    ['nonsense', () => 'Bearer nonsense'],
    ['an expired token', () => signed({ claims: { exp: now - 1 } })],
    ['a token for something else', () => signed({ claims: { aud: ['runner'] } })],
    ['a token signed with another key', () => signed({ key: '00'.repeat(32) })],
    ["a token that names another session than the key's", () => signed({ claims: { sub: newSessionId() } })],
    ['a token without an algorithm', () => signed({ header: { alg: 'none' } })],
    ['a token of another org', () => signed({ claims: { org: 'org_other' } })],
    ['a token of an earlier sandbox', () => signed({ claims: { gen: 0 } })],
    ['a token of a session that was never made', () => `Bearer ${sandboxToken(newSessionId())}`],
  ]) {
    test(`not ${what}`, async () => {
      await assertLlmError(await ask('/llm/demo/v1/chat/completions', { headers: { authorization: bad() } }), 401, 'unauthenticated');
      assert.equal(upstream.requests.length, 0);
    });
  }

  test('not the token of a session that has been ended', async () => {
    const ended = await workingSandbox(worker);
    const asked = () => ask('/llm/demo/v1/chat/completions', { headers: { authorization: `Bearer ${ended.token}` } });
    assert.equal((await asked()).status, 200);
    assert.ok((await ended.me.api(`/api/sessions/${ended.session}`, { method: 'DELETE' })).ok);
    await assertLlmError(await asked(), 401, 'unauthenticated');
    assert.equal(upstream.requests.length, 1);
  });

  test("not a person's own token", async () => {
    const { token: own } = await worker.signIn();
    await assertLlmError(await ask('/llm/demo/v1/chat/completions', { headers: { authorization: `Bearer ${own}` } }), 401, 'unauthenticated');
  });
});

test('only configured providers, models and endpoints are relayed', async () => {
  await assertLlmError(await ask('/llm/nobody/v1/chat/completions'), 404, 'not_found');
  for (const path of ['files', 'v1/models', 'v1/../../admin', 'v1/chat/completions/x']) {
    await assertLlmError(await ask(`/llm/demo/${path.replaceAll('/', '%2f')}`), 404, 'not_found');
  }
  await assertLlmError(await ask('/llm/demo/v1/chat/completions', { method: 'GET' }), 405, 'method_not_allowed');
  await assertLlmError(await ask('/llm/demo/v1/chat/completions', { body: { model: 'gpt-expensive' } }), 422, 'invalid');
  await assertLlmError(await ask('/llm/demo/v1/chat/completions', { body: { model: 'c1' } }), 422, 'invalid');
  for (const body of ['', '{', '[]', '{}', '{"model":7}']) {
    await assertLlmError(await ask('/llm/demo/v1/chat/completions', { body }), 400, 'bad_request');
  }
  assert.equal(upstream.requests.length, 0);
});

test('a request that names other models than the one that is judged is refused', async () => {
  const base = { model: 'scripted', messages: [] };
  for (const [field, body] of [['models', { ...base, models: ['openai/gpt-5'] }], ['route', { ...base, route: 'fallback' }], ['Model', { ...base, Model: 'x' }], ['preset', { ...base, preset: 'dear' }]]) {
    const error = await assertLlmError(await ask('/llm/demo/v1/chat/completions', { body }), 422, 'invalid');
    assert.equal(error.details.field, field);
  }
  assert.equal(upstream.requests.length, 0);
});

test('a request that no context window holds is refused', async () => {
  const body = `{"model":"scripted","x":"${'a'.repeat(33 * 1024 * 1024)}"}`;
  await assertLlmError(await ask('/llm/demo/v1/chat/completions', { body }), 413, 'too_large');
  assert.equal(upstream.requests.length, 0);
});

test('a provider that breaks off before it answers is unavailable, not a mystery', async () => {
  answer = (_, response) => response.destroy();
  const response = await ask('/llm/demo/v1/chat/completions');
  // The test harness stands between the Worker and the network, and answers a broken connection with 500.
  assert.ok([500, 503].includes(response.status));
  assert.ok(!(await response.text()).includes(PROVIDER_KEY));
});
