/** What a used-up budget does to a session: a warning, a note out of the reserve, rest, a question; seconds of sandboxes; estimates. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { assertError, member, PROVIDER_KEY, startServer, startWorker, until } from './harness.mjs';
import { attach, createSession, idleSession, runningTurn, startHost } from './stand-ins.mjs';

const REPO = { url: 'https://example.com/a/b.git' };
let worker;
let host;
let upstream;
let output;

before(async () => {
  host = await startHost((_, request) => (request.url.endsWith('/suspend') ? 'exited' : 'running'));
  upstream = await startServer((_, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ choices: [{ finish_reason: 'stop' }], usage: { prompt_tokens: 0, completion_tokens: output } }));
  });
  const models = [{ provider: 'acme', model: 'large', name: 'Large', dialect: 'openai', baseUrl: upstream.url, apiKey: PROVIDER_KEY, context: 1000, output: 100 }];
  worker = await startWorker({ vars: { ...host.vars, MODELS: JSON.stringify(models), SANDBOX_PRICE: '7', TIMINGS: JSON.stringify({ save: 50 }) } });
});
beforeEach(() => {
  output = 0;
});
afterEach(() => worker.assertNoPanics());
after(async () => {
  await worker.stop();
  await host.stop();
  await upstream.stop();
});

const api = async (person, method, target, body) => {
  const response = await person.api(target, { method, ...(body !== undefined && { body }) });
  assert.ok(response.ok, await response.clone().text());
  return response.status === 204 ? null : response.json();
};
const call = (runner, spends) => {
  output = spends;
  return worker.fetch('/llm/acme/v1/chat/completions', {
    method: 'POST', body: JSON.stringify({ model: 'large' }),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${runner.token}` },
  });
};
const spentBy = async (me) => (await api(me, 'GET', '/api/usage')).own;
/** A person with a priced model and a budget for themselves. */
async function withBudget(limit) {
  const me = await worker.signIn();
  await api(me, 'PUT', '/api/admin/prices', { prices: [{ model: 'acme/large', from: '2026-01-01T00:00:00Z', rates: { input: 1_000_000, output: 1_000_000 } }] });
  const budget = await api(me, 'POST', '/api/admin/budgets', { dimension: 'user', period: 'total', limit });
  const { org } = await api(me, 'GET', '/api/auth/me');
  return { me, budget, org: org.id };
}

/** Uses the budget up and lets the runner write the note; the session rests. */
async function stopped() {
  const made = await withBudget(10_000);
  const { session, runner, turnId } = await runningTurn(worker, host, made.me, { repo: REPO });
  const viewer = await attach(worker, made.me, session);
  assert.equal((await call(runner, 8_500)).status, 200);
  const warned = await viewer.event('budget.warned');
  assert.equal((await call(runner, 600)).status, 200);
  const reached = await viewer.event('budget.reached');
  const steer = await runner.next('steer');
  await runner.event({ kind: 'steer.accepted', turnId, promptId: steer.promptId });
  return { ...made, session, runner, turnId, viewer, warned, reached, steer };
}

const of = (made) => api(made.me, 'GET', `/api/sessions/${made.session}`);
async function rested(made, outcome = { outcome: 'nothing' }) {
  await made.runner.finish(made.turnId);
  await made.runner.push(outcome);
  await until(async () => (await api(made.me, 'GET', `/api/sessions/${made.session}`)).phase === 'paused', 'the session rests');
  const { hello } = await attach(worker, made.me, made.session);
  return { ...made, hello, asked: hello.interactions.find(({ kind }) => kind === 'budget') };
}

describe('a used-up budget', () => {
  test('warns, gets a note out of its reserve, rests the session and asks', async () => {
    const made = await stopped();
    assert.equal(made.warned.notice.budget, made.budget.id);
    assert.deepEqual([made.reached.notice.limit, made.reached.notice.what], [10_000, 'The budget of each person']);
    assert.match(made.steer.text, /hand-over note/);
    assert.equal((await call(made.runner, 500)).status, 200, 'the note is written with the reserve');
    await until(async () => (await spentBy(made.me)).cost >= 9_600, 'the note is booked');
    assert.equal((await call(made.runner, 500)).status, 200, 'the last call may end over the limit');
    await until(async () => (await spentBy(made.me)).cost >= 10_000, 'that is booked');
    const seen = upstream.requests.length;
    assert.equal((await call(made.runner, 1)).status, 402);
    assert.equal(upstream.requests.length, seen);
    const { hello, asked } = await rested(made);
    assert.deepEqual([hello.session.cause.code, hello.session.activity, hello.session.budget], ['budget', 'awaiting_input', 'used_up']);
    assert.match(hello.session.cause.message, /^The budget of each person of \$0\.01 is used up\. .*left a hand-over note/);
    assert.deepEqual([asked.notice.budget, asked.notice.dimension, asked.notice.subject], [made.budget.id, 'user', undefined]);
    const listed = async () => (await api(made.me, 'GET', '/api/sessions')).sessions[0];
    await until(async () => (await listed()).cause?.code === 'budget', 'lists and the feed say so too');
    const startup = await api(made.me, 'GET', `/api/sessions/${made.session}/startup`);
    assert.deepEqual(startup.waiting.remedy, { type: 'answer', interactionId: asked.id });
  });

  test('tells where the work was pushed, or why it was not', async () => {
    const [branch, commit] = ['errand/ses_x-wip', 'c0ffee'.repeat(6) + 'c0ff'];
    const pushed = await rested(await stopped(), { outcome: 'pushed', pushed: { branch, commit } });
    assert.match(pushed.hello.session.cause.message, /What was done is pushed to errand\/ses_x-wip \(c0ffeec0ff\)\./);
    assert.deepEqual(pushed.hello.session.pushed, { branch, commit });
    const cause = { code: 'push_refused', message: 'The work was not pushed.' };
    const failed = await rested(await stopped(), { outcome: 'failed', cause });
    assert.deepEqual((await failed.viewer.event('sandbox.trouble')).cause, cause);
    assert.equal(failed.hello.session.cause.code, 'budget');
  });

  test('goes on when somebody who may extends it, and not when somebody else asks', async () => {
    const made = await rested(await stopped());
    const path = `/api/sessions/${made.session}/interactions/${made.asked.id}`;
    const answer = (limit) => ({ method: 'POST', body: { answer: { type: 'extend', limit } } });
    const [admin, plain, viewer] = [await member(worker, made.org, 'admin'), await member(worker, made.org, 'member'), await member(worker, made.org, 'viewer')];
    for (const who of [plain, viewer, await worker.signIn()]) await assertError(await who.api(path, answer(20_000)), 404, 'not_found');
    await api(made.me, 'PATCH', `/api/sessions/${made.session}`, { visibility: 'org' });
    await assertError(await plain.api(path, answer(20_000)), 403, 'forbidden');
    await assertError(await made.me.api(path, answer(10_000)), 422, 'invalid');
    await assertError(await made.me.api(path, answer(2 ** 53 - 1)), 422, 'invalid');
    await assertError(await made.me.api(path, { method: 'POST', body: { answer: { type: 'dismiss' } } }), 422, 'invalid');
    const socket = await made.viewer.command({ type: 'answer', interactionId: made.asked.id, answer: { type: 'extend', limit: 20_000 } });
    assert.deepEqual([socket.type, socket.code], ['reject', 'bad_request']);
    const keyed = { ...answer(20_000), headers: { 'idempotency-key': 'more' } };
    const granted = await admin.api(path, keyed);
    assert.equal(granted.status, 200, await granted.clone().text());
    assert.equal((await granted.json()).phase, 'resuming');
    assert.equal((await admin.api(path, keyed)).status, 200, 'repeated');
    await assertError(await made.me.api(path, answer(30_000)), 409, 'already_resolved');
    const { budgets } = await api(made.me, 'GET', '/api/admin/budgets');
    assert.equal(budgets[0].limit, 20_000);
    const audit = await api(made.me, 'GET', `/api/admin/audit?user=${admin.user.id}`);
    const extended = audit.entries.filter(({ action, outcome }) => action.includes('interactions') && outcome === 'ok').map(({ details }) => details);
    assert.ok(extended.some((details) => details.budget === made.budget.id && details.dimension === 'user' && details.limit === '$0.01 → $0.02'), JSON.stringify(extended));
  });

  test('is extended by the first of several who answer at once, and what the others are refused changes nothing', async () => {
    const made = await rested(await stopped());
    const path = `/api/sessions/${made.session}/interactions/${made.asked.id}`;
    const limits = [20_000, 30_000, 40_000, 900_000];
    const answers = await Promise.all(limits.map((limit) => made.me.api(path, { method: 'POST', body: { answer: { type: 'extend', limit } } })));
    const granted = limits.filter((_, n) => answers[n].status === 200);
    assert.equal(granted.length, 1, answers.map(({ status }) => status).join());
    for (const answer of answers.filter(({ status }) => status !== 200)) assert.equal(answer.status, 409);
    assert.equal((await api(made.me, 'GET', '/api/admin/budgets')).budgets[0].limit, granted[0]);
  });

  test('raised or removed by an admin lets what waits go on, and what was cut wait for a word', async () => {
    for (const change of [{ method: 'PATCH', body: { limit: 20_000 } }, { method: 'DELETE' }]) {
      const made = await rested(await stopped());
      const limit = await api(made.me, 'POST', '/api/admin/budgets', { dimension: 'org', period: 'total', limit: 1_000_000 });
      await api(made.me, 'PATCH', `/api/admin/budgets/${limit.id}`, { limit: 2_000_000 });
      assert.equal((await of(made)).budget, 'used_up', 'another budget');
      const viewer = await attach(worker, made.me, made.session);
      const { status } = await made.me.api(`/api/admin/budgets/${made.budget.id}`, change);
      assert.ok(status < 300);
      const resolved = await viewer.event('interaction.resolved');
      assert.deepEqual([resolved.how, resolved.by?.id], change.body ? ['answered', made.me.user.id] : ['cancelled', undefined]);
      const { phase, budget, cause } = await of(made);
      assert.deepEqual([phase, budget, cause], ['paused', undefined, undefined]);
      await api(made.me, 'POST', `/api/sessions/${made.session}/prompts`, { text: 'go on' });
      assert.equal((await of(made)).phase, 'resuming');
    }
    const made = await rested(await stopped());
    await api(made.me, 'POST', `/api/sessions/${made.session}/prompts`, { text: 'waits' });
    assert.equal((await of(made)).phase, 'paused');
    await api(made.me, 'PATCH', `/api/admin/budgets/${made.budget.id}`, { limit: 20_000 });
    await until(async () => (await of(made)).phase === 'resuming', 'the prompt that waits begins');
  });

  test('of others stops a session at its next call', async () => {
    const made = await withBudget(10_000);
    const other = await runningTurn(worker, host, made.me, { repo: REPO });
    const { session, runner } = await runningTurn(worker, host, made.me, { repo: REPO });
    assert.equal((await call(other.runner, 9_100)).status, 200);
    await other.runner.next('steer');
    assert.equal((await call(runner, 100)).status, 200, 'admitted from the reserve: the session is told');
    await runner.next('steer');
    const viewer = await attach(worker, made.me, session);
    assert.ok((await viewer.event('budget.reached')).notice);
  });

  test('without anything left ends the turn with a reason and no note', async () => {
    const made = await withBudget(10_000);
    const { session, runner, turnId } = await runningTurn(worker, host, made.me, { repo: REPO });
    assert.equal((await call(runner, 11_000)).status, 200);
    await until(async () => (await spentBy(made.me)).cost >= 10_000, 'the call is booked');
    assert.equal((await call(runner, 1)).status, 402);
    await runner.finish(turnId, undefined, { outcome: 'failed', cause: { code: 'model_refused', message: 'no' } });
    await runner.push({ outcome: 'nothing' });
    await until(async () => (await api(made.me, 'GET', `/api/sessions/${session}`)).phase === 'paused', 'the session rests');
    const { cause } = await api(made.me, 'GET', `/api/sessions/${session}`);
    assert.match(cause.message, /nothing left for a hand-over note/);
  });
});

test('sandboxes are booked with the reason of their end, and their seconds cost', async () => {
  const me = await worker.signIn();
  const { session, turnId } = await idleSession(worker, host, me, { repo: REPO });
  await api(me, 'POST', `/api/sessions/${session}/pause`);
  const own = await until(async () => {
    const { sandboxSeconds, cost } = await spentBy(me);
    return sandboxSeconds > 0 && { sandboxSeconds, cost };
  }, 'booked seconds');
  assert.equal(own.cost, own.sandboxSeconds * 7);
  const report = await api(me, 'GET', '/api/usage');
  assert.deepEqual(report.stops, [{ reason: 'paused', count: 1, seconds: own.sandboxSeconds }]);
  for (const dimension of ['session', 'repository', 'user']) assert.equal(report.by[dimension][0].sandboxSeconds, own.sandboxSeconds);
  const usage = await api(me, 'GET', `/api/sessions/${session}/usage`);
  assert.equal(usage.session.sandboxSeconds, own.sandboxSeconds);
  assert.deepEqual(usage.turns.map(({ subject, cost }) => [subject, cost]), [[turnId, 0]]);
  await assertError(await (await worker.signIn()).api(`/api/sessions/${session}/usage`), 404, 'not_found');
});

test('an estimate comes from what turns on the repository cost and took', async () => {
  const { me } = await withBudget(1_000_000);
  const estimate = (query) => api(me, 'GET', `/api/usage/estimate?repo=${encodeURIComponent(REPO.url)}${query ?? ''}`);
  assert.deepEqual(await estimate(), { turns: 0 });
  for (const spends of [100, 300, 900]) {
    const { runner } = await runningTurn(worker, host, me, { repo: REPO });
    assert.equal((await call(runner, spends)).status, 200);
  }
  await until(async () => (await estimate()).turns === 3, 'three turns');
  const found = await estimate('&model=acme/large@high');
  assert.deepEqual([found.turns, found.costP50, found.costP95], [3, 300, 900]);
  assert.ok(found.secondsP95 >= found.secondsP50);
  assert.deepEqual(await estimate('&model=acme/small'), { turns: 0 });
  assert.deepEqual(await api(me, 'GET', '/api/usage/estimate'), { turns: 0 }, 'an empty workspace has a history of its own');
  for (const query of ['repo=..%2Fetc', 'model=x', 'repo=&model=']) await assertError(await me.api(`/api/usage/estimate?${query}`), 422, 'invalid');
  await assertError(await worker.fetch('/api/usage/estimate'), 401, 'unauthenticated');
  const { org } = await api(me, 'GET', '/api/auth/me');
  await assertError(await (await member(worker, org.id, 'viewer')).api('/api/usage/estimate'), 403, 'forbidden');
});
