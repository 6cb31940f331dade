/** A budget of one cent stops a run with a note, and an extension lets it go on: with the real engine. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { until } from '../lib/programs.mjs';
import { startSystem } from '../lib/system.mjs';

describe('a budget of one cent', () => {
  let system;
  let me;
  let session;

  before(async () => {
    system = await startSystem({ timings: { save: 5_000 } });
    me = await system.signIn();
    // A token that is written costs a thousandth of a cent, one that is read nothing: so calls cost about the same.
    const rates = { input: 0, output: 10_000_000 };
    await me.api('/api/admin/prices', { method: 'PUT', body: { prices: [{ model: 'demo/demo', from: '2026-01-01T00:00:00Z', rates }] } });
    await me.api('/api/admin/budgets', { method: 'POST', body: { dimension: 'session', period: 'total', limit: 10_000 } });
    session = await me.create();
  });
  after(() => system?.stop());

  test('stops the run with a hand-over note, keeps the work, and rests', async () => {
    const turn = await session.run('Step by step, please. [[tools:{"count":200}]]');
    assert.ok(session.viewer.events.some(({ type }) => type === 'budget.warned'), 'a warning came first');
    assert.ok(session.viewer.events.some(({ type }) => type === 'budget.reached'));
    assert.ok(turn.tools('bash').length > 2, 'it worked until then');
    assert.ok(turn.tools('bash').length < 200);
    await session.viewer.untilSession((now) => now.phase === 'paused');
    const texts = session.viewer.events.filter(({ type, part }) => type === 'part.finished' && part.type === 'text').map(({ part }) => part.text);
    assert.match(texts.at(-1), /## Hand-over note/);
    const now = await session.get();
    assert.deepEqual([now.cause.code, now.activity], ['budget', 'awaiting_input']);
    assert.match(now.cause.message, /left a hand-over note/);
    const { session: spent } = await me.api(`${session.path}/usage`);
    const most = Math.max(...(await me.api(`${session.path}/usage`)).turns.map(({ cost }) => cost));
    assert.ok(spent.cost >= 9_000 && most > 0, JSON.stringify(spent));
    assert.ok(session.viewer.events.some(({ type }) => type === 'sandbox.snapshot'), 'the work is saved outside the sandbox');
  });

  test('goes on when it is extended', async () => {
    const asked = session.viewer.events.findLast(({ type }) => type === 'interaction.opened').interaction;
    assert.equal(asked.kind, 'budget');
    const answer = await session.answer(asked.id, { type: 'extend', limit: 1_000_000 });
    assert.equal(answer.status, 200, await answer.text());
    const started = await session.viewer.event(({ type }, at) => type === 'turn.started' && at > 0);
    assert.ok(started);
    const last = await until(() => session.viewer.events.findLast(({ type }) => type === 'turn.finished' && session.viewer.events.filter((e) => e.type === 'turn.finished').length > 1), 'the turn that goes on');
    assert.equal(last.outcome, 'done', JSON.stringify(last.cause));
    assert.equal((await session.get()).budget, undefined);
  });
});
