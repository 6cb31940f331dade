/** That the bench notices what it must: lost, doubled and altered deltas, and a relay that stops. `node --test bench/bench.test.mjs`. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import test from 'node:test';

import WebSocket, { WebSocketServer } from 'ws';

import { RelayRun } from './lib/relay-run.mjs';
import { median, percentile, rounded } from './lib/stats.mjs';

/** A relay in this process; `pass(frame, n)` gives the frames to send on for the n-th that came. */
async function relayed(pass, work) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const url = `ws://127.0.0.1:${server.address().port}`;
  const viewers = new Set();
  server.on('connection', (socket, request) => {
    if (request.url === '/viewer') return viewers.add(socket);
    let n = 0;
    socket.on('message', (data) => {
      const frames = pass(String(data), n);
      n += 1;
      for (const viewer of viewers) for (const frame of frames) viewer.send(frame);
    });
    return undefined;
  });
  const socket = new WebSocket(`${url}/sender`);
  await once(socket, 'open');
  const link = { socket, begin() {}, end() {} };
  const run = await RelayRun.open({ link, viewers: { count: 3, url: `${url}/viewer`, greeted: false }, perPart: 50 });
  try {
    return await work(run);
  } finally {
    run.close();
    for (const client of server.clients) client.terminate();
    await new Promise((resolve) => server.close(resolve));
  }
}

const alter = (frame, change) => JSON.stringify({ ...JSON.parse(frame), ...change(JSON.parse(frame)) });

test('a faithful relay yields a latency for every delta at every viewer', async () => {
  const latencies = await relayed((frame) => [frame], (run) => run.paced(1000, 0.12));
  assert.equal(latencies.length, 120 * 3);
  assert.ok(latencies.every((ms) => ms >= 0 && ms < 5000));
});

test('deltas that a relay joins count as what they hold', async () => {
  let held = null;
  const joining = (frame, n) => {
    if (n % 2 === 0) {
      held = JSON.parse(frame);
      return [];
    }
    return [JSON.stringify({ ...held, text: held.text + JSON.parse(frame).text })];
  };
  const latencies = await relayed(joining, (run) => run.paced(1000, 0.1));
  assert.equal(latencies.length, 100 * 3);
});

test('fields in another order are read as well', async () => {
  const reordered = (frame) => {
    const { type, partId, offset, text } = JSON.parse(frame);
    return [JSON.stringify({ type, text, offset, partId })];
  };
  const latencies = await relayed(reordered, (run) => run.paced(1000, 0.05));
  assert.equal(latencies.length, 50 * 3);
});

test('a lost delta is noticed', async () => {
  await assert.rejects(relayed((frame, n) => (n === 7 ? [] : [frame]), (run) => run.paced(1000, 0.05)), /a delta at/);
});

test('a doubled delta is noticed', async () => {
  await assert.rejects(relayed((frame, n) => (n === 7 ? [frame, frame] : [frame]), (run) => run.paced(1000, 0.05)), /a delta at/);
});

test('an altered text is noticed', async () => {
  const altered = (frame, n) => [n === 7 ? alter(frame, ({ text }) => ({ text: text.toUpperCase() })) : frame];
  await assert.rejects(relayed(altered, (run) => run.paced(1000, 0.12)), /another text/);
});

test('a relay that stops is noticed', async () => {
  const stops = relayed((frame, n) => (n < 40 ? [frame] : []), async (run) => {
    await run.paced(1000, 0.04);
    run.next();
    await run.source.delivered(50);
  });
  await assert.rejects(stops, /only 40 of 41 deltas/);
});

test('percentiles are of the nearest rank', () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  assert.equal(percentile(values, 50), 50);
  assert.equal(percentile(values, 99), 99);
  assert.equal(median([3, 1, 2]), 2);
  assert.throws(() => percentile([], 50));
  assert.equal(rounded(0.123456), 0.123);
  assert.equal(rounded(12345.6), 12346);
});
