/** Policies of repositories: who may change them, what sandboxes get of them, and how a change reaches those that run. */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertError, sandboxToken, startServer, startWorker, until } from './harness.mjs';
import { createSession, runningTurn, specOf, startRunner } from './stand-ins.mjs';

const HOSTS = '/api/admin/repositories';
const of = (url) => `${HOSTS}?url=${encodeURIComponent(url)}`;

/** A sandbox host that keeps to policies as the real one does; `egress` has what it was told, by sandbox. */
async function startPolicyHost() {
  const told = { puts: [], egress: [], fail: 0, refuse: null };
  const server = await startServer((request, response, body) => {
    const [, , , name, what] = request.url.split('?')[0].split('/');
    const answer = (status, value) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(value && JSON.stringify(value));
    };
    if (request.method === 'DELETE') return answer(204);
    if (request.method === 'PUT' && what === 'egress') {
      if (told.fail > 0) {
        told.fail -= 1;
        return answer(503, { error: { kind: 'transient', message: 'not now' } });
      }
      told.egress.push({ name, policy: JSON.parse(body) });
    } else if (request.method === 'PUT') {
      told.puts.push({ name, spec: JSON.parse(body) });
      if (told.refuse) return answer(501, { error: told.refuse });
    }
    answer(request.method === 'PUT' && !what ? 202 : 200, { name, state: 'running', isolation: 'namespaces', labels: {} });
  });
  return Object.assign(server, told, {
    told,
    puts: told.puts,
    policyOf: (session) => told.egress.filter(({ name }) => name.startsWith(`sbx-${session}-`)).at(-1)?.policy,
  });
}

describe('repositories', () => {
  let worker;
  let host;
  let admin;
  let member;
  let viewer;
  let repo;

  before(async () => {
    host = await startPolicyHost();
    worker = await startWorker({ vars: { SANDBOX_HOST_URL: host.url } });
    admin = await worker.signIn();
    [member, viewer] = [await worker.signIn(), await worker.signIn()];
    const { DB } = await worker.env();
    const { org } = await (await admin.api('/api/auth/me')).json();
    for (const [person, role] of [[member, 'member'], [viewer, 'viewer']]) {
      await DB.prepare('UPDATE auth_sessions SET org_id = ?1 WHERE user_id = ?2').bind(org.id, person.user.id).run();
      await DB.prepare('INSERT INTO members (org_id, user_id, role, created_at) VALUES (?1, ?2, ?3, 1)').bind(org.id, person.user.id, role).run();
    }
    admin.org = org.id;
  });
  afterEach(() => worker.assertNoPanics());
  after(async () => {
    await worker.stop();
    await host.stop();
  });

  /** An address that no other test uses. */
  const newRepo = () => `https://git.example/acme/${crypto.randomBytes(5).toString('hex')}`;
  const put = (body, who = admin) => who.api(HOSTS, { method: 'PUT', body });
  const allowlist = (...hosts) => ({ mode: 'allowlist', hosts });
  async function set(url, more) {
    const answer = await put({ url, ...more });
    assert.equal(answer.status, 200, await answer.clone().text());
    return answer.json();
  }
  const get = async (url) => (await admin.api(of(url))).json();

  test('a policy is what was put, for every way to write the address, and replaces what was there', async () => {
    repo = newRepo();
    assert.deepEqual(await get(repo), { policy: { url: repo, egress: { mode: 'open' }, secrets: [] } });
    const policy = { url: repo, egress: allowlist('a.example:22', '*.npmjs.org'), setup: 'npm ci\n', secrets: ['A_TOKEN', 'B_TOKEN'] };
    const made = await set(repo, { ...policy, secrets: ['B_TOKEN', 'A_TOKEN', 'B_TOKEN'], egress: allowlist('*.npmjs.org', 'a.example:22', '*.npmjs.org') });
    assert.deepEqual(made.policy, policy);
    assert.equal(made.updatedBy.id, admin.user.id);
    for (const other of [`${repo}.git`, `${repo.toUpperCase().replace('HTTPS', 'https')}/`, repo.replace('https', 'http')]) {
      assert.deepEqual((await get(other)).policy.egress, policy.egress, other);
    }
    await set(`${repo}.git/`, { egress: allowlist() });
    assert.deepEqual((await get(repo)).policy, { url: `${repo}.git/`, egress: allowlist(), secrets: [] });
    const { repositories } = await (await admin.api(HOSTS)).json();
    assert.equal(repositories.filter(({ policy }) => policy.url.includes(repo)).length, 1);
  });

  test('only admins see and change them, and another org has its own', async () => {
    const url = newRepo();
    for (const who of [member, viewer]) {
      await assertError(await put({ url }, who), 403, 'forbidden');
      await assertError(await who.api(HOSTS), 403, 'forbidden');
      await assertError(await who.api(of(url)), 403, 'forbidden');
    }
    await assertError(await worker.fetch(HOSTS), 401, 'unauthenticated');
    await set(url, { setup: 'ours' });
    const stranger = await worker.signIn();
    assert.equal((await (await stranger.api(of(url))).json()).policy.setup, undefined);
    assert.deepEqual(await (await stranger.api(HOSTS)).json(), { repositories: [] });
  });

  test('what is malformed or too much is refused, and the refusal names the place', async () => {
    const url = newRepo();
    const cases = [
      [{}, 400, 'bad_request'],
      [{ url: 'not an address' }, 422, 'invalid'],
      [{ url: 'https://user:token@git.example/a/b' }, 422, 'invalid'],
      [{ url, egress: { mode: 'closed' } }, 400, 'bad_request'],
      [{ url, egress: allowlist('1.2.3.4') }, 422, 'invalid'],
      [{ url, egress: allowlist('https://a.example') }, 422, 'invalid'],
      [{ url, egress: allowlist(...Array.from({ length: 1001 }, (_, n) => `h${n}.example`)) }, 422, 'invalid'],
      [{ url, setup: 'x'.repeat(65 * 1024) }, 422, 'invalid'],
      [{ url, setup: 'a\0b' }, 422, 'invalid'],
      [{ url, secrets: ['PATH'] }, 422, 'invalid'],
      [{ url, secrets: ['lower'] }, 422, 'invalid'],
      [{ url, secrets: Array.from({ length: 101 }, (_, n) => `S${n}`) }, 422, 'invalid'],
      [{ url, unknown: 1 }, 400, 'bad_request'],
    ];
    for (const [body, status, code] of cases) await assertError(await put(body), status, code);
    await assertError(await put({ url, setup: 'x'.repeat(1100 * 1024) }), 413, 'too_large');
    await assertError(await admin.api(of('nonsense')), 422, 'invalid');
    assert.equal((await get(url)).updatedAt, undefined, 'nothing was stored');
  });

  test('a sandbox is made with the policy of its repository', async () => {
    const url = newRepo();
    await set(url, { egress: allowlist('a.example') });
    const session = await createSession(admin, { repo: { url: `${url}.git` }, prompt: 'go' });
    const { spec } = await specOf(host, session);
    assert.deepEqual(spec.egress, allowlist('a.example'));
    const other = await createSession(admin, { prompt: 'go' });
    assert.deepEqual((await specOf(host, other)).spec.egress, { mode: 'open' });
  });

  test('a host that cannot keep to the policy fails the session, and says why', async () => {
    const url = newRepo();
    await set(url, { egress: allowlist('a.example') });
    host.told.refuse = { kind: 'unsupported', message: 'sandboxes here share the network of the host' };
    try {
      const session = await createSession(admin, { repo: { url }, prompt: 'go' });
      const failed = await until(async () => {
        const now = await (await admin.api(`/api/sessions/${session}`)).json();
        return now.phase === 'error' && now;
      }, 'the error');
      assert.equal(failed.cause.code, 'sandbox_refused');
      assert.match(failed.cause.message, /share the network of the host/);
    } finally {
      host.told.refuse = null;
    }
  });

  test('a change reaches the sandboxes that run on the repository, and no others', async () => {
    const url = newRepo();
    await set(url, { egress: allowlist('a.example') });
    const { session } = await runningTurn(worker, host, admin, { repo: { url } });
    const { session: other } = await runningTurn(worker, host, admin, { repo: { url: newRepo() } });
    await set(`${url}.git`, { egress: allowlist('b.example') });
    await until(() => host.policyOf(session), 'the news');
    assert.deepEqual(host.policyOf(session), allowlist('b.example'));
    assert.equal(host.policyOf(other), undefined);
  });

  test('one click allows a host: for admins, in the running sandbox, and for the repository from then on', async () => {
    const url = newRepo();
    await set(url, { egress: allowlist('a.example') });
    const { session } = await runningTurn(worker, host, admin, { repo: { url } });
    const allow = (who, body, id = session) => who.api(`/api/sessions/${id}/egress/allow`, { method: 'POST', body });
    // Private: others do not know of it; once they see it, they may still not.
    await assertError(await allow(member, { host: 'c.example' }), 404, 'not_found');
    assert.equal((await admin.api(`/api/sessions/${session}`, { method: 'PATCH', body: { visibility: 'org' } })).status, 200);
    for (const who of [member, viewer]) await assertError(await allow(who, { host: 'c.example' }), 403, 'forbidden');
    await assertError(await allow(await worker.signIn(), { host: 'c.example' }), 404, 'not_found');
    await assertError(await worker.fetch(`/api/sessions/${session}/egress/allow`, { method: 'POST' }), 401, 'unauthenticated');
    for (const body of [{ host: '10.0.0.1' }, { host: 'a b' }, { host: '' }]) await assertError(await allow(admin, body), 422, 'invalid');
    await assertError(await allow(admin, {}), 400, 'bad_request');
    await assertError(await allow(admin, { host: 'c.example' }, 'ses_unknown'), 404, 'not_found');
    await assertError(await admin.api(`/api/sessions/${session}/egress/allow`), 405, 'method_not_allowed');
    assert.deepEqual((await get(url)).policy.egress, allowlist('a.example'), 'none of these changed anything');
    for (let n = 0; n < 2; n += 1) {
      const answer = await allow(admin, { host: 'C.example' });
      assert.equal(answer.status, 200, await answer.clone().text());
      assert.deepEqual((await answer.json()).policy.egress, allowlist('a.example', 'c.example'));
      assert.deepEqual(host.policyOf(session), allowlist('a.example', 'c.example'), 'before the answer');
    }
    const { entries } = await (await admin.api('/api/admin/audit?action=POST%20/api/sessions/:id/egress/allow')).json();
    assert.ok(entries.some(({ target, outcome }) => target === `${session} c.example` && outcome === 'ok'), JSON.stringify(entries));
    assert.ok(entries.some(({ userId, outcome }) => userId === member.user.id && outcome === '403'));
  });

  test('of several clicks at once none is lost', async () => {
    const url = newRepo();
    await set(url, { egress: allowlist('a.example') });
    const { session } = await runningTurn(worker, host, admin, { repo: { url } });
    const names = Array.from({ length: 4 }, (_, n) => `h${n}.example`);
    const answers = await Promise.all(names.map((name) => admin.api(`/api/sessions/${session}/egress/allow`, { method: 'POST', body: { host: name } })));
    assert.deepEqual(answers.map(({ status }) => status), names.map(() => 200));
    const { hosts } = (await get(url)).policy.egress;
    assert.deepEqual([...hosts].sort(), ['a.example', ...names]);
    assert.deepEqual([...host.policyOf(session).hosts].sort(), ['a.example', ...names]);
  });

  test('a click where there is no list, or the host does not take it in, says so', async () => {
    const { session: bare } = await runningTurn(worker, host, admin);
    const allow = (id) => admin.api(`/api/sessions/${id}/egress/allow`, { method: 'POST', body: { host: 'c.example' } });
    await assertError(await allow(bare), 409, 'conflict');
    const url = newRepo();
    const { session } = await runningTurn(worker, host, admin, { repo: { url } });
    await assertError(await allow(session), 409, 'conflict');
    await set(url, { egress: allowlist('a.example') });
    await until(() => host.policyOf(session), 'the news');
    host.told.fail = 3;
    await assertError(await allow(session), 503, 'unavailable');
    host.told.fail = 1;
    assert.equal((await allow(session)).status, 200, 'the next try');
    assert.deepEqual(host.policyOf(session), allowlist('a.example', 'c.example'));
  });

  test('a sandbox gets script and secrets by its own token only', async () => {
    const url = newRepo();
    await set(url, { setup: 'make ready', secrets: [] });
    const session = await createSession(admin, { repo: { url }, prompt: 'go' });
    const runner = await startRunner(worker, host, session);
    const other = await createSession(admin, { repo: { url }, prompt: 'go' });
    const otherRunner = await startRunner(worker, host, other);
    const ask = (token, id = session) =>
      worker.fetch(`/runner/${id}/environment`, { headers: token ? { authorization: `Bearer ${token}` } : {} });
    const answer = await ask(runner.token);
    assert.equal(answer.status, 200);
    assert.deepEqual(await answer.json(), { setup: 'make ready', secrets: {} });
    for (const token of [null, 'nonsense', admin.token, otherRunner.token, sandboxToken(session, { key: '00'.repeat(32), claims: { org: admin.org } }),
      sandboxToken(session, { claims: { org: admin.org, aud: ['llm'] } }), sandboxToken(session, { claims: { org: admin.org, exp: 1 } })]) {
      await assertError(await ask(token), 401, 'unauthenticated');
    }
    await assertError(await ask(sandboxToken(session, { claims: { org: 'org_other' } })), 404, 'not_found');
    await assertError(await ask(sandboxToken(session, { claims: { org: admin.org, gen: 7 } })), 409, 'conflict');
    assert.equal((await admin.api(`/api/sessions/${session}`, { method: 'DELETE' })).status, 200);
    const over = await ask(runner.token);
    await assertError(over, 409, 'terminated');
  });
});
