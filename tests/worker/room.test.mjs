// Places for sandboxes: who waits for one gets that of a session which has nothing to do. Runners are played, and so is the
// host, which has only so many places and would have everybody ask again after a minute.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { indexOf, json, member, startWorker, until } from './harness.mjs';
import { attach, createSession, idleSession, runningTurn, startHost } from './stand-ins.mjs';

const MAKE_ROOM = 100;
const TIMINGS = JSON.stringify({ makeRoom: MAKE_ROOM, save: 60_000, pausing: 90_000, indexInterval: 50 });
const FULL = { status: 507, body: { error: { kind: 'capacity', message: 'all places for sandboxes are taken', retryAfterMs: 60_000 } } };

let host, worker, places;
const held = new Set();
// A host of its own for each test: who waits for a place in one must not get it in the next.
beforeEach(async () => {
  held.clear();
  host = await startHost((name, { method, url }) => {
    if (method === 'PUT') {
      const leaving = host.puts.at(-1).spec.resume;
      const others = [...held].filter((other) => other !== leaving && other !== name);
      if (others.length >= places) return FULL;
      held.delete(leaving);
      held.add(name);
    }
    if (url.endsWith('/suspend')) held.delete(name);
    return held.has(name) ? 'running' : 'exited';
  });
  worker = await startWorker({ vars: { ...host.vars, TIMINGS } });
});
afterEach(async () => {
  worker?.assertNoPanics();
  await worker?.stop();
  await host?.stop();
});

/** Somebody in an org of their own, with shorthands. */
async function one(given) {
  const me = given ?? (await worker.signIn());
  const summary = async (session) => (await me.api(`/api/sessions/${session}`)).json();
  const is = async (session, phase) => (await summary(session)).phase === phase;
  const listed = async (session) => (await (await me.api('/api/sessions?limit=100')).json()).sessions.find(({ id }) => id === session);
  return {
    ...me,
    org: (await (await me.api('/api/auth/me')).json()).org.id,
    summary,
    is,
    reaches: (session, phase) => until(() => is(session, phase), `${session} ${phase}`),
    /** The org's index knows what it does. */
    known: (session, activity) => until(async () => (await listed(session))?.activity === activity, `the index knows ${activity}`),
    /** A session that has nothing to do, as everybody knows, and for long enough to give its place up. */
    async idle() {
      const made = await idleSession(worker, host, me);
      const since = Date.now();
      await this.known(made.session, 'idle');
      await until(() => Date.now() - since > MAKE_ROOM, 'it was idle for long enough');
      return made;
    },
  };
}

const starts = (session) => until(() => held.has(`sbx-${session}-1`), `a place for ${session}`);
/** Memory is lost; some of them have none at that moment. */
const forget = (binding, name) => worker.evict(binding, name).catch((error) => assert.match(error.message, /not currently running/));
const toldToSave = ({ runner }) => runner.socket.frames.some(({ type }) => type === 'save');
/** Its runner is told to save, and does: then it rests. */
async function saves(me, { session, runner, turnId }) {
  await until(() => toldToSave({ runner }), 'it is told to save');
  assert.ok(held.has(`sbx-${session}-1`), 'the work is saved before the place is given up');
  await runner.save(turnId);
  await me.reaches(session, 'paused');
}

test('who waits gets the place of the one that has been idle for longest, once its work is saved', async () => {
  places = 2;
  const me = await one();
  const first = await me.idle();
  const second = await me.idle();
  const third = await createSession(me, { prompt: 'work' });
  await until(() => toldToSave(first), 'the first is told to save');
  await until(async () => /An idle session is being paused to make room\./.test((await me.summary(third)).cause?.message), 'what it waits for');
  assert.ok(!held.has(`sbx-${third}-1`));
  await saves(me, first);
  await starts(third);
  assert.ok(await me.is(second.session, 'running'));
  const { cause } = await me.summary(first.session);
  assert.deepEqual([cause.code, cause.message], ['made_room', 'Paused to make room for another session; it goes on at the next prompt.']);
  const viewer = await attach(worker, me, first.session, 0);
  await until(() => viewer.events().some((event) => event.type === 'session.phase' && event.phase === 'paused' && event.cause?.code === 'made_room'), 'the reason in the log');
});

test('nobody is paused who works, also when the index does not know', async () => {
  places = 2;
  const me = await one();
  const busy = await runningTurn(worker, host, me);
  const idle = await me.idle();
  // What the registry heard last of the busy one is that it has been idle for ages.
  const { apply } = indexOf(worker, me.org, me.user);
  const told = { ...(await me.summary(busy.session)), activity: 'idle', headSeq: 1_000_000, updatedAt: '2020-01-01T00:00:00.000Z' };
  assert.ok((await apply(told)).changed);
  const third = await createSession(me, { prompt: 'work' });
  await saves(me, idle);
  await starts(third);
  assert.ok(await me.is(busy.session, 'running'));
  const fourth = await createSession(me, { prompt: 'work' });
  await until(async () => (await me.summary(fourth)).cause?.code === 'sandbox_capacity', 'the fourth waits');
  assert.ok(await me.is(busy.session, 'running'));
  assert.ok(!toldToSave(busy));
});

test('a prompt that comes before the place is given up keeps it, and the next one is asked', async () => {
  places = 2;
  const me = await one();
  const first = await me.idle();
  const second = await me.idle();
  const third = await createSession(me, { prompt: 'work' });
  await until(() => toldToSave(first), 'the first is told to save');
  assert.equal((await me.api(`/api/sessions/${first.session}/prompts`, json('POST', { text: 'more' }))).status, 202);
  await first.runner.accept();
  await saves(me, second);
  await starts(third);
  assert.ok(await me.is(first.session, 'running'));
});

test('two that wait push two out, and one that waits only one, whatever is forgotten meanwhile', async () => {
  places = 3;
  const me = await one();
  const [first, second, third] = [await me.idle(), await me.idle(), await me.idle()];
  const waiting = await createSession(me, { prompt: 'work' });
  await until(() => toldToSave(first), 'the first is told to save');
  for (let round = 0; round < 2; round += 1) {
    await forget('SESSION_REGISTRY', me.org);
    await forget('SESSION_AGENT', waiting);
    await forget('SESSION_AGENT', first.session);
    const asked = host.puts.length;
    await until(() => host.puts.length > asked, 'it asks again');
  }
  assert.ok(await me.is(second.session, 'running'));
  const other = await createSession(me, { prompt: 'work' });
  await until(() => toldToSave(second), 'the second is told to save');
  assert.ok(await me.is(third.session, 'running'));
  await saves(me, second);
  await saves(me, first);
  await Promise.all([starts(waiting), starts(other)]);
  assert.ok(await me.is(third.session, 'running'));
});

test('who is watched is asked after those who are not', async () => {
  places = 2;
  const me = await one();
  const watched = await me.idle();
  await attach(worker, me, watched.session);
  const alone = await me.idle();
  const third = await createSession(me, { prompt: 'work' });
  await saves(me, alone);
  await starts(third);
  assert.ok(await me.is(watched.session, 'running'));
  const fourth = await createSession(me, { prompt: 'work' });
  await saves(me, watched);
  await starts(fourth);
});

test('for a person’s limit only that person’s sessions make room', async () => {
  places = 9;
  const owner = await one();
  assert.equal((await owner.api('/api/admin/settings', json('PUT', { personConcurrentSessions: 1 }))).status, 200);
  const colleague = await one(await member(worker, owner.org, 'member'));
  const theirs = await colleague.idle();
  const busy = await runningTurn(worker, host, owner);
  await owner.known(busy.session, 'thinking');
  const refused = await owner.api('/api/sessions', json('POST', { prompt: 'work' }));
  assert.equal(refused.status, 429, 'who works counts');
  await busy.runner.open(busy.turnId);
  await busy.runner.finish(busy.turnId, 'done');
  await owner.known(busy.session, 'idle');
  const next = await createSession(owner, { prompt: 'work' });
  await saves(owner, busy);
  await starts(next);
  const last = await owner.api(`/api/sessions/${busy.session}/prompts`, json('POST', { text: 'more' }));
  assert.equal(last.status, 202);
  await until(async () => /you have 1 session at work/.test((await owner.summary(busy.session)).cause?.message), 'it waits');
  assert.ok(await colleague.is(theirs.session, 'running'));
  assert.ok(!toldToSave(theirs));
});

test('of a full host the sessions of other orgs make room after the org’s own', async () => {
  places = 2;
  const [me, stranger] = [await one(), await one()];
  const theirs = await stranger.idle();
  const mine = await me.idle();
  const { DB } = await worker.env();
  const projected = async () => (await DB.prepare("SELECT json_extract(summary, '$.activity') AS activity FROM sessions WHERE id = ?").bind(theirs.session).first())?.activity === 'idle';
  await until(projected, 'it is known of the stranger’s that it is idle');
  const second = await createSession(me, { prompt: 'work' });
  await saves(me, mine);
  await starts(second);
  assert.ok(await stranger.is(theirs.session, 'running'));
  const third = await createSession(me, { prompt: 'work' });
  await saves(stranger, theirs);
  await starts(third);
});
