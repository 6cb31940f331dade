/**
 * The Worker as `npm start` runs it: on the real network, where the test harness of the other files stands in
 * between, and with storage that outlives the process.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { startWorker as startOnNetwork } from '../../scripts/worker.mjs';
import { assertError, BUILD, clientOf, defaultVars, json, models, startServer, until, workingSandbox } from './harness.mjs';

let home;
let upstream;
let answer;
let worker;
let sandbox;

const start = async () => {
  const vars = { ...defaultVars(), MODELS: models(`${upstream.url}/v1`, 'http://127.0.0.1:9/v1') };
  worker = await startOnNetwork({ port: 0, home, vars, buildDir: BUILD, clientDir: path.join(home, 'no-client') });
};
before(async () => {
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'errand-worker-'));
  upstream = await startServer((request, response) => answer(request, response));
  await start();
  sandbox = await workingSandbox(clientOf(worker.url));
});
after(async () => {
  await worker.stop();
  await upstream.stop();
  fs.rmSync(home, { recursive: true, force: true });
});

const ask = (provider, body, signal) =>
  fetch(`${worker.url}/llm/${provider}/v1/chat/completions`, {
    ...json('POST', body),
    signal,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${sandbox.token}` },
  });

test('a provider that cannot be reached is unavailable', async () => {
  const response = await ask('claude', { model: 'c1' });
  const body = await response.json();
  assert.equal(response.status, 503);
  assert.equal(body.error.code, 'unavailable');
  assert.match(body.error.message, /claude\/c1 cannot be reached/);
});

test('a provider that redirects is refused without being followed', async () => {
  upstream.requests.length = 0;
  answer = (_, response) => {
    response.writeHead(307, { location: `${upstream.url}/elsewhere` });
    response.end();
  };
  const response = await ask('demo', { model: 'scripted' });
  assert.equal(response.status, 502);
  assert.deepEqual(upstream.requests.map((request) => request.url), ['/v1/chat/completions']);
});

/** What the sandbox's owner has used this month. */
const used = async () => (await (await sandbox.me.api('/api/usage')).json()).own;

test('an engine that goes away ends the stream of the provider, and what was used so far is booked', async () => {
  const before = await used();
  const ended = new Promise((resolve) => {
    answer = (_, response) => {
      // It writes on and on, as a model does: the connection's end shows when something is written to it.
      const piece = { choices: [{ index: 0, delta: { content: 'four' } }] };
      const writing = setInterval(() => response.write(`data: ${JSON.stringify(piece)}\n\n`), 20);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.on('close', () => {
        clearInterval(writing);
        resolve();
      });
    };
  });
  const aborted = new AbortController();
  const response = await ask('demo', { model: 'scripted' }, aborted.signal);
  const reader = response.body.getReader();
  await reader.read();
  aborted.abort();
  await ended;
  const after = await until(async () => {
    const now = await used();
    return now.calls > before.calls && now;
  }, 'the booking');
  assert.equal(after.calls, before.calls + 1);
  assert.equal(after.estimated, before.estimated + 1);
  assert.ok(after.tokens.output > before.tokens.output && after.tokens.input > before.tokens.input, JSON.stringify(after));
});

test('an engine that goes away before the answer begins: the call is booked by an estimate, once', async () => {
  const before = await used();
  let answering;
  const asked = new Promise((resolve) => {
    answer = (_, response) => {
      answering = response;
      resolve();
    };
  });
  const aborted = new AbortController();
  const gone = assert.rejects(ask('demo', { model: 'scripted' }, aborted.signal));
  await asked;
  aborted.abort();
  await gone;
  answering.writeHead(200, { 'content-type': 'text/event-stream' });
  const writing = setInterval(() => answering.write(': on and on\n\n'), 20);
  await new Promise((resolve) => answering.on('close', resolve));
  clearInterval(writing);
  const after = await until(async () => {
    const now = await used();
    return now.calls > before.calls && now;
  }, 'the booking');
  assert.deepEqual([after.calls, after.estimated], [before.calls + 1, before.estimated + 1]);
});

test('a sandbox host that cannot be reached is named by health and config', async () => {
  const health = await (await fetch(`${worker.url}/health`)).json();
  assert.equal(health.parts.find((part) => part.name === 'sandboxHost').ok, false);
  assert.equal(health.parts.find((part) => part.name === 'database').ok, true);
  assert.match((await (await fetch(`${worker.url}/api/config`)).json()).warning, /does not answer/);
});

test('sign-ins, sessions and the index outlive the process', async () => {
  const { token } = await (await fetch(`${worker.url}/auth/dev`, json('POST', { login: 'ada' }))).json();
  const authorization = `Bearer ${token}`;
  const create = json('POST', { title: 'Stays' });
  const made = await (await fetch(`${worker.url}/api/sessions`, { ...create, headers: { ...create.headers, authorization } })).json();
  const listed = async () => (await (await fetch(`${worker.url}/api/sessions`, { headers: { authorization } })).json()).sessions;
  await until(async () => (await listed()).length === 1, 'the session in the list');
  await worker.stop();
  await start();
  assert.deepEqual((await listed()).map((session) => session.title), ['Stays']);
  const session = await fetch(`${worker.url}/api/sessions/${made.id}`, { headers: { authorization } });
  assert.equal((await session.json()).title, 'Stays');
  await assertError(await fetch(`${worker.url}/api/sessions/${made.id}`), 401, 'unauthenticated');
});
