/** The routes that need no session: health, configuration, and addresses that do not exist. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { assertError, json, MODEL, models, startServer, startWorker } from './harness.mjs';

let worker;
let host;
let model;
let hostAnswer;
before(async () => {
  const good = { version: '1', isolation: 'none', warning: 'Sandboxes are not isolated here.', limits: [], egress: 'none', running: 0, capacity: 4 };
  hostAnswer = (response) => response.end(JSON.stringify(good));
  host = await startServer((_, response) => hostAnswer(response));
  model = await startServer((_, response) => {
    response.statusCode = 401;
    response.end('{}');
  });
  worker = await startWorker({
    vars: { SANDBOX_HOST_URL: `${host.url}/`, MODELS: models(`${model.url}/v1`), SAMPLE_REPO: '/srv/samples/calc' },
  });
});
afterEach(() => worker.assertNoPanics());
after(async () => {
  await worker.stop();
  await host.stop();
  await model.stop();
});

test('GET /health is 200 when every part answers', async () => {
  const answer = await worker.fetch('/health');
  const health = await answer.json();
  assert.equal(answer.status, 200, JSON.stringify(health));
  assert.equal(health.status, 'ok');
  assert.deepEqual(health.parts.map((part) => [part.name, part.ok]),
    [['database', true], ['files', true], ['sessions', true], ['sandboxHost', true], ['model', true]]);
});

test('GET /health does not show the key to the model endpoint', async () => {
  await worker.fetch('/health');
  assert.ok(model.requests.length > 0);
  for (const request of model.requests) assert.equal(request.headers.authorization, undefined);
});

test('GET /health is 503 when a part is broken or says nothing', async () => {
  const saved = hostAnswer;
  try {
    for (const broken of [(response) => response.end('nonsense'), () => {}]) {
      hostAnswer = broken;
      const answer = await worker.fetch('/health');
      const health = await answer.json();
      assert.equal(answer.status, 503);
      assert.equal(health.status, 'degraded');
      assert.deepEqual(health.parts.filter((part) => !part.ok).map((part) => part.name), ['sandboxHost']);
    }
  } finally {
    hostAnswer = saved;
  }
});

test('GET /api/config tells a stranger what there is, and no secret', async () => {
  const text = await (await worker.fetch('/api/config')).text();
  const config = JSON.parse(text);
  assert.deepEqual(config.signIn, ['dev']);
  assert.deepEqual(config.models[0], { id: 'demo/scripted', name: 'Demo', demo: true });
  assert.equal(config.models.length, 3);
  assert.equal(config.sampleRepo.url, '/srv/samples/calc');
  assert.equal(config.isolation, 'none');
  assert.equal(config.warning, 'Sandboxes are not isolated here.');
  assert.ok(!/sk-|secret|127\.0\.0\.1/.test(text), text);
});

test('GET /api/config warns when the sandbox host does not answer', async () => {
  const saved = hostAnswer;
  hostAnswer = (response) => response.destroy();
  try {
    const config = await (await worker.fetch('/api/config')).json();
    assert.equal(config.isolation, undefined);
    assert.match(config.warning, /sandbox host does not answer/);
  } finally {
    hostAnswer = saved;
  }
});

test('an address that does not exist is a JSON 404 under every prefix of the Worker', async () => {
  for (const path of ['/api', '/api/', '/api/nothing', '/auth/nothing', '/runner', '/llm', '/llm/demo', '/api/sessions/', '/api/%ff', '/api/auth/me/']) {
    await assertError(await worker.fetch(path), 404, 'not_found');
  }
});

test('a method that an address does not know is a JSON 405', async () => {
  for (const [method, path] of [['DELETE', '/api/auth/me'], ['PUT', '/api/sessions'], ['POST', '/health'], ['GET', '/auth/logout'], ['POST', '/runner/ses_1'], ['PROPFIND', '/api/config']]) {
    await assertError(await worker.fetch(path, { method }), 405, 'method_not_allowed');
  }
});

test('a 405 says which methods there are', async () => {
  const { api } = await worker.signIn();
  const { id } = await (await api('/api/sessions', { method: 'POST', body: { model: MODEL } })).json();
  for (const [method, path, methods] of [
    ['POST', '/health', 'GET,HEAD'],
    ['PUT', '/api/keys', 'GET,HEAD,POST'],
    ['PUT', `/api/sessions/${id}`, 'GET, PATCH, DELETE'],
    ['GET', `/api/sessions/${id}/abort`, 'POST'],
    ['POST', `/api/sessions/${id}/transcript`, 'GET'],
    ['GET', `/api/sessions/${id}/prompts/prm_1`, 'PATCH, DELETE'],
    ['PUT', `/api/sessions/${id}/shares`, 'GET, POST'],
  ]) {
    const answer = await api(path, { method });
    assert.equal(answer.headers.get('allow'), methods, `${method} ${path}`);
    await assertError(answer, 405, 'method_not_allowed');
  }
});

test('every answer has a reference that the caller cannot choose, no guessed type, and no place in a cache', async () => {
  for (const path of ['/api/config', '/api/nothing']) {
    const answer = await worker.fetch(path, { headers: { 'x-request-id': 'mine' } });
    assert.match(answer.headers.get('x-request-id'), /^req_/);
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
    assert.equal(answer.headers.get('cache-control'), 'no-store');
  }
});

test('GET /api/repos ends with the sample, and needs a sign-in', async () => {
  await assertError(await worker.fetch('/api/repos'), 401, 'unauthenticated');
  const { api } = await worker.signIn();
  const { repos } = await (await api('/api/repos')).json();
  assert.deepEqual(repos.map((repo) => [repo.name, repo.url]), [['calc', '/srv/samples/calc']]);
});

test('a deeply nested body is refused and nothing else', async () => {
  const { api } = await worker.signIn();
  const answer = await api('/api/sessions', json('POST', '['.repeat(500_000)));
  await assertError(answer, 400, 'bad_request');
});
