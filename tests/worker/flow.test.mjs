/**
 * Flow control of viewers: who answers the checks stays, who does not is cut off at the limit and catches up by pages.
 * The limits are those of `crates/protocol/src/limits.rs`.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { startWorker } from './harness.mjs';
import { attach, runningTurn, startHost, textPart } from './stand-ins.mjs';

const CHECK_EVERY_BYTES = 256 * 1024;
const MAX_UNREAD_BYTES = 8 * 1024 * 1024;
const OUTPUT = 'x'.repeat(200 * 1024);
const OVERLOADED = 4429;

let worker;
let host;
before(async () => {
  host = await startHost();
  worker = await startWorker({ vars: host.vars });
});
after(async () => {
  await worker.stop();
  await host.stop();
});
afterEach(() => worker.assertNoPanics());

/** One large event; resolves when it is stored. */
async function large(runner, turnId, i) {
  const part = { ...textPart(`prt_${i}`, OUTPUT, i), endedAt: new Date().toISOString() };
  await runner.event({ kind: 'part.finished', turnId, messageId: 'msg_a', part });
}

/** Answers the newest check, as a client does when it has come so far. */
function answer(viewer) {
  const check = viewer.socket.frames.findLast((frame) => frame.type === 'check');
  if (check) viewer.socket.send(`seen ${check.sent}`);
}

test('a viewer that answers the checks stays; one that never does is cut off and catches up without a loss', async () => {
  const me = await worker.signIn();
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  const reads = await attach(worker, me, session);
  const silent = await attach(worker, me, session);
  await runner.event({ kind: 'message.started', turnId, messageId: 'msg_a' });

  const count = Math.ceil((1.5 * MAX_UNREAD_BYTES) / OUTPUT.length);
  for (let i = 0; i < count; i += 1) {
    await large(runner, turnId, i);
    await reads.event('part.finished');
    answer(reads);
  }

  // A socket that another's message made the agent close ends, in local workerd, when the agent next hibernates.
  await worker.evict('SESSION_AGENT', session);
  assert.equal((await silent.socket.closed).code, OVERLOADED);
  const sizes = silent.socket.frames.reduce((sum, frame) => sum + JSON.stringify(frame).length, 0);
  assert.ok(sizes > MAX_UNREAD_BYTES, `cut off after ${sizes} bytes`);
  assert.ok(sizes < MAX_UNREAD_BYTES + 4 * CHECK_EVERY_BYTES, `cut off only after ${sizes} bytes`);

  const had = silent.events();
  const again = await attach(worker, me, session, had.at(-1).seq);
  const last = reads.events().at(-1).seq;
  assert.equal(again.hello.firstSeq, had.at(-1).seq + 1);
  while (again.events().at(-1)?.seq !== last) await again.socket.next((frame) => frame.type === 'events', 'the missed page');
  const whole = [...had, ...again.events()];
  assert.deepEqual(whole.map((event) => event.seq), whole.map((_, i) => whole[0].seq + i));
  assert.deepEqual(whole.filter(({ type }) => type === 'part.finished').length, count);

  // The one that answered is still there.
  await large(runner, turnId, count);
  await reads.event('part.finished');
  reads.socket.terminate();
  again.socket.terminate();
  runner.socket.terminate();
});

test('a viewer is asked every so many bytes, and answers do not become commands', async () => {
  const me = await worker.signIn();
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  const viewer = await attach(worker, me, session);
  await runner.event({ kind: 'message.started', turnId, messageId: 'msg_a' });
  await large(runner, turnId, 0);
  await viewer.event('part.finished');
  assert.ok(!viewer.socket.frames.some((frame) => frame.type === 'check'), 'asked too early');
  await large(runner, turnId, 1);
  const { sent } = await viewer.socket.next((frame) => frame.type === 'check', 'a check');
  assert.ok(sent >= CHECK_EVERY_BYTES && sent < 2 * CHECK_EVERY_BYTES + OUTPUT.length, `${sent}`);
  viewer.socket.send(`seen ${sent}`);
  viewer.socket.send('seen nothing');
  const { code } = await viewer.socket.next((frame) => frame.type === 'reject', 'a refusal');
  assert.equal(code, 'bad_request');
  const renamed = await viewer.command({ type: 'rename', title: 'Read it all' });
  assert.equal(renamed.type, 'ack');
  const refusals = viewer.socket.frames.filter((frame) => frame.type === 'reject');
  assert.equal(refusals.length, 1, 'only the answer without a number is refused');
  viewer.socket.terminate();
  runner.socket.terminate();
});
