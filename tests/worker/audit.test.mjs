/** What the audit log answers an auditor: what was made, what was changed to what, and who was refused. Never a secret. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertError, json, member, MODEL, ORIGIN, startWorker, until } from './harness.mjs';

let worker;
before(async () => {
  worker = await startWorker();
});
afterEach(() => worker.assertNoPanics());
after(() => worker.stop());

async function anOrg() {
  const boss = await worker.signIn();
  const org = (await (await boss.api('/api/auth/me')).json()).org;
  const log = async (query) => (await (await boss.api(`/api/admin/audit?limit=1000&${query}`)).json()).entries;
  /** The newest entry that fits; it is written after the answer. */
  const told = (action, fits = () => true) => until(async () => (await log(`action=${encodeURIComponent(action)}`)).find(fits), `an entry of ${action}`);
  return { boss, org: org.id, name: org.name, log, told };
}
async function ok(answer) {
  const text = await answer.text();
  assert.ok(answer.status < 300, `${answer.status} ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}
const about = ({ target, details }) => [target, details];

describe('what is made', () => {
  test('a key: which, with which scopes, for which repository, and who revoked it', async () => {
    const { boss, told } = await anOrg();
    const { apiKey, key } = await ok(await boss.api('/api/keys', json('POST', { name: 'ci', scopes: ['admin:*'], repo: 'https://github.com/acme/app', days: 30 })));
    assert.deepEqual(about(await told('POST /api/keys')), [apiKey.id, { name: 'ci', scopes: 'admin:read admin:write', repository: 'https://github.com/acme/app', days: '30' }]);
    await ok(await boss.api(`/api/keys/${apiKey.id}`, { method: 'DELETE' }));
    const gone = await told('DELETE /api/keys');
    assert.deepEqual(about(gone), [apiKey.id, { name: 'ci', owner: boss.user.name }]);
    assert.ok(!JSON.stringify(gone).includes(key.slice(10)));
  });

  test('a key that is refused: with which scopes it was wanted', async () => {
    const { boss, org, told } = await anOrg();
    const viewer = await member(worker, org, 'viewer');
    await assertError(await viewer.api('/api/keys', json('POST', { name: 'mine', scopes: ['sessions:read'] })), 403, 'forbidden');
    assert.deepEqual(about(await told('POST /api/keys', ({ userId }) => userId !== boss.user.id)), ['', { name: 'mine', scopes: 'sessions:read' }]);
  });

  test('a session, a group, an invitation, a budget, an org', async () => {
    const { boss, told } = await anOrg();
    const session = await ok(await boss.api('/api/sessions', json('POST', { model: MODEL, repo: { url: '/srv/app' } })));
    assert.deepEqual(about(await told('POST /api/sessions')), [session.id, { repository: '/srv/app', model: MODEL }]);
    const group = await ok(await boss.api('/api/groups', json('POST', { name: 'Platform' })));
    assert.deepEqual(about(await told('POST /api/groups')), [group.id, { name: 'Platform' }]);
    const { invitation, code } = await ok(await boss.api('/api/admin/invitations', json('POST', { role: 'admin', email: 'gina@acme.example' })));
    const invited = await told('POST /api/admin/invitations');
    assert.deepEqual(about(invited), [invitation.id, { role: 'admin', email: 'gina@acme.example' }]);
    assert.ok(!JSON.stringify(invited).includes(code));
    const budget = await ok(await boss.api('/api/admin/budgets', json('POST', { dimension: 'user', subject: boss.user.id, period: 'month', limit: 5_000_000 })));
    assert.deepEqual(about(await told('POST /api/admin/budgets')), [budget.id, { dimension: 'user', subject: boss.user.id, period: 'month', limit: '$5.00' }]);
    const { org } = await ok(await boss.api('/api/orgs', json('POST', { name: 'Side' })));
    assert.deepEqual(about(await told('POST /api/orgs')), [org.id, { name: 'Side' }]);
  });

  test('a share link: what it makes of whom, without its code', async () => {
    const { boss, org, told } = await anOrg();
    const { id } = await ok(await boss.api('/api/sessions', json('POST', { model: MODEL })));
    await ok(await boss.api(`/api/sessions/${id}`, json('PATCH', { visibility: 'link', title: 'Look here' })));
    const changed = await told('PATCH /api/sessions');
    assert.equal(changed.target, id);
    assert.equal(changed.details.visibility, 'private → link');
    assert.match(changed.details.title, / → Look here$/);
    const answer = await boss.api(`/api/sessions/${id}/shares`, json('POST', { role: 'member', days: 3, maxUses: 2 }));
    assert.equal(answer.headers.get('x-errand-audit'), null, 'what the log is told is for the log');
    const { share, code } = await ok(answer);
    const made = await told('POST /api/sessions/:id/shares');
    assert.deepEqual(about(made), [id, { link: share.id, role: 'member', days: '3', 'uses at most': '2' }]);
    const guest = await member(worker, org, 'viewer');
    await ok(await guest.api(`/api/sessions/${id}/join`, json('POST', { code })));
    assert.equal((await told('POST /api/sessions/:id/join')).details.role, 'member');
    assert.ok(!JSON.stringify([made, await told('POST /api/sessions/:id/join')]).includes(code));
  });
});

describe('what is changed', () => {
  test('a role, from what to what', async () => {
    const { boss, org, told } = await anOrg();
    const gina = await member(worker, org, 'viewer');
    await ok(await boss.api(`/api/admin/members/${gina.user.id}`, json('PATCH', { role: 'member' })));
    assert.deepEqual(about(await told('PATCH /api/admin/members')), [gina.user.id, { name: gina.user.name, role: 'viewer → member' }]);
    const group = await ok(await boss.api('/api/groups', json('POST', { name: 'Web' })));
    const inGroup = `/api/groups/${group.id}/members/${gina.user.id}`;
    for (const [role, change] of [['member', 'not in it → member'], ['admin', 'member → admin']]) {
      await ok(await boss.api(inGroup, json('PUT', { role })));
      await told('PUT /api/groups', ({ details }) => details.role === change && details.group === 'Web');
    }
    await ok(await boss.api(`/api/admin/members/${gina.user.id}`, { method: 'DELETE' }));
    assert.deepEqual(about(await told('DELETE /api/admin/members')), [gina.user.id, { name: gina.user.name, role: 'member' }]);
  });

  test('settings: the fields that differ, and no others', async () => {
    const { boss, told } = await anOrg();
    const put = async (body) => ok(await boss.api('/api/admin/settings', json('PUT', body)));
    await put({ orgDailySessions: 5, coAuthorTrailer: true });
    assert.deepEqual((await told('PUT /api/admin/settings')).details, { orgDailySessions: 'not set → 5', coAuthorTrailer: 'not set → true' });
    await put({ orgDailySessions: 'unlimited', coAuthorTrailer: true });
    await told('PUT /api/admin/settings', ({ details }) => details.orgDailySessions === '5 → unlimited' && Object.keys(details).length === 1);
  });

  test('a budget’s limit, from what to what; what was removed; prices', async () => {
    const { boss, told } = await anOrg();
    const budget = await ok(await boss.api('/api/admin/budgets', json('POST', { dimension: 'session', period: 'day', limit: 10_000 })));
    const of = { dimension: 'session', subject: 'each', period: 'day' };
    await ok(await boss.api(`/api/admin/budgets/${budget.id}`, json('PATCH', { limit: 2_000_000 })));
    assert.deepEqual(about(await told('PATCH /api/admin/budgets')), [budget.id, { ...of, limit: '$0.01 → $2.00' }]);
    for (const removed of [{ ...of, limit: '$2.00' }, {}]) {
      await ok(await boss.api(`/api/admin/budgets/${budget.id}`, { method: 'DELETE' }));
      await told('DELETE /api/admin/budgets', ({ target, details }) => target === budget.id && JSON.stringify(Object.entries(details).sort()) === JSON.stringify(Object.entries(removed).sort()));
    }
    const price = { model: MODEL, from: '2026-01-01T00:00:00.000Z', rates: { input: 1_000_000, output: 2_000_000 } };
    await ok(await boss.api('/api/admin/prices', json('PUT', { prices: [price] })));
    assert.deepEqual((await told('PUT /api/admin/prices')).details, { prices: '0 → 1', 'prices added': `${MODEL} from 2026-01-01T00:00:00.000Z: $1.00 in, $2.00 out` });
  });

  test('what a repository may reach, and which secrets it gets; never a value, nor a script', async () => {
    const { boss, told } = await anOrg();
    const url = 'https://github.com/acme/app';
    const put = async (policy) => ok(await boss.api('/api/admin/repositories', json('PUT', { url, ...policy })));
    await put({ egress: { mode: 'allowlist', hosts: ['npmjs.org'] }, secrets: ['NPM_TOKEN'], setup: 'echo s3cr3t-in-a-script' });
    assert.deepEqual(about(await told('PUT /api/admin/repositories')), [url, { egress: 'open → allowlist', 'hosts added': 'npmjs.org', 'secrets added': 'NPM_TOKEN', setup: 'changed' }]);
    await put({ egress: { mode: 'allowlist', hosts: ['pypi.org'] }, secrets: ['NPM_TOKEN'] });
    const second = await told('PUT /api/admin/repositories', ({ details }) => details.setup === 'removed');
    assert.deepEqual(second.details, { 'hosts added': 'pypi.org', 'hosts removed': 'npmjs.org', setup: 'removed' });
    await ok(await boss.api('/api/admin/secrets/NPM_TOKEN', json('PUT', { value: 'the value of it' })));
    const stored = await told('PUT /api/admin/secrets');
    assert.match(stored.target, /^NPM_TOKEN /);
    const { DB } = await worker.env();
    const all = JSON.stringify((await DB.prepare('SELECT * FROM audit').all()).results);
    for (const secret of ['s3cr3t-in-a-script', 'the value of it']) assert.ok(!all.includes(secret));
  });

  test('over a WebSocket as well', async () => {
    const { boss, told } = await anOrg();
    const { id } = await ok(await boss.api('/api/sessions', json('POST', { model: MODEL })));
    const socket = worker.socket(`/api/sessions/${id}/ws`, { token: boss.token });
    await socket.next(({ type }) => type === 'hello', 'hello');
    socket.send({ id: 'cmd_1', type: 'share', visibility: 'org' });
    await socket.next((frame) => frame.id === 'cmd_1', 'an answer');
    assert.deepEqual(about(await told('COMMAND share')), [id, { visibility: 'private → org' }]);
  });
});

describe('who was refused', () => {
  test('a write that a foreign page made somebody’s browser ask for is in the log of their org', async () => {
    const { boss, told, log } = await anOrg();
    const headers = { cookie: boss.cookie, 'content-type': 'application/json' };
    await assertError(await worker.fetch('/api/groups', { ...json('POST', { name: 'x' }), headers: { ...headers, origin: 'https://evil.example' } }), 403, 'forbidden');
    const refused = await told('POST /api/groups');
    assert.deepEqual([refused.userId, refused.outcome, refused.details], [boss.user.id, '403', { origin: 'https://evil.example' }]);
    await assertError(await worker.fetch('/api/keys/key_1', { method: 'DELETE', headers }), 403, 'forbidden');
    assert.deepEqual((await told('DELETE /api/keys')).details, { origin: 'none' });
    const asked = Array.from({ length: 40 }, (_, n) => worker.fetch(`/api/sessions/ses_${n}/abort`, { ...json('POST', {}), headers: { ...headers, origin: 'https://evil.example' } }));
    for (const answer of await Promise.all(asked)) assert.equal(answer.status, 403);
    assert.equal((await worker.fetch('/api/groups', { ...json('POST', { name: 'x' }), headers: { ...headers, origin: ORIGIN } })).status, 201);
    await told('POST /api/groups', ({ outcome }) => outcome === 'ok');
    const foreign = await log(`action=${encodeURIComponent('POST /api/sessions/:id/abort')}`);
    assert.ok(foreign.length >= 1 && foreign.length <= 2, `${foreign.length} entries: one a minute`);
    const cookie = `${boss.cookie.split('.')[0]}.${'0'.repeat(64)}`;
    await assertError(await worker.fetch('/api/groups', { ...json('POST', { name: 'y' }), headers: { ...headers, cookie, origin: 'https://evil.example' } }), 401, 'unauthenticated');
    assert.equal((await log('action=POST%20/api/groups')).length, 2, 'who is nobody is in no log');
  });

  test('an invitation that is redeemed is in the log of the org that it opens', async () => {
    const { boss, org, told } = await anOrg();
    const { code } = await ok(await boss.api('/api/admin/invitations', json('POST', { role: 'member' })));
    const gina = await worker.signIn();
    await ok(await gina.api('/api/auth/invitations', json('POST', { code })));
    const joined = await told('POST /api/auth/invitations');
    assert.deepEqual([joined.userId, ...about(joined)], [gina.user.id, org, { role: 'member' }]);
  });
});

describe('the log', () => {
  test('is filtered by several kinds at once', async () => {
    const { boss, log, told } = await anOrg();
    await ok(await boss.api('/api/groups', json('POST', { name: 'a' })));
    await ok(await boss.api('/api/admin/settings', json('PUT', {})));
    await ok(await boss.api('/api/sessions', json('POST', { model: MODEL })));
    await Promise.all(['POST /api/groups', 'PUT /api/admin/settings', 'POST /api/sessions'].map((action) => told(action)));
    const kinds = async (action) => (await log(`action=${encodeURIComponent(action)}`)).map((entry) => entry.action).sort();
    assert.deepEqual(await kinds('POST /api/groups,PUT /api/admin/settings'), ['POST /api/groups', 'PUT /api/admin/settings']);
    assert.deepEqual(await kinds('POST /api/groups,'), ['POST /api/groups']);
    assert.deepEqual(await kinds('%'), []);
    assert.deepEqual(await kinds('"] OR 1=1 --'), []);
  });

  test('has the details in both exports', async () => {
    const { boss, told } = await anOrg();
    await ok(await boss.api('/api/groups', json('POST', { name: 'The "A" team, =1+1' })));
    await told('POST /api/groups');
    const csv = await (await boss.api('/api/admin/audit?format=csv')).text();
    assert.match(csv.split('\r\n')[0], /,target,details,outcome,/);
    assert.ok(csv.includes(String.raw`"{""name"":""The \""A\"" team, =1+1""}"`), csv);
  });
});

describe('the name of an org', () => {
  const rename = (by, body) => by.api('/api/admin/org', json('PATCH', body));

  test('is changed by its admins, and once more without harm', async () => {
    const { boss, org, name, told, log } = await anOrg();
    const admin = await member(worker, org, 'admin');
    for (let n = 0; n < 2; n += 1) assert.deepEqual(await ok(await rename(admin, { name: ' Acme ' })), { id: org, name: 'Acme' });
    assert.equal((await ok(await boss.api('/api/auth/me'))).org.name, 'Acme');
    assert.deepEqual((await ok(await boss.api('/api/orgs'))).orgs.map((own) => own.org.name), ['Acme']);
    const first = await told('PATCH /api/admin/org', ({ details }) => details.name !== undefined);
    assert.deepEqual(about(first), [org, { name: `${name} → Acme` }]);
    await until(async () => (await log('action=PATCH%20/api/admin/org')).length === 2, 'both entries');
  });

  test('is nobody else’s to change, and no other org’s', async () => {
    const { boss, org, name } = await anOrg();
    for (const role of ['viewer', 'member']) await assertError(await rename(await member(worker, org, role), { name: 'Mine' }), 403, 'forbidden');
    await assertError(await worker.fetch('/api/admin/org', json('PATCH', { name: 'Mine' })), 401, 'unauthenticated');
    await ok(await rename(await worker.signIn(), { name: 'Mine' }));
    assert.equal((await ok(await boss.api('/api/auth/me'))).org.name, name);
  });

  test('is a line that can be seen and turns nothing round; so are those of groups and keys', async () => {
    const { boss } = await anOrg();
    const makes = [
      (name) => rename(boss, { name }),
      (name) => boss.api('/api/orgs', json('POST', { name })),
      (name) => boss.api('/api/groups', json('POST', { name })),
      (name) => boss.api('/api/keys', json('POST', { name, scopes: ['sessions:read'] })),
    ];
    for (const make of makes) {
      for (const bad of ['', '  ', 'x'.repeat(101), 'a\nb', '\u200b', '\u200b\u2060 \u3164', 'a\u202eb', '\u2066x']) await assertError(await make(bad), 422, 'invalid');
      for (const bad of [null, 7, undefined]) assert.ok([400, 422].includes((await make(bad)).status));
    }
    await assertError(await rename(boss, { name: 'x', role: 'owner' }), 400, 'bad_request');
    await assertError(await boss.api('/api/admin/org', { method: 'PATCH', body: '{', headers: { 'content-type': 'application/json' } }), 400, 'bad_request');
    assert.equal((await rename(boss, { name: 'x'.repeat(2_000_000) })).status, 413);
    assert.deepEqual((await ok(await rename(boss, { name: 'عربي \u200fשלום 👩\u200d💻' }))).name, 'عربي \u200fשלום 👩\u200d💻');
  });
});
