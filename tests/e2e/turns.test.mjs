/** Turns: queue, abort, sub-agents, much output, and a model that fails. One session on an empty workspace. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { assemble, assertDeltas, assertWhole } from '../lib/checks.mjs';
import { newId } from '../lib/ids.mjs';
import { until } from '../lib/programs.mjs';
import { startSystem } from '../lib/system.mjs';

describe('turns', () => {
  let system;
  let session;

  before(async () => {
    system = await startSystem();
    session = await (await system.signIn()).create();
  });
  after(() => system?.stop());

  test('a session without a repository begins on an empty workspace', async () => {
    const turn = await session.run('[[bash:{"cmd":"git status --short --branch && ls -A"}]]');
    assert.equal(turn.end.outcome, 'done', JSON.stringify(turn.end.cause));
    const [bash] = turn.tools('bash');
    assert.equal(bash.exitCode, 0);
    assert.match(bash.output, /## \S+\s+\.git\s*$/);
    assert.deepEqual(turn.end.files, []);
  });

  test('three prompts sent at once run one after the other, in order', async () => {
    const gate = newId('gate');
    const texts = [`[[gate:{"name":"${gate}"}]]`, '[[bash:{"cmd":"echo two"}]]', '[[text:{"words":5}]]'];
    const prompts = [];
    for (const text of texts) prompts.push(await session.prompt(text));
    const busy = await session.viewer.untilSession((now) => now.queue === 2);
    assert.ok(['thinking', 'queued'].includes(busy.activity), busy.activity);
    await system.openGate(gate);
    await session.viewer.finished({ promptId: prompts[2].id });
    const order = session.viewer.events
      .filter((event) => ['turn.started', 'turn.finished'].includes(event.type) && prompts.some((prompt) => prompt.id === event.promptId))
      .map((event) => [event.type, prompts.findIndex((prompt) => prompt.id === event.promptId)]);
    assert.deepEqual(order, [0, 1, 2].flatMap((at) => [['turn.started', at], ['turn.finished', at]]));
  });

  test('a waiting prompt can be changed and taken back', async () => {
    const gate = newId('gate');
    const running = await session.prompt(`[[gate:{"name":"${gate}"}]]`);
    const [changed, withdrawn] = [await session.prompt('first wording'), await session.prompt('never mind')];
    const { user, path } = session;
    await user.api(`${path}/prompts/${changed.id}`, { method: 'PATCH', body: { text: '[[text:{"words":3}]]' } });
    await user.api(`${path}/prompts/${withdrawn.id}`, { method: 'DELETE' });
    await session.viewer.event((event) => event.type === 'turn.started' && event.promptId === running.id);
    await user.refused(`${path}/prompts/${running.id}`, { method: 'DELETE' }, 409, 'conflict');
    await system.openGate(gate);
    await session.viewer.finished({ promptId: changed.id });
    const last = (await system.modelRequests()).at(-1);
    assert.match(last.prompt, /words":3/);
    await session.viewer.untilSession((now) => now.queue === 0 && now.activity === 'idle');
    assert.ok(!session.viewer.events.some((event) => event.type === 'turn.started' && event.promptId === withdrawn.id));
  });

  test('the same prompt id again is the same prompt', async () => {
    const id = newId('prm');
    const made = await until(async () => session.prompt('[[text:{"words":4}]]', { id }), 'a prompt');
    await session.viewer.finished({ promptId: id });
    const again = await session.prompt('[[text:{"words":4}]]', { id });
    assert.equal(again.id, made.id);
    assert.equal(again.state, 'done');
    assert.equal(session.viewer.events.filter((event) => event.type === 'prompt.queued' && event.prompt.id === id).length, 1);
  });

  test('an abort in the middle of a text keeps the text and ends the turn', async () => {
    const gate = newId('gate');
    const prompt = await session.prompt(`[[gate:{"name":"${gate}"}]]`);
    const { turnId } = await session.viewer.event((event) => event.type === 'turn.started' && event.promptId === prompt.id);
    await session.viewer.until(({ frames }) => frames.findLast((frame) => frame.type === 'delta')?.text.includes('before'), 'the beginning of the text');
    await session.abort(turnId);
    const end = await session.viewer.finished({ turnId });
    assert.equal(end.outcome, 'aborted');
    const text = session.viewer.events.find((event) => event.type === 'part.finished' && event.turnId === turnId && event.part.type === 'text');
    assert.match(text.part.text, /before/);
    assert.ok(session.viewer.events.some((event) => event.type === 'turn.aborting' && event.turnId === turnId && event.by.id === session.user.person.id));
    await system.openGate(gate);
  });

  test('an abort in the middle of a command kills the command', async () => {
    const prompt = await session.prompt('[[bash:{"cmd":"echo begun; sleep 987"}]]');
    const { turnId } = await session.viewer.event((event) => event.type === 'turn.started' && event.promptId === prompt.id);
    await until(() => system.sandboxProcesses(session, /^sleep 987/).length > 0, 'the running command');
    await session.abort();
    const end = await session.viewer.finished({ turnId });
    assert.equal(end.outcome, 'aborted');
    await until(() => system.sandboxProcesses(session, /sleep 987/).length === 0, 'the end of the command');
    const tool = session.viewer.events.find((event) => event.type === 'part.finished' && event.turnId === turnId && event.part.tool === 'bash');
    assert.match(`${tool.part.output} ${tool.part.error}`, /begun|abort/i);
  });

  test('an abort while nothing runs changes nothing', async () => {
    const before = session.viewer.events.length;
    await session.abort();
    const turn = await session.run('[[text:{"words":3}]]');
    assert.equal(turn.end.outcome, 'done');
    assert.ok(!session.viewer.events.slice(before).some((event) => event.type === 'turn.aborting'));
  });

  test("a sub-agent's parts stand below the call that started it", async () => {
    const turn = await session.run('[[subagent]]');
    const task = turn.parts.find((part) => part.type === 'subtask');
    assert.deepEqual([task.description, task.agent, task.status], ['Count the files', 'general', 'completed']);
    assert.match(task.output, /command has run/i);
    const inner = turn.parts.filter((part) => part.parentPartId === task.id);
    assert.deepEqual(inner.filter((part) => part.type === 'tool').map((part) => part.tool), ['bash']);
    assert.ok(inner.some((part) => part.type === 'text'));
    assert.match(turn.text, /sub-agent is done/);
    assertDeltas(turn);
  });

  test('a command with 300 lines comes in few frames', async () => {
    const from = session.viewer.frames.length;
    const turn = await session.run('[[lines:{"count":300,"ms":5}]]');
    const [bash] = turn.tools('bash');
    assert.match(bash.output, /line 1\n[\s\S]*line 300/);
    assert.equal(bash.status, 'completed');
    const frames = session.viewer.frames.slice(from);
    const bytes = frames.reduce((sum, frame) => sum + JSON.stringify(frame).length, 0);
    assert.ok(frames.length < 60, `${frames.length} frames`);
    assert.ok(bytes < 6 * bash.output.length + 20_000, `${bytes} bytes`);
    assert.ok(turn.deltas.some((delta) => delta.partId === bash.id), 'output shows while it runs');
    assertDeltas(turn);
  });

  test('output that is very long keeps its head and its tail', async () => {
    const turn = await session.run('[[big-output:{"kib":600}]]');
    const [bash] = turn.tools('bash');
    assert.ok(bash.output.length < 300_000);
    assert.equal(turn.end.outcome, 'done');
  });

  test('commands that run at the same time do not mix', async () => {
    const turn = await session.run('[[parallel]]');
    assert.deepEqual(turn.tools('bash').map((part) => part.output.trim()).sort(), ['first', 'second']);
    assertDeltas(turn);
  });

  test('a call that the engine refuses shows as such and the agent goes on', async () => {
    for (const marker of ['[[badargs]]', '[[badtool]]']) {
      const turn = await session.run(marker);
      assert.equal(turn.end.outcome, 'done', marker);
      assert.ok(turn.tools().length === 1, marker);
    }
  });

  for (const [marker, code, words] of [
    ['[[401]]', 'model_auth', /key|refus|sign/i],
    ['[[400]]', undefined, /refuses this request/i],
  ]) {
    test(`a model that answers ${marker.slice(2, 5)} fails the turn in words, and the session goes on`, async () => {
      const turn = await session.run(marker);
      assert.equal(turn.end.outcome, 'failed');
      if (code) assert.equal(turn.end.cause.code, code);
      assert.match(turn.end.cause.message, words);
      assert.equal((await session.run('[[text:{"words":2}]]')).end.outcome, 'done');
    });
  }

  test('a model that answers 429 once is tried again, and says so meanwhile', async () => {
    const turn = await session.run(`[[429:{"times":1,"after":1}]] ${newId('x')}`);
    assert.equal(turn.end.outcome, 'done', JSON.stringify(turn.end.cause));
    const retry = turn.events.find((event) => event.type === 'turn.retrying');
    assert.equal(retry.attempt, 1);
    assert.match(retry.message, /rate|limit|429|busy/i);
    assert.match(turn.text, /Recovered after 429/);
  });

  test('a model that keeps answering 500 can be aborted while it is tried again', async () => {
    const prompt = await session.prompt('[[500]]');
    const retry = await session.viewer.event(
      (event) => event.type === 'turn.retrying' && session.viewer.events.some((started) => started.type === 'turn.started' && started.promptId === prompt.id && started.turnId === event.turnId),
      'the second try',
    );
    assert.ok(retry.message.length > 0);
    await session.abort();
    assert.equal((await session.viewer.finished({ promptId: prompt.id })).outcome, 'aborted');
    assert.equal((await session.run('[[text:{"words":2}]]')).end.outcome, 'done');
  });

  test('a model that hangs can be aborted', async () => {
    const prompt = await session.prompt('[[hang]]');
    await session.viewer.until(({ frames }) => frames.findLast((frame) => frame.type === 'delta')?.text.includes('hang'), 'the beginning');
    await session.abort();
    assert.equal((await session.viewer.finished({ promptId: prompt.id })).outcome, 'aborted');
  });

  test('an answer whose connection breaks is asked for again and shows once', async () => {
    const turn = await session.run(`[[drop:{"times":1}]] ${newId('x')}`);
    assert.equal(turn.end.outcome, 'done', JSON.stringify(turn.end.cause));
    const { messages } = await session.transcript();
    const texts = messages
      .filter((message) => message.turnId === turn.id && message.role === 'assistant')
      .flatMap((message) => message.parts)
      .filter((part) => part.type === 'text' && part.text.trim() !== '');
    assert.deepEqual(texts.map((part) => part.text.trim()), ['A whole answer after the connection broke.']);
  });

  test('a model of the other dialect works the same', async () => {
    const turn = await session.run('[[bash:{"cmd":"echo other"}]]', { model: 'demo-messages/demo' });
    assert.equal(turn.end.outcome, 'done', JSON.stringify(turn.end.cause));
    assert.equal(turn.tools('bash')[0].output.trim(), 'other');
    assertDeltas(turn);
    assert.equal((await system.modelRequests()).at(-1).dialect, 'anthropic');
  });

  test('the text of a long answer streams and comes to the final text', async () => {
    const turn = await session.run('[[slow:{"words":120,"ms":8}]]');
    assert.ok(turn.deltas.length > 10);
    assertDeltas(turn);
    const { text } = turn.parts.find((part) => part.type === 'text');
    assert.ok(assemble(turn.deltas).length > 0.9 * text.length, 'nearly all of it was seen before the end');
  });

  test('after all that the log is whole', async () => {
    await session.viewer.untilSession((now) => now.activity === 'idle' && now.queue === 0);
    await assertWhole(session);
  });

  test('a terminated session refuses prompts and leaves nothing running', async () => {
    await session.end();
    await session.user.refused(`${session.path}/prompts`, { method: 'POST', body: { text: 'more' } }, 409, 'terminated');
    await until(() => system.sandboxProcesses(session).length === 0, 'the end of the sandbox');
    assert.equal((await session.get()).phase, 'terminated');
    assert.ok((await session.transcript()).messages.length > 10, 'the transcript stays');
  });
});
