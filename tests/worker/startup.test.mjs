// Why it waits: starts with their marks, verdicts of watchdogs, what is usual, and questions that nobody watches.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { assertError, startWorker, until } from './harness.mjs';
import { attach, createSession, runningTurn, startHost, startRunner } from './stand-ins.mjs';

const TIMINGS = JSON.stringify({ startBackoff: 50, unattended: 600, interaction: 60_000 });

let host, worker, me, other;
before(async () => {
  host = await startHost();
  worker = await startWorker({ vars: { ...host.vars, TIMINGS } });
  [me, other] = [await worker.signIn(), await worker.signIn()];
});
afterEach(() => worker.assertNoPanics());
after(async () => {
  await worker?.stop();
  await host?.stop();
});

const startupOf = async (session) => (await me.api(`/api/sessions/${session}/startup`)).json();
const ask = { kind: 'permission', permission: 'bash', patterns: ['ls'], command: 'ls', always: [] };

test('a start shows where its time went, and what is usual for its repository', async () => {
  const repo = { url: '/srv/startup' };
  const quiet = await createSession(me, { repo });
  assert.deepEqual(await startupOf(quiet), { starts: [], verdicts: [] });
  const { session, runner, turnId } = await runningTurn(worker, host, me, { repo });
  await runner.open(turnId);
  const { starts } = await startupOf(session);
  const [start] = starts;
  assert.deepEqual([start.generation, start.attempt, start.resumed, start.outcome], [1, 1, false, 'ready']);
  assert.deepEqual(start.marks.map(({ point }) => point), ['queued', 'admitted', 'requested', 'booting', 'cloning', 'engine', 'ready', 'first_token']);
  const times = start.marks.map(({ at }) => Date.parse(at));
  assert.deepEqual(times, times.toSorted((a, b) => a - b));
  const typical = await until(async () => (await startupOf(quiet)).typical, 'the sample');
  assert.equal(typical.samples, 1);
  assert.equal(typical.readyP50, times[6] - times[0]);
  assert.deepEqual(typical.spans.map(({ point }) => point).slice(0, 6), ['queued', 'admitted', 'requested', 'booting', 'cloning', 'engine']);
  assert.equal((await startupOf(await createSession(me, { repo: { url: '/srv/elsewhere' } }))).typical, undefined);
  const theirs = await createSession(other, { repo });
  assert.equal((await (await other.api(`/api/sessions/${theirs}/startup`)).json()).typical, undefined, 'another org');
});

test('a start that fails leaves a verdict, and what is waited for is said', async () => {
  const session = await createSession(me, { prompt: 'x' });
  const { waiting } = await startupOf(session);
  assert.ok(waiting.reason && waiting.doing && waiting.deadline, JSON.stringify(waiting));
  const runner = await startRunner(worker, host, session);
  await runner.next('welcome');
  const cause = { code: 'repo_not_found', message: 'There is no such repository.' };
  runner.send({ type: 'event', rseq: 1, at: new Date().toISOString(), body: { kind: 'start_failed', step: 'cloning', cause, retryable: false } });
  await runner.closed;
  await worker.evict('SESSION_AGENT', session);
  const failed = await startupOf(session);
  assert.deepEqual([failed.starts[0].outcome, failed.starts[0].cause.code], ['failed', 'repo_not_found']);
  assert.deepEqual([failed.verdicts[0].watchdog, failed.verdicts[0].cause.code], ['start', 'repo_not_found']);
  assert.deepEqual(failed.waiting.remedy, { type: 'retry' });
});

test('who may not see the session may not see why it waits', async () => {
  const session = await createSession(me, {});
  const at = `/api/sessions/${session}/startup`;
  await assertError(await worker.fetch(at), 401, 'unauthenticated');
  await assertError(await other.api(at), 404, 'not_found');
  await assertError(await me.api(at, { method: 'POST' }), 405, 'method_not_allowed');
});

test('a question that nobody sees gets its default soon, and leaves a verdict', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  await runner.event({ kind: 'interaction.asked', interactionId: 'int_1', turnId, ask });
  assert.equal((await runner.next('resolve')).answer.reply, 'reject');
  assert.equal((await startupOf(session)).verdicts[0].watchdog, 'interaction');
});

test('who starts to watch in time, by socket or as a stream, gets the full time', async () => {
  for (const watch of [
    (session) => attach(worker, me, session),
    (session) => me.api(`/api/sessions/${session}/events`, { headers: { accept: 'text/event-stream' } }),
  ]) {
    const { session, runner, turnId } = await runningTurn(worker, host, me);
    await runner.event({ kind: 'interaction.asked', interactionId: 'int_1', turnId, ask });
    const watching = await watch(session);
    const { deadline } = (await startupOf(session)).waiting;
    assert.ok(Date.parse(deadline) > Date.now() + 30_000, deadline);
    await runner.event({ kind: 'interaction.asked', interactionId: 'int_2', turnId, ask });
    const open = (await attach(worker, me, session)).hello.interactions;
    assert.ok(open.every((interaction) => Date.parse(interaction.deadline) > Date.now() + 30_000), JSON.stringify(open));
    await watching.body?.cancel();
  }
});
