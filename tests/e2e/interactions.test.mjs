/** What only a person can settle: permissions and questions, answered over REST and over the viewer's socket. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertWhole } from '../lib/checks.mjs';
import { startSystem } from '../lib/system.mjs';

const once = { type: 'permission', reply: 'once' };

describe('interactions', () => {
  let system;
  let session;
  let seen;

  before(async () => {
    system = await startSystem({ permissions: { bash: 'ask' } });
    session = await (await system.signIn()).create();
    seen = new Set();
  });
  after(() => system?.stop());
  // What a failed test left waiting must not make the next ones fail.
  afterEach(async () => {
    if (session.viewer.session.activity === 'awaiting_input') await session.abort();
    await session.viewer.untilSession((now) => now.activity === 'idle');
  });

  /** Prompts, and resolves with the next interaction that opens, and its prompt. */
  async function asked(text) {
    const prompt = await session.prompt(text);
    const { interaction } = await session.viewer.event((event) => event.type === 'interaction.opened' && !seen.has(event.interaction.id), 'an interaction');
    seen.add(interaction.id);
    return { prompt, interaction };
  }
  const resolution = (id) => session.viewer.event((event) => event.type === 'interaction.resolved' && event.interactionId === id, 'the resolution');

  test('a permission is asked for the command that needs it, and allowing it once runs it', async () => {
    const { prompt, interaction } = await asked('[[permission:{"cmd":"echo allowed > allowed.txt"}]]');
    assert.equal(interaction.kind, 'permission');
    assert.equal(interaction.permission, 'bash');
    assert.equal(interaction.command, 'echo allowed > allowed.txt');
    assert.ok(Date.parse(interaction.deadline) > Date.now());
    await session.viewer.untilSession((now) => now.activity === 'awaiting_input');
    const file = path.join(system.sandboxDir(session), 'workspace', 'allowed.txt');
    assert.equal(fs.existsSync(file), false, 'nothing runs before the answer');

    assert.equal((await session.answer(interaction.id, once)).status, 200);
    const settled = await resolution(interaction.id);
    assert.equal(settled.how, 'answered');
    assert.deepEqual(settled.answer, once);
    assert.equal(settled.by.id, session.user.person.id);
    assert.equal((await session.viewer.finished({ promptId: prompt.id })).outcome, 'done');
    assert.equal(fs.readFileSync(file, 'utf8'), 'allowed\n');
  });

  test('an answer that comes too late is told so', async () => {
    const [id] = seen;
    await session.user.refused(`${session.path}/interactions/${id}`, { method: 'POST', body: { answer: once } }, 409, 'already_resolved');
    const { interaction, prompt } = await asked('[[permission:{"cmd":"echo race"}]]');
    const answers = await Promise.all([once, { type: 'permission', reply: 'reject' }].map((answer) => session.answer(interaction.id, answer)));
    assert.deepEqual(answers.map((answer) => answer.status).sort(), [200, 409], 'of two answers at once one counts');
    await session.viewer.finished({ promptId: prompt.id });
    assert.equal(session.viewer.events.filter((event) => event.interactionId === interaction.id).length, 1);
  });

  test('an answer that does not fit, or to nothing, is refused', async () => {
    const { interaction, prompt } = await asked('[[permission:{"cmd":"echo fits"}]]');
    const address = `${session.path}/interactions/${interaction.id}`;
    await session.user.refused(address, { method: 'POST', body: { answer: { type: 'question', answers: [['Red']] } } }, 422, 'invalid');
    await session.user.refused(address, { method: 'POST', body: { answer: { type: 'maybe' } } }, 400, 'bad_request');
    await session.user.refused(address, { method: 'POST', body: {} }, 400, 'bad_request');
    await session.user.refused(`${session.path}/interactions/int_nothing`, { method: 'POST', body: { answer: once } }, 404, 'not_found');
    const stranger = await system.signIn();
    await stranger.refused(address, { method: 'POST', body: { answer: once } }, 404, 'not_found');
    const ack = await session.viewer.command({ type: 'answer', interactionId: interaction.id, answer: once });
    assert.equal(ack.type, 'ack', 'the right answer over the socket still counts');
    assert.equal((await session.viewer.finished({ promptId: prompt.id })).outcome, 'done');
  });

  test('a refusal with a message lets the agent go on with it', async () => {
    const { interaction, prompt } = await asked('[[permission:{"cmd":"rm -rf everything","then":"I take the other way."}]]');
    await session.answer(interaction.id, { type: 'permission', reply: 'reject', message: 'Use another way.' });
    assert.equal((await session.viewer.finished({ promptId: prompt.id })).outcome, 'done');
    const finished = session.viewer.events.filter((event) => event.type === 'part.finished' && event.turnId === interaction.turnId).map((event) => event.part);
    const bash = finished.find((part) => part.tool === 'bash');
    assert.equal(bash.status, 'error');
    assert.match(bash.error, /Use another way/);
    assert.ok(finished.some((part) => part.text === 'I take the other way.'));
  });

  test('a refusal without a message ends the turn', async () => {
    const { interaction, prompt } = await asked('[[permission:{"cmd":"rm -rf everything","then":"never said"}]]');
    await session.answer(interaction.id, { type: 'permission', reply: 'reject' });
    await session.viewer.finished({ promptId: prompt.id });
    assert.ok(!session.viewer.events.some((event) => event.part?.text === 'never said'));
  });

  test('a permission that is given for always is not asked for again', async () => {
    const { interaction, prompt } = await asked('[[permission:{"cmd":"printf again"}]]');
    assert.ok(interaction.always.length > 0);
    await session.answer(interaction.id, { type: 'permission', reply: 'always' });
    await session.viewer.finished({ promptId: prompt.id });
    const turn = await session.run('[[permission:{"cmd":"printf again"}]] once more');
    assert.equal(turn.end.outcome, 'done');
    assert.equal(turn.tools('bash')[0].output.trim(), 'again');
    assert.ok(!turn.events.some((event) => event.type === 'interaction.opened'));
  });

  test('a permission that a sub-agent needs is asked of the same person', async () => {
    const { interaction, prompt } = await asked('[[subagent]]');
    assert.equal(interaction.command, 'ls | wc -l');
    await session.answer(interaction.id, once);
    assert.equal((await session.viewer.finished({ promptId: prompt.id })).outcome, 'done');
  });

  test('an abort settles what was asked', async () => {
    const { interaction, prompt } = await asked('[[permission:{"cmd":"echo never"}]]');
    await session.abort();
    assert.equal((await resolution(interaction.id)).how, 'cancelled');
    assert.equal((await session.viewer.finished({ promptId: prompt.id })).outcome, 'aborted');
    await session.user.refused(`${session.path}/interactions/${interaction.id}`, { method: 'POST', body: { answer: once } }, 409, 'already_resolved');
  });

  test('a question is answered with one of its options', async () => {
    const { interaction, prompt } = await asked('[[question]]');
    assert.equal(interaction.kind, 'question');
    const [question] = interaction.questions;
    assert.deepEqual([question.header, question.options.map((option) => option.label)], ['Colour', ['Red', 'Blue']]);
    assert.equal((await session.answer(interaction.id, { type: 'question', answers: [['Blue']] })).status, 200);
    assert.equal((await session.viewer.finished({ promptId: prompt.id })).outcome, 'done');
    const tool = session.viewer.events.find((event) => event.type === 'part.finished' && event.turnId === interaction.turnId && event.part.tool === 'question');
    assert.match(tool.part.output, /Blue/, 'the agent got the answer');
  });

  test('a question that is dismissed ends the turn', async () => {
    const { interaction, prompt } = await asked('[[question]] and again');
    assert.equal((await session.answer(interaction.id, { type: 'dismiss' })).status, 200);
    await session.viewer.finished({ promptId: prompt.id });
    await session.viewer.untilSession((now) => now.activity === 'idle');
  });

  test('after all that the log is whole', () => assertWhole(session));
});
