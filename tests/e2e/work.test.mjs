/**
 * Where a session's work is kept, and how it goes on elsewhere: pausing and resuming, steering the running turn, forks, and
 * a host whose disk is lost.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { assertWhole } from '../lib/checks.mjs';
import { newId } from '../lib/ids.mjs';
import { processesOf, until } from '../lib/programs.mjs';
import { startSystem } from '../lib/system.mjs';

const write = (name, content) => `[[write:${JSON.stringify({ path: name, content })}]]`;
const cat = (...names) => `[[bash:${JSON.stringify({ cmd: `cat ${names.join(' ')}` })}]]`;

describe('the work of a session', () => {
  let system;
  let user;

  before(async () => {
    system = await startSystem({ timings: { breakerFailures: 20 } });
    user = await system.signIn();
  });
  after(() => system?.stop());

  const post = (session, action, body = {}) => user.api(`${session.path}/${action}`, { method: 'POST', body });
  const end = (session) => session.end();

  /** Waits for the snapshot that holds a turn. */
  const saved = (session, turnId) => session.viewer.event((event) => event.type === 'sandbox.snapshot' && event.turnId === turnId, `a snapshot of ${turnId}`);

  /** The messages that the model was sent with its last request. */
  const lastSaid = async () => (await system.modelRequests()).at(-1).said.join('\n');

  test('a prompt that steers is taken in by the running turn', async () => {
    const session = await user.create();
    await session.run('[[text:{"words":2}]]');
    const prompt = await session.prompt('[[bash:{"cmd":"until [ -e go ]; do sleep 0.05; done; echo gone"}]]');
    const { turnId } = await session.viewer.event((event) => event.type === 'turn.started' && event.promptId === prompt.id);
    await session.viewer.untilSession((now) => now.activity === 'tool');
    const steer = await session.prompt('[[bash:{"cmd":"echo steered"}]]', { mode: 'steer' });
    await session.viewer.event((event) => event.type === 'prompt.steered' && event.promptId === steer.id && event.turnId === turnId);
    await user.refused(`${session.path}/prompts/${steer.id}`, { method: 'DELETE' }, 409, 'conflict');
    fs.writeFileSync(path.join(system.sandboxDir(session), 'workspace', 'go'), '');
    const finished = await session.viewer.finished({ turnId });
    assert.equal(finished.outcome, 'done', JSON.stringify(finished.cause));
    const outputs = session.viewer.events
      .filter((event) => event.type === 'part.finished' && event.turnId === turnId && event.part.type === 'tool')
      .map((event) => event.part.output.trim());
    assert.deepEqual(outputs, ['gone', 'steered'], 'one turn did both');
    assert.equal((await post(session, 'prompts', { id: steer.id, text: steer.text, mode: 'steer' })).prompt.state, 'done');
    await assertWhole(session);
    await end(session);
  });

  test('a paused session keeps its files and its conversation, and comes back when asked', async () => {
    const session = await user.create();
    await session.run(write('note.txt', 'paused\n'));
    await post(session, 'pause');
    await session.viewer.untilSession((now) => now.phase === 'paused');
    await until(() => system.sandboxProcesses(session).length === 0, 'the end of its processes');
    await post(session, 'archive');
    const listed = async (query) => (await user.api(`/api/sessions${query}`)).sessions.some((other) => other.id === session.id);
    await until(async () => (await listed('?archived=true')) && !(await listed('')), 'another place in the lists');
    await post(session, 'resume');
    await session.viewer.untilSession((now) => now.phase === 'running' && !now.archivedAt);
    const turn = await session.run(cat('note.txt'));
    assert.equal(turn.tools('bash')[0].output.trim(), 'paused');
    assert.match(await lastSaid(), /paused/, 'the engine knows the conversation');
    const { starts, verdicts } = await user.api(`${session.path}/startup`);
    assert.deepEqual(starts.map((start) => [start.resumed, start.outcome]), [[true, 'ready'], [false, 'ready']]);
    assert.deepEqual(verdicts, []);
    await end(session);
  });

  test('a fork after a turn has the files and the conversation of that turn', async () => {
    const session = await user.create({ repo: system.sample.repo });
    const first = await session.run(write('a.txt', 'one\n'));
    const second = await session.run(`${write('a.txt', 'two\n')} later words`);
    await saved(session, second.id);
    const id = newId('ses');
    const made = await post(session, 'fork', { id, turnId: first.id, title: 'Another way' });
    assert.deepEqual([made.id, made.forkedFrom, made.title], [id, { sessionId: session.id, turnId: first.id }, 'Another way']);
    assert.equal((await post(session, 'fork', { id, turnId: first.id, title: 'Another way' })).headSeq, made.headSeq, 'again is the same');
    const fork = await user.adopt(made);
    const turn = await fork.run(cat('a.txt'));
    assert.equal(turn.end.outcome, 'done', JSON.stringify(turn.end.cause));
    assert.equal(turn.tools('bash')[0].output.trim(), 'one');
    const said = await lastSaid();
    assert.match(said, /one/);
    assert.doesNotMatch(said, /later words/, 'what came after the turn is not known');
    const { log } = await assertWhole(fork);
    assert.equal(log.filter((event) => event.type === 'turn.finished').length, 2);
    const original = await session.run(cat('a.txt'));
    assert.equal(original.tools('bash')[0].output.trim(), 'two', 'the original is as it was');
    await Promise.all([end(fork), end(session)]);
  });

  test('when the disk of a host is lost, the work is brought back from its snapshot', async () => {
    const session = await user.create({ repo: system.sample.repo });
    const turn = await session.run(write('precious.txt', 'kept\n'));
    await saved(session, turn.id);
    const dir = system.sandboxDir(session);
    await system.host.end('SIGKILL');
    for (const { pid } of processesOf(path.basename(dir))) process.kill(pid, 'SIGKILL');
    await until(() => processesOf(path.basename(dir)).length === 0, 'the end of its processes');
    await until(() => remove(dir), 'an empty disk');
    await system.host.start();
    await until(() => system.healthy(), 'a good /health');
    const after = await session.run(cat('precious.txt'));
    assert.equal(after.end.outcome, 'done', JSON.stringify(after.end.cause));
    assert.equal(after.tools('bash')[0].output.trim(), 'kept');
    assert.match(await lastSaid(), /precious\.txt.*precious\.txt/s, 'the engine knows the conversation');
    assert.ok(session.viewer.events.some((event) => event.type === 'sandbox.trouble' && event.cause.code === 'restored_from_snapshot'));
    await assertWhole(session);
    await end(session);
  });

  test('ending a session saves its work first', async () => {
    const session = await user.create();
    await session.run(write('last.txt', 'last\n'));
    fs.writeFileSync(path.join(system.sandboxDir(session), 'workspace', 'unsaved.txt'), 'by hand');
    const before = session.viewer.events.filter((event) => event.type === 'sandbox.snapshot').length;
    await end(session);
    await session.viewer.until(({ events }) => events.filter((event) => event.type === 'sandbox.snapshot').length > before, 'the last snapshot');
    await until(() => system.sandboxProcesses(session).length === 0, 'the end of its processes');
    const download = await user.fetch(`${session.path}/snapshot`);
    assert.equal(download.status, 200);
    assert.ok((await download.arrayBuffer()).byteLength > 0);
  });
});

function remove(dir) {
  try {
    fs.rmSync(dir, { recursive: true, force: true });
    return !fs.existsSync(dir);
  } catch {
    return false;
  }
}
