// The order of waiting prompts over HTTP, and steering: a prompt that is to reach the agent during the running turn.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { assertError, startWorker } from './harness.mjs';
import { attach, runningTurn, startHost, startRunner } from './stand-ins.mjs';

let host, worker, me, other;
before(async () => {
  host = await startHost();
  worker = await startWorker({ vars: host.vars });
  [me, other] = [await worker.signIn(), await worker.signIn()];
});
afterEach(() => worker.assertNoPanics());
after(async () => {
  await worker?.stop();
  await host?.stop();
});

/** A running turn, and prompts `prm_<session>_a`, `_b`, … that wait. */
async function waiting(...names) {
  const made = await runningTurn(worker, host, me);
  const id = (name) => `prm_${name}`;
  const send = (body) => me.api(`/api/sessions/${made.session}/prompts`, { method: 'POST', body });
  for (const name of names) assert.equal((await send({ id: id(name), text: name })).status, 202);
  const patch = (name, body, headers) => me.api(`/api/sessions/${made.session}/prompts/${id(name)}`, { method: 'PATCH', body, headers });
  const order = async () => (await attach(worker, me, made.session)).hello.queue.map(({ text }) => text);
  return { ...made, send, patch, order };
}

test('a waiting prompt gets another place and another text in one request', async () => {
  const { patch, order } = await waiting('a', 'b', 'c');
  assert.equal((await patch('c', { to: 'first' })).status, 200);
  assert.deepEqual(await order(), ['c', 'a', 'b']);
  assert.equal((await patch('c', { to: 'last', text: 'C' })).status, 200);
  assert.deepEqual(await order(), ['a', 'b', 'C']);
  const moved = await patch('c', { to: { before: 'prm_b' } });
  assert.equal((await moved.json()).prompt.text, 'C');
  assert.deepEqual(await order(), ['a', 'C', 'b']);
});

test('a change that is refused has changed nothing', async () => {
  const { session, patch, order } = await waiting('a', 'b');
  await assertError(await patch('a', { text: 'changed', to: { before: 'prm_never' } }), 404, 'not_found');
  await assertError(await patch('a', {}), 422, 'invalid');
  await assertError(await patch('a', { to: 'first', promote: true }), 422, 'invalid');
  await assertError(await patch('a', { to: 'middle' }), 400, 'bad_request');
  await assertError(await patch('a', { place: 'first' }), 400, 'bad_request');
  await assertError(await patch('never', { promote: true }), 404, 'not_found');
  const at = `/api/sessions/${session}/prompts/prm_a`;
  await assertError(await other.api(at, { method: 'PATCH', body: { promote: true } }), 404, 'not_found');
  await assertError(await worker.fetch(at, { method: 'PATCH' }), 401, 'unauthenticated');
  assert.deepEqual(await order(), ['a', 'b']);
});

test('a promoted prompt stops the turn and runs next; promoting again by the same key does not stop it', async () => {
  const { patch, order, runner, turnId } = await waiting('a', 'b');
  const key = { 'idempotency-key': 'p' };
  assert.equal((await patch('b', { promote: true }, key)).status, 200);
  assert.deepEqual(await order(), ['b', 'a']);
  assert.equal((await runner.next('abort')).turnId, turnId);
  await runner.finish(turnId, undefined, { outcome: 'aborted' });
  assert.equal((await runner.accept()).text, 'b');
  assert.equal((await patch('b', { promote: true }, key)).status, 200);
  await assertError(await patch('b', { promote: true }), 409, 'conflict');
  assert.ok(!runner.socket.frames.some((frame) => frame.type === 'abort' && frame.turnId !== turnId));
});

test('a prompt that steers is handed to the running turn and ends with it', async () => {
  const { session, send, runner, turnId } = await waiting();
  const viewer = await attach(worker, me, session);
  for (let time = 0; time < 2; time += 1) {
    const answer = await send({ id: 'prm_s', text: 'also this', mode: 'steer' });
    assert.deepEqual([answer.status, (await answer.json()).prompt.mode], [202, 'steer']);
  }
  const steer = await runner.next('steer');
  assert.deepEqual([steer.turnId, steer.promptId, steer.text], [turnId, 'prm_s', 'also this']);
  const withdraw = () => me.api(`/api/sessions/${session}/prompts/prm_s`, { method: 'DELETE' });
  await assertError(await withdraw(), 409, 'conflict');
  await runner.event({ kind: 'steer.accepted', turnId, promptId: 'prm_s' });
  assert.equal((await viewer.event('prompt.steered')).turnId, turnId);
  await worker.evict('SESSION_AGENT', session);
  await runner.finish(turnId);
  await viewer.event('turn.finished');
  await assertError(await withdraw(), 409, 'conflict');
  assert.ok(!runner.socket.frames.some((frame) => frame.type === 'run' && frame.text === 'also this'));
});

test('a steering prompt that the runner refuses runs as a turn of its own', async () => {
  const { send, runner, turnId } = await waiting();
  await send({ id: 'prm_s', text: 'also this', mode: 'steer' });
  await runner.next('steer');
  const cause = { code: 'turn_over', message: 'The turn is over.' };
  await runner.event({ kind: 'steer.refused', turnId, promptId: 'prm_s', cause });
  await runner.finish(turnId);
  assert.equal((await runner.accept()).text, 'also this');
});

test('a turn that ends first leaves the steering prompt to run next', async () => {
  const { send, runner, turnId } = await waiting('later');
  await send({ id: 'prm_s', text: 'also this', mode: 'steer' });
  await runner.next('steer');
  await runner.finish(turnId);
  assert.equal((await runner.accept()).text, 'also this');
});

test('a runner that comes back hears again what it has not answered', async () => {
  const { session, send, runner, turnId } = await waiting();
  await send({ id: 'prm_s', text: 'also this', mode: 'steer' });
  await runner.next('steer');
  runner.socket.terminate();
  const again = await startRunner(worker, host, session, { spool: runner.spool, lastRseq: runner.rseq, ready: true, turn: turnId });
  assert.equal((await again.next('steer')).promptId, 'prm_s');
  await again.event({ kind: 'steer.accepted', turnId, promptId: 'prm_s' });
  await again.finish(turnId);
  assert.equal((await attach(worker, me, session)).hello.queue.length, 0);
});
