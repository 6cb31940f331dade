/** A model call that nobody waits for any more ends at the provider at once, also before the first byte of its answer. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';

import { until } from '../lib/programs.mjs';
import { startSystem } from '../lib/system.mjs';

/** Until the provider hears of it. The way there: session, runner, engine, relay, proxy, Worker. */
const AT_ONCE = 3_000;

describe('a model that has not begun to answer', () => {
  /** Calls that it has: `{gone, answer(text)}`. */
  const calls = [];
  let vendor;
  let system;
  let me;

  before(async () => {
    vendor = http.createServer(async (request, response) => {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const text = Buffer.concat(chunks).toString();
      const answer = (content) => {
        const piece = (delta, finish_reason = null) => `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.end(`${piece({ role: 'assistant', content })}${piece({}, 'stop')}data: [DONE]\n\n`);
      };
      if (request.method === 'GET') return response.end('{"data":[]}');
      if (/title generator/i.test(text)) return answer('A title');
      const call = { gone: false, answer };
      response.on('close', () => (call.gone = true));
      calls.push(call);
    });
    await new Promise((resolve) => vendor.listen(0, '127.0.0.1', resolve));
    const baseUrl = `http://127.0.0.1:${vendor.address().port}/v1`;
    const model = { provider: 'acme', model: 'large', name: 'Large', dialect: 'openai', baseUrl, apiKey: 'k', context: 100_000, output: 1000 };
    system = await startSystem({ vars: { MODELS: JSON.stringify([model]) } });
    me = await system.signIn();
  });
  after(async () => {
    await system?.stop();
    vendor?.closeAllConnections();
    await new Promise((resolve) => vendor.close(resolve));
  });

  const asked = (count) => until(() => calls.length >= count && calls[count - 1], `call ${count}`);
  const heard = (call) => until(() => call.gone, 'the provider hears of it', AT_ONCE);
  const booked = (session, count) => until(async () => (await me.api(`${session.path}/usage`)).session.calls >= count, 'the booking');

  test('hears that a person stopped the turn, and the session goes on', async () => {
    const session = await me.create();
    const prompt = await session.prompt('Think hard.');
    const call = await asked(1);
    assert.ok(!call.gone);
    await session.abort();
    await heard(call);
    assert.equal((await session.viewer.finished({ promptId: prompt.id })).outcome, 'aborted');
    await booked(session, 1);
    const next = await session.prompt('Say something.');
    (await asked(2)).answer('Something.');
    assert.equal((await session.viewer.finished({ promptId: next.id })).outcome, 'done');
    assert.equal(calls.length, 2, 'nothing was asked twice');
    await session.end();
  });

  test('hears that the engine died', async () => {
    const session = await me.create();
    const before = calls.length;
    await session.prompt('Think hard.');
    const call = await asked(before + 1);
    const engines = system.sandboxProcesses(session, /opencode/).filter(({ command }) => /serve/.test(command));
    for (const { pid } of engines) process.kill(pid, 'SIGKILL');
    assert.ok(engines.length > 0);
    await heard(call);
    await session.end();
  });

  test('hears that the session was ended', async () => {
    const session = await me.create();
    const before = calls.length;
    await session.prompt('Think hard.');
    const call = await asked(before + 1);
    await session.end();
    await heard(call);
  });
});
