/** The proxy does to connections what it says: a fault that does nothing would prove nothing. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';

import { kindOf, Proxy } from './proxy.mjs';

describe('the proxy', () => {
  let echo;
  let proxy;
  const open = new Set();

  before(async () => {
    echo = net.createServer((socket) => socket.on('error', () => {}).pipe(socket));
    await new Promise((resolve) => echo.listen(0, '127.0.0.1', resolve));
    proxy = await Proxy.to(echo.address().port);
  });
  after(async () => {
    for (const socket of open) socket.destroy();
    await proxy.stop();
    await new Promise((resolve) => echo.close(resolve));
  });

  async function connect(first) {
    const socket = net.connect(proxy.port, '127.0.0.1');
    open.add(socket);
    socket.text = '';
    socket.on('error', (error) => {
      socket.failure = error.code;
    });
    socket.setEncoding('latin1').on('data', (text) => {
      socket.text += text;
    });
    socket.write(first);
    await reads(socket, first);
    return socket;
  }

  async function reads(socket, text) {
    while (!socket.text.includes(text)) await once(socket, 'data');
  }

  // Not `once` of node:events, which takes an error for a failure.
  const closing = (socket) => new Promise((resolve) => socket.once('close', resolve));

  test('passes everything on, in order, and the end of it', async () => {
    const socket = await connect('hello ');
    const much = 'x'.repeat(3_000_000);
    socket.end(much);
    await closing(socket);
    assert.equal(socket.text.length, 6 + much.length);
  });

  test('knows what a connection is for', () => {
    assert.deepEqual(kindOf('GET /runner/ses_01AB HTTP/1.1'), { kind: 'runner', session: 'ses_01AB' });
    assert.deepEqual(kindOf('GET /api/sessions/ses_01AB/ws?after=3 HTTP/1.1'), { kind: 'viewer', session: 'ses_01AB' });
    assert.deepEqual(kindOf('POST /llm/demo/v1/chat/completions HTTP/1.1'), { kind: 'llm', session: undefined });
  });

  test('cuts the wanted connections and no others', async () => {
    const [hit, spared] = [await connect('GET /runner/ses_1 '), await connect('GET /runner/ses_2 ')];
    const closed = closing(hit);
    const fault = proxy.disturb('cut', (link) => link.session === 'ses_1');
    await closed;
    assert.equal(fault.hit, 1);
    assert.equal(hit.failure, 'ECONNRESET');
    spared.write('still here');
    await reads(spared, 'still here');
    fault.end();
  });

  test('holds everything up and lets it through afterwards', async () => {
    const socket = await connect('GET /a ');
    const fault = proxy.disturb('stall');
    socket.write('held up');
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(socket.text, 'GET /a ');
    fault.end();
    await reads(socket, 'held up');
  });

  test('slows down', async () => {
    const socket = await connect('GET /b ');
    const fault = proxy.disturb('slow');
    const started = performance.now();
    socket.write('slowly');
    await reads(socket, 'slowly');
    assert.ok(performance.now() - started > 200, 'there and back');
    fault.end();
    socket.write('fast');
    await reads(socket, 'fast');
  });

  test('leaves who dialled in the belief that all is well', async () => {
    const socket = await connect('GET /c ');
    const fault = proxy.disturb('half-open');
    assert.equal(socket.write('into the void'), true);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(socket.destroyed, false);
    assert.equal(socket.text, 'GET /c ');
    const closed = closing(socket);
    fault.end();
    await closed;
    assert.equal(socket.failure, 'ECONNRESET');
  });

  test('leaves the other end in that belief, and lets who dialled dial again', async () => {
    const reached = once(echo, 'connection');
    const socket = await connect('GET /d ');
    const [far] = await reached;
    const closed = closing(socket);
    const fault = proxy.disturb('ghost');
    await closed;
    const again = await connect('GET /e ');
    assert.equal(far.destroyed, false);
    const gone = closing(far);
    fault.end();
    await gone;
    again.write('still here');
    await reads(again, 'still here');
  });
});
