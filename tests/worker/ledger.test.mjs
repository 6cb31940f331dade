/** The ledger behind the LLM proxy: answers pass unchanged and are counted, budgets stop calls, and who may set them. */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { assertError, member, PROVIDER_KEY, sandboxToken, startServer, startWorker, until, workingSandbox } from './harness.mjs';

const STREAMS = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../crates/ledger/tests/streams');
const CHAT = '/llm/acme/v1/chat/completions';

let worker;
let upstream;
let answer;

before(async () => {
  upstream = await startServer((request, response, body) => answer(request, response, body));
  const of = (provider, model, dialect, over) =>
    ({ provider, model, name: model, dialect, baseUrl: `${upstream.url}/${provider}`, apiKey: PROVIDER_KEY, context: 1000, output: 100, ...over });
  const models = [
    of('acme', 'large', 'openai'), of('claude', 'claude-sonnet-4-5', 'anthropic'), of('gemini', 'gemini-2.5-pro', 'google'),
    of('openai', 'gpt-5-codex', 'openai'), of('demo', 'scripted', 'openai', { demo: true }),
  ];
  worker = await startWorker({ vars: { MODELS: JSON.stringify(models) } });
});
afterEach(() => worker.assertNoPanics());
after(async () => {
  await worker.stop();
  await upstream.stop();
});

const ask = (sandbox, target, body = { model: 'large' }) =>
  worker.fetch(target, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${sandbox.token}` },
  });
const usageOf = async (sandbox) => (await (await sandbox.me.api('/api/usage')).json());
/** One's own usage once so many calls are booked: that happens after the answer. */
const booked = (sandbox, calls) =>
  until(async () => {
    const { own } = await usageOf(sandbox);
    assert.ok(own.calls <= calls, `${own.calls} calls are booked, not ${calls}`);
    return own.calls === calls && own;
  }, `${calls} booked calls`);
const api = async (person, method, target, body) => {
  const response = await person.api(target, { method, ...(body !== undefined && { body }) });
  assert.ok(response.ok, await response.clone().text());
  return response.status === 204 ? null : response.json();
};
/** A token of `acme/large` costs a micro-dollar. */
const price = (person) =>
  api(person, 'PUT', '/api/admin/prices', {
    prices: [{ model: 'acme/large', from: '2026-01-01T00:00:00Z', rates: { input: 1_000_000, output: 1_000_000 } }],
  });
/** An answer that used so many tokens. */
const answering = (output) => (_, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ choices: [{ finish_reason: 'stop' }], usage: { prompt_tokens: 0, completion_tokens: output } }));
};

describe('what passes through', () => {
  const sum = (input, output, cacheRead, cacheWrite, reasoning) => ({ input, output, cacheRead, cacheWrite, reasoning });
  for (const [file, target, model, tokens] of [
    ['anthropic.sse', '/llm/claude/v1/messages', 'claude-sonnet-4-5', sum(472, 89, 20480, 1024, 0)],
    ['anthropic.json', '/llm/claude/v1/messages', 'claude-sonnet-4-5', sum(12, 6, 3, 0, 0)],
    ['openai-chat.sse', CHAT, 'large', sum(93, 26, 1024, 0, 320)],
    ['openai-chat.json', CHAT, 'large', sum(15, 10, 4, 0, 100)],
    ['openai-responses.sse', '/llm/openai/v1/responses', 'gpt-5-codex', sum(117, 47, 1920, 0, 64)],
    ['google.sse', '/llm/gemini/v1/models/gemini-2.5-pro:streamGenerateContent?alt=sse&key=theirs', undefined, sum(286, 17, 1024, 0, 84)],
    ['google.json', '/llm/gemini/v1/models/gemini-2.5-pro:streamGenerateContent', undefined, sum(5, 2, 0, 0, 0)],
  ]) {
    test(`${file}: byte for byte, and its tokens are booked once`, async () => {
      const bytes = fs.readFileSync(path.join(STREAMS, file));
      answer = async (_, response) => {
        response.setHeader('content-type', file.endsWith('.sse') ? 'text/event-stream; charset=utf-8' : 'application/json');
        for (let at = 0; at < bytes.length; ) {
          const size = 1 + crypto.randomInt(300);
          await new Promise((resolve) => response.write(bytes.subarray(at, at + size), resolve));
          at += size;
        }
        response.end();
      };
      const sandbox = await workingSandbox(worker);
      const response = await ask(sandbox, target, { model, messages: [] });
      assert.equal(response.status, 200);
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), bytes);
      const own = await booked(sandbox, 1);
      assert.deepEqual([own.tokens, own.estimated], [tokens, 0]);
      const seen = upstream.requests.at(-1);
      if (target.includes('gemini')) {
        assert.equal(seen.headers['x-goog-api-key'], PROVIDER_KEY);
        assert.equal(seen.url, target.replace('/llm/gemini/v1/', '/gemini/').replace('&key=theirs', ''));
      }
    });
  }

  test("the provider's refusal costs nothing and passes unchanged", async () => {
    answer = (_, response) => {
      response.writeHead(429, { 'content-type': 'application/json', 'retry-after': '7' });
      response.end('{"error":{"message":"theirs"}}');
    };
    const sandbox = await workingSandbox(worker);
    const response = await ask(sandbox, CHAT);
    assert.deepEqual([response.status, await response.text()], [429, '{"error":{"message":"theirs"}}']);
    const own = await booked(sandbox, 1);
    assert.deepEqual([own.cost, own.estimated, own.tokens.input], [0, 0, 0]);
  });

  test("a model of Google's that is not configured, and Google's shape of errors", async () => {
    const sandbox = await workingSandbox(worker);
    const response = await ask(sandbox, '/llm/gemini/v1/models/gemini-9:generateContent', {});
    const { error } = await response.json();
    assert.deepEqual([response.status, error.code, error.status], [422, 422, 'invalid']);
    assert.equal((await ask(sandbox, '/llm/gemini/v1/chat/completions', { model: 'gemini-2.5-pro' })).status, 404);
  });
});

describe('budgets', () => {
  test('of an API key: what the sessions that it made use is counted for it, and stops', async () => {
    const me = await worker.signIn();
    await price(me);
    const { key, apiKey } = await api(me, 'POST', '/api/keys', { name: 'nightly', scopes: ['sessions:*', 'prompts:write'] });
    const script = {
      api: (target, { method = 'GET', body } = {}) => worker.fetch(target, {
        method, ...(body !== undefined && { body: JSON.stringify(body) }),
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      }),
    };
    const { org } = await api(me, 'GET', '/api/auth/me');
    const made = await api(script, 'POST', '/api/sessions', { prompt: 'work' });
    const sandbox = { me, token: sandboxToken(made.id, { claims: { org: org.id } }) };
    await api(me, 'POST', '/api/admin/budgets', { dimension: 'trigger', subject: apiKey.id, period: 'day', limit: 1_000 });
    answer = answering(1_000);
    const person = await workingSandbox(worker, me);
    for (const of of [person, sandbox, person]) assert.equal((await ask(of, CHAT)).status, 200);
    await booked(sandbox, 3);
    assert.equal((await ask(sandbox, CHAT)).status, 402);
    const { by, budgets } = await usageOf(sandbox);
    assert.deepEqual(by.trigger.map(({ subject, calls, cost }) => [subject, calls, cost]), [[apiKey.id, 1, 1_000]]);
    assert.deepEqual(budgets.map(({ budget, subject, spent }) => [budget.dimension, subject, spent]), [['trigger', apiKey.id, 1_000]]);
    const { days } = await api(me, 'GET', `/api/usage/history?dimension=trigger&subject=${apiKey.id}`);
    assert.deepEqual(days.map(({ cost }) => cost), [1_000]);
  });

  test('of one cent: it stops calls with a reason, warns nobody else, and a raised limit lets them pass again', async () => {
    const sandbox = await workingSandbox(worker);
    await price(sandbox.me);
    const budget = await api(sandbox.me, 'POST', '/api/admin/budgets', { dimension: 'user', period: 'day', limit: 10_000 });
    answer = answering(8_999);
    assert.equal((await ask(sandbox, CHAT)).status, 200);
    await booked(sandbox, 1);
    assert.equal((await ask(sandbox, CHAT)).status, 200, 'one micro-dollar is left before the reserve: one more call');
    await booked(sandbox, 2);
    const seen = upstream.requests.length;
    const refused = await ask(sandbox, CHAT);
    const { error } = await refused.json();
    assert.deepEqual([refused.status, error.code, error.details.budget], [402, 'budget_exhausted', budget.id]);
    assert.match(error.message, /^The budget of each person for a day of \$0\.01 is used up, until it begins anew at 2/);
    assert.equal(upstream.requests.length, seen, 'the provider heard nothing of it');

    const { budgets } = await usageOf(sandbox);
    assert.deepEqual(budgets.map(({ spent }) => spent), [17_998]);
    await api(sandbox.me, 'PATCH', `/api/admin/budgets/${budget.id}`, { limit: 20_000 });
    // The session goes on with another sandbox: this is one of the same person.
    const next = await workingSandbox(worker, sandbox.me);
    assert.equal((await ask(next, CHAT)).status, 200);
    await booked(next, 3);
    await api(next.me, 'DELETE', `/api/admin/budgets/${budget.id}`);
    const last = await workingSandbox(worker, sandbox.me);
    assert.equal((await ask(last, CHAT)).status, 200);
    await booked(last, 4);
  });

  test('twenty sessions at once exceed it by less than one call', async () => {
    const me = await worker.signIn();
    await price(me);
    await api(me, 'POST', '/api/admin/budgets', { dimension: 'org', period: 'month', limit: 500 });
    const sandboxes = [];
    for (let n = 0; n < 20; n += 1) sandboxes.push(await workingSandbox(worker, me));
    answer = answering(90);
    const statuses = await Promise.all(sandboxes.map(async (sandbox) => {
      const all = [];
      do all.push((await ask(sandbox, CHAT, { model: 'large', max_tokens: 90 })).status); while (all.at(-1) === 200);
      return all;
    }));
    assert.ok(statuses.every((all) => all.at(-1) === 402), JSON.stringify(statuses));
    const calls = statuses.flat().filter((status) => status === 200).length;
    const own = await booked(sandboxes[0], calls);
    assert.ok(own.cost >= 450 && own.cost < 450 + 90, `${own.cost} of 450: the last tenth is for hand-over notes`);
  });

  test('what a request hides from a hasty reader is held all the same', async () => {
    for (const hidden of ['"max_tokens":10,"\\u006e":100', '"max_tokens":10,"n":1e2', `"max_tokens":10,"x":${'['.repeat(300)}${']'.repeat(300)},"n":100`]) {
      const sandbox = await workingSandbox(worker);
      await price(sandbox.me);
      await api(sandbox.me, 'POST', '/api/admin/budgets', { dimension: 'org', period: 'month', limit: 1_100 });
      let finish;
      const waits = new Promise((resolve) => (finish = resolve));
      let running = 0;
      let most = 0;
      answer = async (request, response) => {
        most = Math.max(most, (running += 1));
        await waits;
        running -= 1;
        answering(1000)(request, response);
      };
      const call = () => worker.fetch(CHAT, { method: 'POST', body: `{"model":"large",${hidden}}`, headers: { 'content-type': 'application/json', authorization: `Bearer ${sandbox.token}` } });
      const first = call();
      await until(() => running === 1, 'the first is on its way');
      const others = Array.from({ length: 5 }, call);
      // A seventh that is known to cost little has to wait as well, and gives the others the time to show themselves.
      const waited = await Promise.race([ask(sandbox, CHAT, { model: 'large', max_tokens: 1 }).then(() => 'passed'), new Promise((resolve) => setTimeout(resolve, 600, 'waits'))]);
      assert.equal(waited, 'waits');
      finish();
      assert.equal((await first).status, 200);
      assert.deepEqual((await Promise.all(others)).map(({ status }) => status), Array(5).fill(402));
      assert.equal(most, 1, hidden.slice(0, 40));
    }
  });

  test('of a repository hold however its address is written', async () => {
    const me = await worker.signIn();
    await price(me);
    await api(me, 'POST', '/api/admin/budgets', { dimension: 'repository', subject: 'https://github.com/acme/app.git', period: 'total', limit: 100 });
    const on = async (url) => {
      const { id: session } = await api(me, 'POST', '/api/sessions', { prompt: 'work', repo: { url } });
      const org = (await api(me, 'GET', '/api/auth/me')).org.id;
      return { me, session, token: sandboxToken(session, { claims: { org } }) };
    };
    answer = answering(95);
    const first = await on('https://GitHub.com/acme/app/');
    assert.equal((await ask(first, CHAT)).status, 200);
    await booked(first, 1);
    for (const url of ['https://github.com/acme/app', 'https://github.com/Acme//app.git', 'http://github.com/acme/app']) {
      assert.equal((await ask(await on(url), CHAT)).status, 402, url);
    }
    assert.equal((await ask(await on('https://github.com/acme/other'), CHAT)).status, 200);
    await booked(first, 2);
    const { by } = await usageOf(first);
    assert.deepEqual(by.repository.map(({ subject }) => subject).sort(), ['https://github.com/acme/app', 'https://github.com/acme/other']);
    const { days } = await api(me, 'GET', `/api/usage/history?dimension=repository&subject=${encodeURIComponent('https://github.com/ACME/app')}`);
    assert.equal(days[0].calls, 1);
  });

  test('a model without a price passes none; a demonstration is free', async () => {
    const sandbox = await workingSandbox(worker);
    await api(sandbox.me, 'POST', '/api/admin/budgets', { dimension: 'session', period: 'total', limit: 10 });
    answer = answering(5);
    const refused = await ask(sandbox, CHAT);
    assert.equal(refused.status, 402);
    assert.match((await refused.json()).error.message, /nobody knows what acme\/large costs/);
    assert.equal((await ask(sandbox, '/llm/demo/v1/chat/completions', { model: 'scripted' })).status, 200);
  });
});

describe('who may, and what is well formed', () => {
  let owner;
  let org;
  const BUDGET = { dimension: 'org', period: 'day', limit: 1_000_000 };
  before(async () => {
    owner = await worker.signIn();
    org = (await (await owner.api('/api/auth/me')).json()).org.id;
  });

  test('members see what they used, admins what everybody used, and nobody another org', async () => {
    answer = answering(5);
    const sandbox = await workingSandbox(worker, owner);
    await ask(sandbox, CHAT);
    await booked(sandbox, 1);
    const [viewer, plain, admin] = [await member(worker, org, 'viewer'), await member(worker, org, 'member'), await member(worker, org, 'admin')];
    const report = async (who) => (await who.api('/api/usage')).json();
    for (const who of [viewer, plain]) assert.deepEqual((await report(who)).by, undefined);
    assert.equal((await report(admin)).by.user[0].subject, owner.user.id);
    assert.deepEqual((await report(await worker.signIn())).org.calls, 0);
    const today = new Date().toISOString().slice(0, 10);
    const history = await (await owner.api('/api/usage/history')).json();
    assert.deepEqual(history.days.map(({ subject, calls }) => [subject, calls]), [[today, 1]]);
    await assertError(await plain.api(`/api/usage/history?dimension=user&subject=${owner.user.id}`), 403, 'forbidden');
    await assertError(await plain.api('/api/usage/history?dimension=org'), 403, 'forbidden');
    assert.equal((await admin.api(`/api/usage/history?dimension=session&subject=${sandbox.session}&days=1`)).status, 200);
    for (const [target, method, body] of [['budgets', 'GET'], ['budgets', 'POST', BUDGET], ['budgets/bdg_1', 'PATCH', { limit: 1 }],
      ['budgets/bdg_1', 'DELETE'], ['prices', 'GET'], ['prices', 'PUT', { prices: [] }]]) {
      for (const who of [viewer, plain]) {
        await assertError(await who.api(`/api/admin/${target}`, { method, ...(body && { body }) }), 403, 'forbidden');
      }
    }
    await assertError(await worker.fetch('/api/usage'), 401, 'unauthenticated');
    await assertError(await worker.fetch('/api/admin/budgets'), 401, 'unauthenticated');
  });

  test('what is malformed is refused and changes nothing', async () => {
    const post = (body) => owner.api('/api/admin/budgets', { method: 'POST', body });
    for (const body of [{}, { ...BUDGET, period: 'week' }, { ...BUDGET, limit: -1 }, { ...BUDGET, limit: 1.5 }, { ...BUDGET, more: 1 }, '[]', '{']) {
      await assertError(await post(body), 400, 'bad_request');
    }
    for (const body of [{ ...BUDGET, limit: 2 ** 53 - 1 }, { ...BUDGET, subject: 'x' }, { ...BUDGET, dimension: 'turn' }, { ...BUDGET, id: 'ses_1' },
      { ...BUDGET, dimension: 'user', subject: 'x'.repeat(3000) }, { ...BUDGET, dimension: 'user', subject: 'usr_nobody' }, { ...BUDGET, dimension: 'user', subject: (await worker.signIn()).user.id },
      { ...BUDGET, dimension: 'session', subject: 'nope' }, { ...BUDGET, dimension: 'repository', subject: 'not a url' }, { ...BUDGET, dimension: 'trigger', subject: '   ' }]) {
      await assertError(await post(body), 422, 'invalid');
    }
    await assertError(await post(`{"x":"${'a'.repeat(1024 * 1024)}"}`), 413, 'too_large');
    await assertError(await owner.api('/api/admin/budgets/bdg_none', { method: 'PATCH', body: { limit: 1 } }), 404, 'not_found');
    await assertError(await owner.api('/api/admin/budgets/nonsense', { method: 'DELETE' }), 404, 'not_found');
    for (const days of ['0', '367']) await assertError(await owner.api(`/api/usage/history?days=${days}`), 422, 'invalid');
    for (const query of ['days=x', 'dimension=planet']) await assertError(await owner.api(`/api/usage/history?${query}`), 400, 'bad_request');
    await assertError(await owner.api('/api/usage/history?dimension=repository'), 422, 'invalid');
    const price = (rates) => ({ prices: [{ model: 'a/b', from: '2026-01-01T00:00:00Z', rates }] });
    await assertError(await owner.api('/api/admin/prices', { method: 'PUT', body: price({ input: 1e11, output: 1 }) }), 422, 'invalid');
    await assertError(await owner.api('/api/admin/prices', { method: 'PUT', body: price({ input: 1 }) }), 400, 'bad_request');
    assert.deepEqual(await api(owner, 'GET', '/api/admin/budgets'), { budgets: [] });
    assert.deepEqual(await api(owner, 'GET', '/api/admin/prices'), { prices: [] });
  });

  test('repeated, a budget is made once', async () => {
    const post = (body, key) => owner.api('/api/admin/budgets', { method: 'POST', body, headers: key && { 'idempotency-key': key } });
    const [first, again] = [await post(BUDGET, 'k1'), await post(BUDGET, 'k1')];
    assert.deepEqual([first.status, again.status], [201, 200]);
    assert.deepEqual(await first.json(), await again.json());
    await assertError(await post({ ...BUDGET, period: 'month' }, 'k1'), 409, 'conflict');
    await assertError(await post({ ...BUDGET, limit: BUDGET.limit + 1 }, 'k1'), 409, 'conflict');
    const { budgets } = await api(owner, 'GET', '/api/admin/budgets');
    assert.equal(budgets.length, 1);
    for (let n = 0; n < 2; n += 1) await api(owner, 'DELETE', `/api/admin/budgets/${budgets[0].id}`);
  });
});

test('the books outlive the object', async () => {
  const sandbox = await workingSandbox(worker);
  answer = answering(5);
  await ask(sandbox, CHAT);
  await booked(sandbox, 1);
  await worker.evict('LEDGER', sandbox.org);
  assert.equal((await usageOf(sandbox)).own.calls, 1);
});
