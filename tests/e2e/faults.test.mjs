/**
 * Any process may be killed at any moment: nothing that was accepted is lost, the transcript is whole, and nothing
 * is left running. Each test kills one of them in the middle of a turn that waits at the demo model's gate.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertWhole } from '../lib/checks.mjs';
import { newId } from '../lib/ids.mjs';
import { processesOf, until } from '../lib/programs.mjs';
import { startSystem } from '../lib/system.mjs';

describe('a process that is killed', () => {
  let system;
  let user;
  let session;

  before(async () => {
    // So many losses in a few minutes would otherwise make the session wait for a person.
    system = await startSystem({ timings: { breakerFailures: 20 } });
    user = await system.signIn();
    session = await user.create({ prompt: '[[write:{"path":"kept.txt","content":"kept\\n"}]]' });
    await session.firstTurn();
  });
  after(() => system?.stop());
  // What a failed test left behind must not make the next ones fail.
  afterEach(async () => {
    if (session.viewer.session.activity !== 'idle') await session.abort().catch(() => {});
  });

  /** A turn in the middle of its text: `{gate, prompt, turnId}`. */
  async function inTheMiddle() {
    const gate = newId('gate');
    const prompt = await session.prompt(`[[gate:{"name":"${gate}"}]]`);
    const { turnId } = await session.viewer.event((event) => event.type === 'turn.started' && event.promptId === prompt.id);
    await session.viewer.until(
      ({ frames, events }) => {
        const part = events.find((event) => event.type === 'part.started' && event.turnId === turnId && event.part.type === 'text');
        return part && frames.some((frame) => frame.type === 'delta' && frame.partId === part.part.id);
      },
      'the beginning of the text',
    );
    return { gate, prompt, turnId };
  }

  /**
   * Opens the gate until the turn has ended. More than once: the model's answers come through the Worker, so when
   * that is killed, or the engine is, the engine asks the model again, which then stands at the gate again.
   */
  async function letThrough({ gate, turnId }) {
    let ended = false;
    const end = session.viewer.finished({ turnId }).finally(() => {
      ended = true;
    });
    await Promise.all([end, until(async () => ended || (await system.openGate(gate)), 'the end of the turn')]);
    return end;
  }

  /** The session goes on: the next prompt runs, and finds the workspace as it was. */
  async function goesOn() {
    const turn = await session.run('[[bash:{"cmd":"cat kept.txt"}]]');
    assert.equal(turn.end.outcome, 'done', JSON.stringify(turn.end.cause));
    assert.equal(turn.tools('bash')[0].output.trim(), 'kept');
    await assertWhole(session);
  }

  const textOf = (turnId) =>
    session.viewer.events
      .filter((event) => event.type === 'part.finished' && event.turnId === turnId && event.part.type === 'text')
      .map((event) => event.part.text)
      .join('|');

  const killed = (pattern) => {
    const found = system.sandboxProcesses(session, pattern);
    assert.ok(found.length > 0, `a process like ${pattern}`);
    for (const { pid } of found) process.kill(pid, 'SIGKILL');
  };

  test('the Worker: the turn goes on in the sandbox, and arrives', async () => {
    const turn = await inTheMiddle();
    const waiting = await session.prompt('[[bash:{"cmd":"echo queued"}]]');
    await system.worker.end('SIGKILL');
    await session.viewer.closed;
    await system.worker.start();
    await session.viewer.resume();
    assert.equal((await letThrough(turn)).outcome, 'done');
    assert.equal(textOf(turn.turnId).trim(), 'before after', 'the answer shows once, and whole');
    assert.equal((await session.viewer.finished({ promptId: waiting.id })).outcome, 'done', 'what was accepted before runs');
    await goesOn();
  });

  test('the connection of a viewer: it catches up without gap and repetition', async () => {
    const { gate, turnId } = await inTheMiddle();
    session.viewer.close();
    await session.viewer.closed;
    await system.openGate(gate);
    await until(async () => (await session.get()).activity === 'idle', 'the end of the turn');
    await session.viewer.resume();
    assert.equal((await session.viewer.finished({ turnId })).outcome, 'done');
    const fresh = session.newViewer();
    await fresh.open();
    await fresh.until(() => fresh.events.at(-1)?.seq === fresh.hello.headSeq, 'the newest page');
    assert.deepEqual(fresh.events, session.viewer.events.slice(-fresh.events.length));
    fresh.close();
  });

  test('a viewer that comes in the middle of a turn gets the text so far', async () => {
    const { gate, turnId } = await inTheMiddle();
    const late = session.newViewer();
    await late.open();
    assert.equal(late.hello.turn.id, turnId);
    assert.match(late.hello.openParts.map((open) => open.part.text ?? '').join(), /before/);
    late.close();
    await system.openGate(gate);
    await session.viewer.finished({ turnId });
  });

  test('the engine: the turn ends with the reason, what was there stays', async () => {
    const { gate, turnId } = await inTheMiddle();
    killed(/opencode\S* serve/);
    const end = await session.viewer.finished({ turnId });
    assert.equal(end.outcome, 'failed');
    assert.equal(end.cause.code, 'engine_crashed');
    assert.match(end.cause.message, /^[A-Z].*\.$/s);
    await system.openGate(gate);
    await goesOn();
  });

  test('the sandbox host: the sandbox goes on, and the next host finds it', async () => {
    const { gate, turnId } = await inTheMiddle();
    const before = system.sandboxProcesses(session).map(({ pid }) => pid);
    await system.host.end('SIGKILL');
    await system.openGate(gate);
    assert.equal((await session.viewer.finished({ turnId })).outcome, 'done');
    await system.host.start();
    await until(() => system.healthy(), 'a good /health');
    await goesOn();
    const now = system.sandboxProcesses(session).map(({ pid }) => pid);
    assert.deepEqual(before.filter((pid) => !now.includes(pid)), [], 'the same sandbox');
  });

  test('the runner: its sandbox is replaced, the workspace is kept', async () => {
    const { gate, turnId } = await inTheMiddle();
    const waiting = await session.prompt('[[bash:{"cmd":"echo after the loss"}]]');
    const ready = session.viewer.events.filter((event) => event.type === 'sandbox.ready').length;
    killed(/^\S*errand-runner/);
    const end = await session.viewer.finished({ turnId });
    assert.ok(['failed', 'done'].includes(end.outcome));
    if (end.outcome === 'failed') assert.match(end.cause.message, /^[A-Z].*\.$/s);
    await system.openGate(gate);
    assert.equal((await session.viewer.finished({ promptId: waiting.id })).outcome, 'done', 'what waited runs');
    assert.ok(session.viewer.events.filter((event) => event.type === 'sandbox.ready').length > ready);
    await goesOn();
  });

  test('everything, in order, and started again: the session is there and goes on', async () => {
    const { headSeq } = await session.get();
    const before = await session.transcript();
    await system.stopAll();
    assert.deepEqual(processesOf(system.home), [], 'nothing is left running');
    await system.startAll();
    const after = await session.transcript();
    assert.deepEqual(after.messages, before.messages);
    assert.ok(after.headSeq >= headSeq);
    assert.equal((await user.api('/api/sessions')).sessions[0].id, session.id);
    await session.viewer.resume();
    await goesOn();
  });

  test('everything at once in the middle of a turn: nothing accepted is lost', async () => {
    const turn = await inTheMiddle();
    const waiting = await session.prompt('[[bash:{"cmd":"echo survived"}]]');
    await Promise.all([system.worker, system.host, system.demo].map((program) => program.end('SIGKILL')));
    for (const { pid } of processesOf(system.home)) kill(pid);
    await until(() => processesOf(system.home).length === 0, 'the end of everything');
    await system.startAll();
    await session.viewer.resume();
    const end = await letThrough(turn);
    assert.ok(end.outcome === 'done' || end.cause.message, JSON.stringify(end));
    assert.equal((await session.viewer.finished({ promptId: waiting.id })).outcome, 'done');
    await goesOn();
  });

  test('of old sandboxes nothing is left in the end', async () => {
    await session.end();
    await until(() => system.sandboxProcesses(session).length === 0, 'the end of the last sandbox');
    const directory = path.join(system.home, 'host', 'sandboxes');
    await until(() => fs.readdirSync(directory).length === 0, 'an empty directory of sandboxes');
  });
});

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
