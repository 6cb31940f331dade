/** A budget of one cent stops a run with a note, the work is pushed, and an extension lets it go on: with the real engine. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { git, PASSWORD, startGitServer, USERNAME } from '../lib/git-server.mjs';
import { until } from '../lib/programs.mjs';
import { GIT_SERVER } from '../lib/repositories.mjs';
import { startSystem } from '../lib/system.mjs';

const LIMIT = 10_000;
/** A call of the scenario that spends the budget, and the note, cost less. */
const ONE_CALL = 2_000;
/** Goes on until the budget is used up. */
const WORK = 'Step by step, please. [[tools:{"count":200}]]';

/** Somebody whose sessions may spend one cent each. */
async function withBudget(system) {
  const me = await system.signIn();
  // A token that is written costs a five-hundredth of a cent, one that is read nothing: so calls cost about the same.
  const rates = { input: 0, output: 20_000_000 };
  await me.api('/api/admin/prices', { method: 'PUT', body: { prices: [{ model: 'demo/demo', from: '2026-01-01T00:00:00Z', rates }] } });
  me.budget = await me.api('/api/admin/budgets', { method: 'POST', body: { dimension: 'session', period: 'total', limit: LIMIT } });
  return me;
}

describe('a budget of one cent', () => {
  let system;
  let me;
  let session;

  before(async () => {
    system = await startSystem({ timings: { save: 5_000 } });
    me = await withBudget(system);
    session = await me.create();
  });
  after(() => system?.stop());

  test('stops the run with a hand-over note, keeps the work, and rests', async () => {
    const turn = await session.run(WORK);
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
    assert.ok(spent.cost >= 0.9 * LIMIT && spent.cost <= LIMIT + ONE_CALL, JSON.stringify(spent));
    const [stop] = await until(async () => {
      const stops = (await me.api('/api/usage')).stops ?? [];
      return stops.length > 0 && stops;
    }, 'the sandbox in the ledger');
    assert.deepEqual([stop.reason, stop.count], ['budget', 1]);
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

describe('the work of a session whose budget is used up', () => {
  let server;
  let system;
  let me;
  let url;
  const upstream = (...args) => git(path.join(server.root, 'team/app.git'), ...args);

  before(async () => {
    server = await startGitServer();
    server.repository('team/app', { 'README.md': '# Private\n', '.gitignore': '*.log\n' });
    const host = `${GIT_SERVER}:${server.port}`;
    url = `http://${host}/team/app`;
    const hosts = [{ host, url: server.url, username: USERNAME, secret: PASSWORD }];
    system = await startSystem({ vars: { GIT_HOSTS: JSON.stringify(hosts) }, timings: { save: 5_000 } });
    me = await withBudget(system);
  });
  after(async () => {
    await system?.stop();
    await server?.stop();
  });

  /** Leaves work in the workspace, committed and not. */
  async function begun(repo) {
    const session = await me.create({ repo: { url: repo } });
    const cmd = 'echo one > one.txt && git add one.txt && git commit -qm "Agent\'s own" && echo two > two.txt && git add two.txt && echo three > three.txt && echo noise > noise.log';
    const turn = await session.run(`[[bash:${JSON.stringify({ cmd })}]]`);
    assert.equal(turn.tools('bash')[0].exitCode, 0, turn.tools('bash')[0].output);
    return session;
  }
  const usedUp = async (session) => {
    await session.run(WORK);
    return session.viewer.untilSession((now) => now.phase === 'paused');
  };
  const notes = (session) => session.viewer.events.filter(({ type }) => type === 'sandbox.trouble').map(({ cause }) => cause);

  test('is pushed to a branch of its own, and nothing of that is seen in the sandbox', async () => {
    const session = await begun(url);
    const now = await usedUp(session);
    const branch = `errand/${session.id}-wip`;
    assert.equal(upstream('ls-tree', '-r', '--name-only', branch), '.gitignore\nREADME.md\none.txt\nthree.txt\ntwo.txt');
    const { name, email } = me.person;
    const [last, own, first] = upstream('log', '--format=%an <%ae>|%cn|%s', branch).split('\n');
    assert.equal(last, `${name} <${email}>|Errand|Unfinished: ${now.title}`);
    assert.deepEqual([own.split('|')[2], first.split('|')[2]], ["Agent's own", 'First']);
    const commit = upstream('rev-parse', branch);
    assert.deepEqual(now.pushed, { branch, commit });
    assert.equal(now.cause.code, 'budget');
    assert.ok(now.cause.message.includes(`pushed to ${branch} (${commit.slice(0, 10)})`), now.cause.message);
    const pushes = session.viewer.events.filter(({ type }) => type === 'git.pushed');
    assert.deepEqual(pushes.map((event) => [event.branch, event.commit]), [[branch, commit]]);
    const order = ['turn.finished', 'git.pushed', 'interaction.opened'];
    const at = order.map((type) => session.viewer.events.findLastIndex((event) => event.type === type));
    assert.deepEqual(at, at.toSorted((a, b) => a - b), 'note, push, question');
    assert.deepEqual(notes(session), []);
    assert.equal(upstream('for-each-ref', '--format=%(refname)'), `refs/heads/${branch}\nrefs/heads/main`);

    const asked = session.viewer.events.findLast(({ type }) => type === 'interaction.opened').interaction;
    assert.equal((await session.answer(asked.id, { type: 'extend', limit: 10_000_000 })).status, 200);
    await session.viewer.untilSession(({ phase, activity }) => phase === 'running' && activity === 'idle');
    const look = await session.run(`[[bash:${JSON.stringify({ cmd: 'git status --short && git log --format=%s && git branch -a' })}]]`);
    assert.match(look.tools('bash')[0].output, /^A  two.txt\n\?\? three.txt\nAgent's own\nFirst\n\* main\n/);
    await session.end();
    // It is the budget of every session.
    await me.api(`/api/admin/budgets/${me.budget.id}`, { method: 'PATCH', body: { limit: LIMIT } });
  });

  test('rests all the same when the repository refuses it, and says what and why', async () => {
    const session = await begun(url);
    server.password = 'another one by now';
    const now = await usedUp(session);
    server.password = PASSWORD;
    assert.equal(now.cause.code, 'budget');
    assert.match(now.cause.message, /What was done is kept\./);
    const [note, ...more] = notes(session);
    assert.deepEqual([note.code, more], ['push_refused', []]);
    assert.match(note.message, /^The work was not pushed to the repository: .*refused the credential.* It is kept in the session's sandbox and its snapshot\.$/);
    assert.ok(session.viewer.events.some(({ type }) => type === 'sandbox.snapshot'));
    await session.end();
  });

  test('rests all the same when there is no way to push, and says so', async () => {
    const session = await begun(system.sample);
    const now = await usedUp(session);
    assert.equal(now.cause.code, 'budget');
    assert.deepEqual(notes(session).map(({ code }) => code), ['push_nowhere']);
    assert.ok(session.viewer.events.some(({ type }) => type === 'sandbox.snapshot'));
    await session.end();
  });
});
