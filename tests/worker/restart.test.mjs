// workerd is killed and started again: what was carried out is not carried out twice, and what was left half made is
// made whole by whoever asks again.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { newSessionId, until } from './harness.mjs';
import { startRestartable } from './restartable.mjs';
import { attach, idleSession, runningTurn, startHost, startRunner, textPart } from './stand-ins.mjs';

let host, worker, me;
before(async () => {
  host = await startHost();
  worker = await startRestartable({ vars: { ...host.vars, TIMINGS: JSON.stringify({ reconnectGrace: 60_000, callBackoff: 50, indexInterval: 50 }) } });
  me = await worker.signIn();
});
after(async () => {
  await worker?.stop();
  await host?.stop();
});

const restart = async () => {
  await worker.kill();
  await worker.start();
};
const eventsOf = async (session) => {
  const events = [];
  for (let more = true; more; ) {
    const page = (await (await me.api(`/api/sessions/${session}/events?limit=500&after=${events.at(-1)?.seq ?? 0}`)).json()).events;
    events.push(...page);
    more = page.length > 0;
  }
  return events;
};
const comesBack = async (session, runner, turn) => {
  const again = await startRunner(worker, host, session, { spool: runner.spool, lastRseq: runner.rseq, ready: true, turn });
  await again.next('welcome');
  return again;
};

test('commands that were acknowledged before workerd was killed are not carried out again', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  for (const id of ['prm_a', 'prm_b']) await me.api(`/api/sessions/${session}/prompts`, { method: 'POST', body: { id, text: id } });
  const ask = { kind: 'permission', permission: 'bash', patterns: ['ls'], command: 'ls', always: [] };
  await runner.event({ kind: 'interaction.asked', interactionId: 'int_1', turnId, ask });
  const commands = {
    cmd_answer: { type: 'answer', interactionId: 'int_1', answer: { type: 'permission', reply: 'once' } },
    cmd_move: { type: 'move_prompt', promptId: 'prm_b', to: 'first' },
    cmd_promote: { type: 'promote_prompt', promptId: 'prm_b' },
  };
  const first = await attach(worker, me, session);
  for (const [id, command] of Object.entries(commands)) assert.equal((await first.command(command, id)).type, 'ack', id);
  const key = { headers: { 'idempotency-key': 'stop' }, method: 'POST' };
  await me.api(`/api/sessions/${session}/abort`, key);
  await restart();

  const again = await comesBack(session, runner, turnId);
  assert.equal((await again.next('abort')).turnId, turnId, 'the stop that the runner had not confirmed');
  await again.finish(turnId, undefined, { outcome: 'aborted' });
  assert.equal((await again.accept()).text, 'prm_b');
  await me.api(`/api/sessions/${session}/prompts`, { method: 'POST', body: { id: 'prm_c', text: 'prm_c' } });
  const before = (await eventsOf(session)).length;
  const viewer = await attach(worker, me, session);
  for (const [id, command] of Object.entries(commands)) assert.equal((await viewer.command(command, id)).type, 'ack', id);
  assert.equal((await me.api(`/api/sessions/${session}/abort`, key)).status, 200);
  assert.equal((await eventsOf(session)).length, before, 'nothing happened');
  assert.equal((await viewer.command(commands.cmd_answer, 'cmd_new')).code, 'already_resolved');
});

test('a steering prompt that was not answered for is offered again after a restart, and taken once', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  await me.api(`/api/sessions/${session}/prompts`, { method: 'POST', body: { id: 'prm_s', text: 'also', mode: 'steer' } });
  await runner.next('steer');
  await restart();
  const again = await comesBack(session, runner, turnId);
  assert.equal((await again.next('steer')).promptId, 'prm_s');
  await again.event({ kind: 'steer.accepted', turnId, promptId: 'prm_s' });
  await again.finish(turnId);
  const events = await eventsOf(session);
  assert.equal(events.filter(({ type }) => type === 'prompt.steered').length, 1);
  assert.equal(events.filter(({ type }) => type === 'turn.started').length, 1);
});

test('a fork that is interrupted wherever it is ends as one whole session', async () => {
  const { session, runner, turnId, snapshot } = await longSession();
  const id = newSessionId();
  const fork = () => me.api(`/api/sessions/${session}/fork`, { method: 'POST', body: { id, prompt: 'go on' } });
  let interrupted = 0;
  for (const delay of [0, 15, 40, 80, 150]) {
    const asked = fork().then((answer) => answer.status, () => (interrupted += 1));
    await new Promise((resolve) => setTimeout(resolve, delay)); // Where it is hit is up to chance.
    await worker.kill();
    await asked;
    await worker.start();
  }
  assert.ok(interrupted > 0, 'none was hit');
  const made = await fork();
  assert.ok([200, 201].includes(made.status), await made.clone().text());
  assert.deepEqual((await made.json()).forkedFrom, { sessionId: session, turnId });
  const said = async (of) => (await (await me.api(`/api/sessions/${of}/transcript`)).json()).messages.map(({ id: message, parts }) => [message, parts]);
  assert.deepEqual((await said(id)).slice(0, -1), await said(session));
  const events = await eventsOf(id);
  assert.deepEqual(events.map(({ seq }) => seq), events.map((_, index) => index + 1));
  assert.equal(events.filter(({ type, prompt }) => type === 'prompt.queued' && prompt.text === 'go on').length, 1);
  const child = await startRunner(worker, host, id);
  assert.equal((await child.next('welcome')).setup.snapshot.id, snapshot);
  const work = await worker.fetch(`/runner/${id}/snapshots/${snapshot}`, { headers: { authorization: `Bearer ${child.token}` } });
  assert.equal(await work.text(), `the work after ${turnId}`);
  const listed = async () => (await (await me.api('/api/sessions?limit=100')).json()).sessions.filter((one) => one.id === id).length;
  await until(async () => (await listed()) === 1, 'one in the list');
  runner.socket.terminate();

  /** A session whose log takes several pages to copy. */
  async function longSession() {
    const { session, runner, turnId } = await runningTurn(worker, host, me);
    await runner.event({ kind: 'message.started', turnId, messageId: 'msg_a' });
    for (let index = 0; index < 1200; index += 1) {
      const part = { ...textPart(`prt_${index}`, `part ${index} `.repeat(20), index), endedAt: '2026-11-21T06:00:01.000Z' };
      const stored = runner.event({ kind: 'part.finished', turnId, messageId: 'msg_a', part });
      if (index % 100 === 99) await stored;
    }
    await runner.finish(turnId);
    return { session, runner, turnId, snapshot: await runner.save(turnId) };
  }
});

test('a pause that workerd’s end interrupts is finished, and what was saved is still there', async () => {
  const { session, runner, turnId } = await idleSession(worker, host, me, { save: true });
  await me.api(`/api/sessions/${session}/pause`, { method: 'POST' });
  await runner.next('save');
  await restart();
  await until(async () => (await (await me.api(`/api/sessions/${session}`)).json()).phase === 'paused', 'paused');
  assert.equal(await (await me.api(`/api/sessions/${session}/snapshot`)).text(), `the work after ${turnId}`);
});
