/**
 * An engine that goes away before the answer of its model begins. In workerd as `npm start` runs it: the test harness'
 * own proxy would not tell the Worker.
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';

import { PROVIDER_KEY, startServer, until, workingSandbox } from './harness.mjs';
import { startRestartable } from './restartable.mjs';

let worker;
let upstream;
/** Calls that the provider got and does not answer. */
const calls = [];

before(async () => {
  upstream = await startServer((_, response) => {
    const call = { gone: false };
    calls.push(call);
    response.on('close', () => (call.gone = true));
  });
  const model = { provider: 'acme', model: 'large', name: 'Large', dialect: 'openai', baseUrl: upstream.url, apiKey: PROVIDER_KEY, context: 1000, output: 100 };
  worker = await startRestartable({ vars: { MODELS: JSON.stringify([model]) } });
});
after(async () => {
  await worker.stop();
  await upstream.stop();
});

/** Calls the model on a connection of its own. */
function engine(sandbox) {
  const body = JSON.stringify({ model: 'large', messages: [{ role: 'user', content: 'x'.repeat(4000) }] });
  const socket = net.connect(Number(new URL(worker.url).port), '127.0.0.1');
  socket.on('error', () => {});
  socket.write(`POST /llm/acme/v1/chat/completions HTTP/1.1\r\nhost: errand.test\r\nauthorization: Bearer ${sandbox.token}\r\n`
    + `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  return socket;
}

test('stops the call, which is booked once, with its request', async () => {
  const sandbox = await workingSandbox(worker);
  const own = async () => (await (await sandbox.me.api('/api/usage')).json()).own;
  const [first, second] = [engine(sandbox), engine(sandbox)];
  await until(() => calls.length === 2, 'both calls arrive');
  // As the runner's relay ends its connections: one that is only half closed may still be read from.
  first.resetAndDestroy();
  await until(() => calls.some(({ gone }) => gone), 'the provider hears of it');
  const booked = await until(async () => {
    const used = await own();
    return used.calls > 0 && used;
  }, 'the call is booked');
  assert.deepEqual([booked.calls, booked.estimated, booked.tokens.output], [1, 1, 0]);
  assert.ok(booked.tokens.input > 500, `${booked.tokens.input} tokens of 4,000 characters`);
  assert.equal(calls.filter(({ gone }) => gone).length, 1, 'the other one goes on');
  second.resetAndDestroy();
  await until(async () => (await own()).calls === 2, 'that one too');
  assert.ok(calls.every(({ gone }) => gone));
});
