// Forks: a new session that goes on where another one was after one of its turns.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { assertError, newSessionId, startWorker, until } from './harness.mjs';
import { attach, createSession, idleSession, runningTurn, startHost, startRunner } from './stand-ins.mjs';

let host, worker, me, other;
before(async () => {
  host = await startHost();
  worker = await startWorker({ vars: { ...host.vars, TIMINGS: JSON.stringify({ save: 100, indexInterval: 50 }) } });
  [me, other] = [await worker.signIn(), await worker.signIn()];
});
afterEach(() => worker.assertNoPanics());
after(async () => {
  await worker?.stop();
  await host?.stop();
});

const fork = (session, body = {}, headers) => me.api(`/api/sessions/${session}/fork`, { method: 'POST', body, headers });
const transcriptOf = async (session) => (await me.api(`/api/sessions/${session}/transcript`)).json();
const eventsOf = async (session) => (await (await me.api(`/api/sessions/${session}/events?limit=500`)).json()).events;
const said = ({ messages }) => messages.map(({ role, parts }) => [role, parts.map(({ text }) => text).join('')]);

/** Two turns, the work of both saved; a prompt waited before the first ended. */
async function twoTurns() {
  const made = await runningTurn(worker, host, me, { prompt: 'one' });
  const { session, runner, turnId: first } = made;
  await me.api(`/api/sessions/${session}/prompts`, { method: 'POST', body: { text: 'two' } });
  await runner.open(first);
  await runner.event({ kind: 'todos', todos: [{ content: 'a', status: 'pending', priority: 'high' }] });
  await runner.finish(first, 'did one');
  const { turnId: second } = await runner.accept();
  await runner.open(second, 'prt_b', 'msg_b');
  await runner.event({ kind: 'todos', todos: [] });
  await runner.finish(second, 'did two', { part: 'prt_b', message: 'msg_b' });
  const snapshot = await runner.save(second);
  return { session, runner, first, second, snapshot };
}

test('a fork has the conversation up to its turn and begins with a copy of the work', async () => {
  const { session, first, second, snapshot } = await twoTurns();
  const answer = await fork(session, { title: 'Another way', prompt: 'three' });
  assert.equal(answer.status, 201, await answer.clone().text());
  const child = await answer.json();
  assert.deepEqual([child.title, child.forkedFrom], ['Another way', { sessionId: session, turnId: second }]);
  assert.deepEqual(said(await transcriptOf(child.id)), [...said(await transcriptOf(session)), ['user', 'three']]);
  const seqs = (await eventsOf(child.id)).map(({ seq }) => seq);
  assert.deepEqual(seqs, seqs.map((_, index) => index + 1), 'contiguous from 1');
  const runner = await startRunner(worker, host, child.id);
  const { setup } = await runner.next('welcome');
  assert.deepEqual(setup.snapshot, { id: snapshot, upto: second });
  const work = await worker.fetch(`/runner/${child.id}/snapshots/${snapshot}`, { headers: { authorization: `Bearer ${runner.token}` } });
  assert.equal(await work.text(), `the work after ${second}`);
  await runner.start();
  const { turnId, text } = await runner.accept();
  assert.equal(text, 'three');
  await runner.finish(turnId);
  assert.equal((await (await me.api(`/api/sessions/${child.id}`)).json()).phase, 'running');

  const early = await (await fork(session, { turnId: first })).json();
  assert.deepEqual(said(await transcriptOf(early.id)), [['user', 'one'], ['assistant', 'did one']], 'a prompt that waited then is not its');
  const viewer = await attach(worker, me, early.id);
  assert.deepEqual([viewer.hello.todos.length, viewer.hello.session.phase], [1, 'idle']);
  assert.ok((await (await me.api('/api/sessions?limit=100')).json()).sessions.some(({ id }) => id === early.id));
});

test('forking again with the same id or key gives the same fork', async () => {
  const { session, first, second } = await twoTurns();
  const id = newSessionId();
  const made = await fork(session, { id, turnId: first, prompt: 'go' });
  assert.equal(made.status, 201);
  await worker.evict('SESSION_AGENT', id);
  const again = await fork(session, { id, prompt: 'go' });
  assert.deepEqual([again.status, (await again.json()).forkedFrom.turnId], [200, first]);
  assert.equal((await eventsOf(id)).filter(({ type }) => type === 'prompt.queued').length, 2);
  await assertError(await fork(session, { id, turnId: second }), 409, 'conflict');
  const keyed = async () => (await (await fork(session, {}, { 'idempotency-key': 'f' })).json()).id;
  assert.equal(await keyed(), await keyed());
  const both = newSessionId();
  const statuses = (await Promise.all([fork(session, { id: both }), fork(session, { id: both })])).map(({ status }) => status);
  assert.ok(statuses.every((status) => status === 200 || status === 201), String(statuses));
  assert.deepEqual(said(await transcriptOf(both)), said(await transcriptOf(session)));
});

test('an id that is taken by something else is refused', async () => {
  const { session } = await idleSession(worker, host, me, { save: true });
  const taken = await createSession(me, { title: 'mine already' });
  await assertError(await fork(session, { id: taken }), 409, 'conflict');
  await assertError(await fork(session, { id: session }), 409, 'conflict');
  const theirs = await createSession(other, { title: 'theirs' });
  await assertError(await fork(session, { id: theirs }), 409, 'conflict');
  const child = (await (await fork(session)).json()).id;
  await assertError(await me.api('/api/sessions', { method: 'POST', body: { id: child } }), 409, 'conflict');
});

test('who has no right, and what makes no sense, is refused', async () => {
  const { session, turnId } = await idleSession(worker, host, me, { save: true });
  const at = `/api/sessions/${session}/fork`;
  await assertError(await worker.fetch(at, { method: 'POST' }), 401, 'unauthenticated');
  await assertError(await other.api(at, { method: 'POST', body: {} }), 404, 'not_found');
  await assertError(await me.api(at), 405, 'method_not_allowed');
  await assertError(await fork(session, { turnId: 'trn_never' }), 404, 'not_found');
  await assertError(await fork(session, { turnId: 'nonsense' }), 422, 'invalid');
  await assertError(await fork(session, { turn: turnId }), 400, 'bad_request');
  await assertError(await fork(session, { title: 'x'.repeat(2_000_000) }), 413, 'too_large');
  assert.equal((await me.api(at, { method: 'POST' })).status, 201, 'an empty body is fine');
});

test('a turn that has not ended cannot be forked from', async () => {
  const { session, turnId } = await runningTurn(worker, host, me);
  await assertError(await fork(session), 409, 'conflict');
  await assertError(await fork(session, { turnId }), 409, 'conflict');
});

test('work that is not saved yet is saved first; when that fails the fork is refused', async () => {
  const { session, runner, turnId } = await idleSession(worker, host, me);
  const refused = fork(session);
  await runner.next('save');
  await runner.event({ kind: 'snapshot.failed', cause: { code: 'disk_full', message: 'The disk is full.' } });
  const error = await assertError(await refused, 409, 'conflict');
  assert.match(error.message, /not saved/);
  const id = newSessionId();
  const answer = fork(session, { id });
  await runner.next('save');
  await assertError(await me.api(`/api/sessions/${id}`), 404, 'not_found');
  await runner.save(turnId);
  assert.equal((await answer).status, 201);
});

test('a paused session forks from what is saved, and is refused without waiting when nothing is', async () => {
  const saved = await idleSession(worker, host, me, { save: true });
  const lost = await idleSession(worker, host, me);
  for (const { session } of [saved, lost]) {
    await me.api(`/api/sessions/${session}/pause`, { method: 'POST' });
    await until(async () => (await (await me.api(`/api/sessions/${session}`)).json()).phase === 'paused', 'paused');
  }
  assert.equal((await fork(saved.session)).status, 201);
  await assertError(await fork(lost.session), 409, 'conflict');
});

test('what nobody goes on with is removed after a while, and its id is free again', async () => {
  const hasty = await startWorker({ vars: { ...host.vars, TIMINGS: JSON.stringify({ unmadeFork: 400 }) } });
  try {
    const ada = await hasty.signIn();
    const org = (await (await ada.api('/api/auth/me')).json()).org.id;
    const id = newSessionId();
    const { SESSION_AGENT, FILES } = await hasty.env();
    const tell = (command, body) => SESSION_AGENT.get(SESSION_AGENT.idFromName(id)).fetch(`https://do/${command}`, { method: 'POST', body: JSON.stringify(body) });
    const key = `${org}/sessions/${id}/snapshots/snp_1`;
    await FILES.put(key, 'copied work');
    const origin = { sessionId: newSessionId(), turnId: 'trn_1' };
    assert.equal((await tell('fork-begin', { actor: { person: ada.user, org, role: 'owner', credential: { kind: 'sign_in', id: 'sgn_1' } }, origin })).status, 200);
    assert.equal((await ada.api('/api/sessions', { method: 'POST', body: { id } })).status, 409);
    await until(async () => (await ada.api('/api/sessions', { method: 'POST', body: { id, prompt: 'x' } })).status === 201, 'the id to be free');
    assert.equal(await FILES.head(key), null);
    const { headSeq } = await (await ada.api(`/api/sessions/${id}`)).json();
    assert.ok(headSeq > 1);
    hasty.assertNoPanics();
  } finally {
    await hasty.stop();
  }
});

test('an ended session can be forked, and a fork can be forked', async () => {
  const { session, runner, turnId } = await idleSession(worker, host, me, { save: true });
  await me.api(`/api/sessions/${session}`, { method: 'DELETE' });
  await runner.next('shutdown');
  const child = await (await fork(session)).json();
  const grandchild = await (await fork(child.id)).json();
  assert.deepEqual(grandchild.forkedFrom, { sessionId: child.id, turnId });
  assert.deepEqual(said(await transcriptOf(grandchild.id)), said(await transcriptOf(session)));
});

test('a fork that was left half made is nobody’s session, and is made whole by who asks again', async () => {
  const { session, first, second, snapshot } = await twoTurns();
  const id = newSessionId();
  const { SESSION_AGENT } = await worker.env();
  const actor = { person: me.user, org: (await (await me.api('/api/auth/me')).json()).org.id, role: 'owner', credential: { kind: 'sign_in', id: 'sgn_1' } };
  const origin = { sessionId: session, turnId: first };
  const tell = (command, body) => SESSION_AGENT.get(SESSION_AGENT.idFromName(id)).fetch(`https://do/${command}`, { method: 'POST', body: JSON.stringify(body) });
  const [event] = (await eventsOf(session)).filter(({ type }) => type === 'prompt.queued');
  assert.equal((await tell('fork-copy', { origin, events: [] })).status, 409, 'nobody began');
  assert.equal((await tell('fork-begin', { actor, origin })).status, 200);
  assert.equal((await tell('fork-copy', { origin, events: [{ ...event, seq: 2 }] })).status, 200);
  const make = { actor, title: 'x', titled_by_person: false, repo: null, model: 'demo/scripted', prompt: null,
    fork: { origin, headSeq: 9, todos: [], snapshot: null } };
  assert.equal((await tell('fork-make', make)).status, 500, 'copies are missing');
  await worker.evict('SESSION_AGENT', id);
  await assertError(await me.api(`/api/sessions/${id}`), 404, 'not_found');
  await assertError(await me.api('/api/sessions', { method: 'POST', body: { id } }), 409, 'conflict');
  await assertError(await fork(session, { id, turnId: second }), 409, 'conflict');
  const made = await fork(session, { id });
  assert.deepEqual([made.status, (await made.json()).forkedFrom.turnId], [201, first], 'the turn that was chosen first');
  assert.deepEqual(said(await transcriptOf(id)), [['user', 'one'], ['assistant', 'did one']]);
  assert.equal((await me.api(`/api/sessions/${id}`, { method: 'PATCH', body: { title: 'It goes on' } })).status, 200);
  assert.ok(snapshot);
});
