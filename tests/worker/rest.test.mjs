// Pausing, putting away, ending: over HTTP, with a runner that saves the work first.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { assertError, newSessionId, startWorker, until } from './harness.mjs';
import { attach, createSession, idleSession, runningTurn, specOf, startHost, startRunner } from './stand-ins.mjs';

// So long that nothing in these tests happens because a time is up.
const TIMINGS = JSON.stringify({ save: 60_000, shutdown: 60_000, pausing: 90_000, indexInterval: 50 });

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

const post = (session, what, options) => me.api(`/api/sessions/${session}/${what}`, { method: 'POST', ...options });
const summaryOf = async (session) => (await me.api(`/api/sessions/${session}`)).json();
const reaches = (session, phase) => until(async () => (await summaryOf(session)).phase === phase, phase);
const listed = async (query = '') => (await (await me.api(`/api/sessions?limit=100${query}`)).json()).sessions.map(({ id }) => id);
const suspended = (session) => host.requests.some(({ method, url }) => method === 'POST' && url === `/v1/sandboxes/sbx-${session}-1/suspend`);

/** A session at rest with the files of its first sandbox. */
async function pausedSession() {
  const made = await idleSession(worker, host, me);
  await post(made.session, 'pause');
  await made.runner.next('save');
  await made.runner.save(made.turnId);
  await reaches(made.session, 'paused');
  return made;
}

test('a pause waits for the runner’s save, then the sandbox is stopped', async () => {
  const { session, runner, turnId } = await idleSession(worker, host, me);
  for (let time = 0; time < 2; time += 1) {
    const answer = await post(session, 'pause');
    assert.deepEqual([answer.status, (await answer.json()).phase], [200, 'pausing']);
  }
  await runner.next('save');
  assert.ok(!suspended(session));
  await runner.save(turnId);
  await reaches(session, 'paused');
  assert.ok(suspended(session));
  assert.equal((await runner.closed).code, 4409);
});

test('what would cut work off is refused, and says so', async () => {
  const { session } = await runningTurn(worker, host, me);
  for (const what of ['pause', 'archive']) await assertError(await post(session, what), 409, 'conflict');
  assert.equal((await post(session, 'resume')).status, 200, 'it is up already');
  assert.equal((await summaryOf(session)).phase, 'running');
});

test('who has no right learns nothing, and other methods are refused', async () => {
  const { session } = await idleSession(worker, host, me);
  for (const what of ['pause', 'resume', 'archive', 'restore']) {
    const at = `/api/sessions/${session}/${what}`;
    await assertError(await worker.fetch(at, { method: 'POST' }), 401, 'unauthenticated');
    await assertError(await other.api(at, { method: 'POST' }), 404, 'not_found');
    await assertError(await post(newSessionId(), what), 404, 'not_found');
    await assertError(await me.api(at), 405, 'method_not_allowed');
  }
  assert.equal((await summaryOf(session)).phase, 'running');
});

test('a paused session is resumed without a prompt, with its files', async () => {
  const { session } = await pausedSession();
  for (let time = 0; time < 2; time += 1) {
    const answer = await post(session, 'resume');
    assert.deepEqual([answer.status, (await answer.json()).phase], [200, 'resuming']);
  }
  const { spec } = await specOf(host, session, 2);
  assert.equal(spec.resume, `sbx-${session}-1`);
  const runner = await startRunner(worker, host, session, { generation: 2 });
  await runner.next('welcome');
  await runner.start();
  assert.equal((await summaryOf(session)).phase, 'running');
  assert.equal(host.puts.filter(({ name }) => name === `sbx-${session}-2`).length, 1);
});

test('what is put away leaves the list, and a prompt brings it back', async () => {
  const { session } = await pausedSession();
  const at = (await (await post(session, 'archive')).json()).archivedAt;
  assert.ok(at);
  assert.equal((await (await post(session, 'archive')).json()).archivedAt, at, 'again changes nothing');
  await until(async () => !(await listed()).includes(session), 'gone from the list');
  assert.ok((await listed('&archived=true')).includes(session));
  assert.deepEqual((await listed('&archived=true&q=fix')).includes(session), true);
  assert.equal((await (await post(session, 'restore')).json()).archivedAt, undefined);
  await until(async () => (await listed()).includes(session), 'back in the list');
  assert.ok(!(await listed('&archived=true')).includes(session));
  await post(session, 'archive');
  await post(session, 'prompts', { body: { text: 'go on' } });
  assert.equal((await summaryOf(session)).archivedAt, undefined);
  await assertError(await me.api('/api/sessions?archived=maybe'), 422, 'invalid');
});

test('an ended session can be put away', async () => {
  const session = await createSession(me, { title: 'short' });
  await me.api(`/api/sessions/${session}`, { method: 'DELETE' });
  assert.ok((await (await post(session, 'archive')).json()).archivedAt);
  await assertError(await post(session, 'pause'), 409, 'terminated');
  await assertError(await post(session, 'resume'), 409, 'terminated');
});

test('ending lets the runner save the work before its sandbox is removed', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  await runner.open(turnId);
  await me.api(`/api/sessions/${session}`, { method: 'DELETE' });
  await runner.next('shutdown');
  const removed = () => host.requests.some(({ method, url }) => method === 'DELETE' && url === `/v1/sandboxes/sbx-${session}-1`);
  await worker.evict('SESSION_AGENT', session);
  await runner.save(turnId);
  assert.equal((await runner.closed).code, 4410);
  await until(removed, 'its removal');
  assert.equal(await (await me.api(`/api/sessions/${session}/snapshot`)).text(), `the work after ${turnId}`);
});

test('a runner that exits without saving does not keep its sandbox', async () => {
  const { session, runner } = await runningTurn(worker, host, me);
  await me.api(`/api/sessions/${session}`, { method: 'DELETE' });
  await runner.next('shutdown');
  await runner.socket.close(1000);
  await until(() => host.requests.some(({ method, url }) => method === 'DELETE' && url === `/v1/sandboxes/sbx-${session}-1`), 'its removal');
});

test('a write with a key is carried out once, whatever happened in between', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  await post(session, 'prompts', { body: { text: 'next' } });
  const abort = (key) => post(session, 'abort', { headers: { 'idempotency-key': key } });
  assert.equal((await abort('k')).status, 200);
  assert.equal((await runner.next('abort')).turnId, turnId);
  await runner.finish(turnId, undefined, { outcome: 'aborted' });
  const second = await runner.accept();
  assert.equal((await abort('k')).status, 200);
  await worker.evict('SESSION_AGENT', session);
  assert.equal((await abort('k')).status, 200);
  const viewer = await attach(worker, me, session);
  assert.equal(viewer.hello.turn.aborting, false, 'the second turn was not meant');
  assert.equal((await abort('other')).status, 200);
  assert.equal((await runner.next('abort')).turnId, second.turnId);
  for (const key of ['', 'x'.repeat(201)]) await assertError(await abort(key), 422, 'invalid');
});

test('a viewer’s command that comes again on another connection is acknowledged and not carried out', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  await post(session, 'prompts', { body: { text: 'next' } });
  const first = await attach(worker, me, session);
  assert.equal((await first.command({ type: 'abort' }, 'cmd_once')).type, 'ack');
  await runner.next('abort');
  await first.socket.close(1000);
  await runner.finish(turnId, undefined, { outcome: 'aborted' });
  await runner.accept();
  await worker.evict('SESSION_AGENT', session, 'close');
  const again = await attach(worker, me, session);
  assert.equal((await again.command({ type: 'abort' }, 'cmd_once')).type, 'ack');
  assert.equal((await attach(worker, me, session)).hello.turn.aborting, false);
});

test('an answer that is repeated with its key is answered; anybody else’s comes too late', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  const ask = { kind: 'permission', permission: 'bash', patterns: ['ls'], command: 'ls', always: [] };
  await runner.event({ kind: 'interaction.asked', interactionId: 'int_1', turnId, ask });
  const body = { answer: { type: 'permission', reply: 'once' } };
  const answer = (headers) => post(session, 'interactions/int_1', { body, headers });
  for (let time = 0; time < 2; time += 1) assert.equal((await answer({ 'idempotency-key': 'mine' })).status, 200);
  const late = await assertError(await answer(), 409, 'already_resolved');
  assert.match(late.message, new RegExp(me.user.name));
});
