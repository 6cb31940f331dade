// The runner's link in workerd: who may speak, what is new, and the deadlines of a session as real alarms.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { startWorker, until } from './harness.mjs';
import { attach, createSession, idleSession, runningTurn, specOf, startHost, startRunner } from './stand-ins.mjs';

/** Deadlines short enough to wait for. */
const TIMINGS = JSON.stringify({ accept: 400, reconnectGrace: 4000, save: 300, shutdown: 300, reconnectAlive: 400, startBackoff: 50, startStep: 3000, abort: 400, callBackoff: 50 });

const states = new Map();
let host, worker, me;
before(async () => {
  host = await startHost((name) => states.get(name) ?? 'running');
  worker = await startWorker({ vars: { ...host.vars, TIMINGS } });
  me = await worker.signIn();
});
afterEach(() => worker.assertNoPanics());
after(async () => {
  await worker?.stop();
  await host?.stop();
});

const phaseOf = async (session) => (await (await me.api(`/api/sessions/${session}`)).json()).phase;

test('a frame that cannot be read closes the connection and harms nothing', async () => {
  const { session, runner } = await runningTurn(worker, host, me);
  runner.send('{"type":"nonsense"}');
  assert.equal((await runner.closed).code, 4400);
  const again = await startRunner(worker, host, session, { spool: runner.spool, lastRseq: runner.rseq, ready: true });
  assert.equal((await again.next('welcome')).acked, runner.rseq);
  for (const garbage of ['not json', '[]', '{"type":"event","rseq":"x"}']) {
    const broken = await startRunner(worker, host, session, { hello: false });
    broken.send(garbage);
    assert.equal((await broken.closed).code, 4400, garbage);
  }
  assert.equal(await phaseOf(session), 'running');
});

test('another protocol, another generation and a second process are turned away', async () => {
  const { session } = await runningTurn(worker, host, me);
  const cases = [[{ protocol: 99 }, 4426], [{ spool: 'spl_other' }, 4409]];
  for (const [options, code] of cases) {
    const runner = await startRunner(worker, host, session, options);
    assert.equal((await runner.closed).code, code, JSON.stringify(options));
  }
  const { spec } = await specOf(host, session);
  const socket = worker.socket(`/runner/${session}`, { token: spec.env.ERRAND_TOKEN });
  await socket.opened;
  socket.send({ type: 'hello', protocol: 1, generation: 7, spoolId: 'spl_x', lastRseq: 0, ready: true, version: 'test' });
  assert.equal((await socket.closed).code, 4400, 'the generation is the token’s');
  assert.equal(await phaseOf(session), 'running');
});

test('what was sent twice counts once, and a hole is filled by resending', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  const viewer = await attach(worker, me, session);
  const titled = { kind: 'title', title: 'Named by the engine' };
  await runner.event(titled);
  await runner.event(titled, runner.rseq);
  await runner.event({ kind: 'todos', todos: [{ content: 'a', status: 'pending', priority: 'high' }] });
  await viewer.event('note.todos');
  assert.equal(viewer.events().filter((event) => event.type === 'session.titled').length, 1);
  runner.send({ type: 'event', rseq: runner.rseq + 2, at: new Date().toISOString(), body: titled });
  assert.equal((await runner.closed).code, 4408);
  const again = await startRunner(worker, host, session, { spool: runner.spool, lastRseq: runner.rseq + 2, ready: true, turn: turnId });
  assert.equal((await again.next('welcome')).acked, runner.rseq);
});

test('a fresh token is granted when it is asked for', async () => {
  const { session, runner } = await runningTurn(worker, host, me);
  runner.send({ type: 'renew_token' });
  const { token } = await runner.next('token');
  assert.ok(Date.parse(token.expiresAt) > Date.now() + 30 * 60_000);
  const socket = worker.socket(`/runner/${session}`, { token: token.token });
  await socket.opened;
});

test('a prompt that the runner does not take is handed over again', async () => {
  const session = await createSession(me, { prompt: 'hello' });
  const runner = await startRunner(worker, host, session);
  await runner.start();
  const first = await runner.next('run');
  const second = await runner.next('run');
  assert.equal(second.turnId, first.turnId);
  await runner.event({ kind: 'turn.accepted', turnId: first.turnId });
});

test('a runner that comes back goes on; a turn that it works on is not run again', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  await runner.open(turnId);
  runner.socket.terminate();
  await until(async () => (await phaseOf(session)) === 'reconnecting', 'reconnecting');
  const again = await startRunner(worker, host, session, { spool: runner.spool, lastRseq: runner.rseq, ready: true, turn: turnId });
  await again.next('welcome');
  await again.finish(turnId, 'whole');
  assert.equal(await phaseOf(session), 'running');
  assert.ok(!again.socket.frames.some((frame) => frame.type === 'run'));
});

test('a sandbox that is gone is replaced by one that takes its files over, and waiting prompts go on there', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  await runner.open(turnId);
  runner.delta(0, 'half a sen');
  await me.api(`/api/sessions/${session}/prompts`, { method: 'POST', body: { text: 'and then' } });
  const viewer = await attach(worker, me, session);
  states.set(`sbx-${session}-1`, 'exited');
  runner.socket.terminate();
  const ended = await viewer.event('turn.finished');
  assert.deepEqual([ended.outcome, ended.cause.code], ['failed', 'sandbox_lost']);
  const closed = viewer.events().find((event) => event.type === 'part.finished');
  assert.equal(closed.part.text, 'half a sen', 'what was shown stays');
  const { spec } = await specOf(host, session, 2);
  assert.equal(spec.resume, `sbx-${session}-1`);
  const next = await startRunner(worker, host, session, { generation: 2 });
  await next.next('welcome');
  await next.start();
  assert.equal((await next.accept()).text, 'and then');
});

test('a start that fails is tried again, then waits for a person', async () => {
  const session = await createSession(me, { prompt: 'x', repo: { url: '/no/such' } });
  const fail = async (generation, retryable) => {
    const runner = await startRunner(worker, host, session, { generation });
    await runner.next('welcome');
    const cause = { code: retryable ? 'repo_unreachable' : 'repo_not_found', message: 'There is no such repository.' };
    runner.send({ type: 'event', rseq: 1, at: new Date().toISOString(), body: { kind: 'start_failed', step: 'cloning', cause, retryable } });
    assert.equal((await runner.closed).code, 4409);
  };
  await fail(1, true);
  await fail(2, false);
  await until(async () => (await phaseOf(session)) === 'error', 'error');
  const { cause, queue } = await (await me.api(`/api/sessions/${session}`)).json();
  assert.deepEqual([cause.code, queue], ['repo_not_found', 1]);
  assert.equal((await me.api(`/api/sessions/${session}/retry`, { method: 'POST' })).status, 200);
  await specOf(host, session, 3);
});

test('a host that has no room is asked again and the wait is explained', async () => {
  const full = { status: 507, body: { error: { kind: 'capacity', message: 'all 8 places for sandboxes are taken', retryAfterMs: 50 } } };
  const session = `ses_${'C'.repeat(26)}`;
  states.set(`sbx-${session}-1`, full);
  const answer = await me.api('/api/sessions', { method: 'POST', body: { id: session, prompt: 'x' } });
  assert.equal(answer.status, 201);
  await until(async () => (await (await me.api(`/api/sessions/${session}`)).json()).cause?.code === 'sandbox_capacity', 'the cause');
  states.delete(`sbx-${session}-1`);
  const runner = await startRunner(worker, host, session);
  await runner.next('welcome');
});

test('an alarm wakes an evicted session: the abort that nobody answers ends in a new sandbox', async () => {
  const { session, turnId } = await runningTurn(worker, host, me);
  const viewer = await attach(worker, me, session);
  await me.api(`/api/sessions/${session}/prompts`, { method: 'POST', body: { text: 'next' } });
  assert.equal((await viewer.command({ type: 'abort', turnId })).type, 'ack');
  await worker.evict('SESSION_AGENT', session);
  assert.equal((await viewer.event('turn.finished')).outcome, 'aborted');
  await specOf(host, session, 2);
});

test('a pause goes on without a runner that does not save', async () => {
  const { session, runner } = await idleSession(worker, host, me);
  assert.equal((await me.api(`/api/sessions/${session}/pause`, { method: 'POST' })).status, 200);
  await runner.next('save');
  await until(async () => (await phaseOf(session)) === 'paused', 'paused');
  assert.equal((await runner.closed).code, 4409);
});

test('an ended session’s sandbox is removed though its runner does not save', async () => {
  const { session, runner } = await runningTurn(worker, host, me);
  await me.api(`/api/sessions/${session}`, { method: 'DELETE' });
  await runner.next('shutdown');
  assert.equal((await runner.closed).code, 4410);
  await until(() => host.requests.some(({ method, url }) => method === 'DELETE' && url === `/v1/sandboxes/sbx-${session}-1`), 'its removal');
});
