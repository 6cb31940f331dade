/** The main job: the sample repository's failing test is fixed, and a second prompt goes on from there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { assertDeltas, assertWhole } from '../lib/checks.mjs';
import { newId } from '../lib/ids.mjs';
import { startSystem } from '../lib/system.mjs';

describe('a session on the sample repository', () => {
  let system;
  let user;
  let session;
  let turn;

  before(async () => {
    system = await startSystem();
    user = await system.signIn();
    const { repos } = await user.api('/api/repos');
    const sample = repos.find((repo) => repo.url === system.sample);
    session = await user.create({ id: newId('ses'), repo: { url: sample.url }, prompt: sample.suggestion });
    turn = await session.firstTurn();
  });
  after(() => system?.stop());

  test('the tests really pass at the end', () => {
    assert.equal(turn.end.outcome, 'done', JSON.stringify(turn.end.cause));
    const workspace = path.join(system.sandboxDir(session), 'workspace');
    const output = execFileSync(process.execPath, ['--test', '--test-reporter=tap'], {
      cwd: workspace, encoding: 'utf8', env: { PATH: process.env.PATH },
    });
    assert.match(output, /^# fail 0$/m);
    assert.throws(
      () => execFileSync(process.execPath, ['--test'], { cwd: system.sample, stdio: 'ignore', env: { PATH: process.env.PATH } }),
      'the repository that was cloned is not touched',
    );
  });

  test('the agent tells what it found and what it did', () => {
    assert.match(turn.text, /Fixed: all \*\*\d+\*\* tests pass/);
    const runs = turn.tools('bash').filter((part) => part.input.command === 'npm test');
    assert.deepEqual(runs.map((part) => [part.status, part.exitCode === 0]), [['completed', false], ['completed', true]]);
    assert.match(runs[0].output, /a discount is taken off the whole cart once/);
    const [edit] = turn.tools('edit');
    assert.equal(edit.status, 'completed');
    assert.match(edit.diff, /^-\s+sum -= discountFor\(sum, discount\)$/m);
    assert.match(edit.diff, /^\+\s+const due = sum - discountFor\(sum, discount\)$/m);
    assert.ok(turn.parts.some((part) => part.type === 'reasoning' && part.text.includes('running sum')));
  });

  test('the end of the turn names the changed file, with its diff, and what was used', () => {
    const [file, ...more] = turn.end.files;
    assert.deepEqual(more, []);
    assert.equal(file.path, 'src/cart.mjs');
    assert.equal(file.status, 'modified');
    assert.ok(file.additions > 0 && file.deletions > 0);
    assert.match(file.patch, /const due = sum/);
    assert.ok(turn.end.usage.input > 0 && turn.end.usage.output > 0);
  });

  test('the plan moves from pending to completed', () => {
    const lists = session.viewer.events.filter((event) => event.type === 'note.todos').map((event) => event.todos);
    assert.ok(lists.length >= 3);
    assert.deepEqual(lists[0].map((todo) => todo.status), ['in_progress', 'pending', 'pending', 'pending']);
    assert.ok(lists.at(-1).every((todo) => todo.status === 'completed'));
  });

  test('text streams in pieces that come to the final parts', () => {
    assertDeltas(turn);
    assert.ok(turn.deltas.length > 0);
    const at = (wanted) => session.viewer.frames.findIndex(wanted);
    assert.ok(at((frame) => frame.type === 'delta') < at((frame) => frame.event?.type === 'turn.finished'));
  });

  test('the start-up is told step by step', () => {
    const types = session.viewer.events.map((event) => event.type);
    assert.equal(types[0], 'session.created');
    const steps = session.viewer.events.filter((event) => event.type === 'sandbox.step').map((event) => event.step);
    assert.deepEqual(steps, ['requested', 'booting', 'cloning', 'engine']);
    const cloned = session.viewer.events.find((event) => event.type === 'git.cloned');
    const head = execFileSync('git', ['-C', system.sample, 'rev-parse', 'HEAD'], { encoding: 'utf8' }).trim();
    assert.deepEqual([cloned.branch, cloned.commit], ['main', head]);
    assert.ok(types.includes('sandbox.ready'));
  });

  test('the transcript has the shape that the API promises', async () => {
    const { transcript } = await assertWhole(session);
    assert.deepEqual(Object.keys(transcript).sort(), ['headSeq', 'messages', 'session']);
    const [first, ...rest] = transcript.messages;
    assert.equal(first.role, 'user');
    assert.equal(first.author.id, user.person.id);
    assert.deepEqual(first.parts.map((part) => part.type), ['text']);
    assert.ok(rest.every((message) => message.role === 'assistant' && message.turnId === turn.id));
    for (const message of transcript.messages) {
      assert.match(message.id, /^msg_/);
      assert.ok(!Number.isNaN(Date.parse(message.createdAt)));
      for (const part of message.parts) assertPart(part);
    }
    assert.deepEqual(transcript.session, await session.get());
  });

  test('the session has a title of its own and a place in the list', async () => {
    const { sessions } = await user.api('/api/sessions');
    const [listed] = sessions;
    assert.equal(listed.id, session.id);
    assert.match(listed.title, /test fails/i);
    assert.equal(listed.phase, 'running');
    assert.equal((await (await system.signIn()).api('/api/sessions')).sessions.length, 0, 'nobody else sees it');
  });

  test('a follow-up knows the conversation and the workspace', async () => {
    const second = await session.run('Now add a test for an empty cart.');
    assert.equal(second.end.outcome, 'done', JSON.stringify(second.end.cause));
    assert.match(second.text, /Added the test “an empty cart costs nothing”/);
    assert.match(second.text, /All \*\*\d+\*\* tests pass/);
    assert.deepEqual(second.end.files.map((file) => file.path), ['test/cart.test.mjs'], 'only what this turn changed');
    const workspace = path.join(system.sandboxDir(session), 'workspace');
    assert.match(fs.readFileSync(path.join(workspace, 'src/cart.mjs'), 'utf8'), /const due/, 'the first fix is still there');
    const asked = (await system.modelRequests()).filter((request) => request.prompt.includes('empty cart') && request.kind !== 'title');
    assert.ok(asked.length > 0);
    await assertWhole(session);
  });

  test('a viewer that comes later sees the same', async () => {
    const late = session.newViewer();
    await late.open(0);
    await late.until(() => late.events.at(-1)?.seq === late.hello.headSeq, 'the whole log');
    assert.deepEqual(late.events, session.viewer.events);
    assert.deepEqual(late.hello.openParts, []);
    late.close();
  });
});

function assertPart(part) {
  assert.ok(['text', 'reasoning', 'tool', 'file', 'patch', 'subtask'].includes(part.type), part.type);
  if (part.type === 'text') assert.equal(typeof part.text, 'string');
  if (part.type !== 'tool') return;
  assert.equal(typeof part.tool, 'string');
  assert.ok(['completed', 'error'].includes(part.status), part.status);
  assert.equal(typeof part.input, 'object');
  if (part.status === 'completed') assert.equal(typeof part.output, 'string');
  if (['edit', 'write'].includes(part.tool)) assert.match(part.diff, /^@@/m);
}
