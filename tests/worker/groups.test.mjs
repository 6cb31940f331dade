/** Groups: who makes and sees them, who is in them, and what is set for them. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertError, json, member, MODEL, startWorker } from './harness.mjs';

let worker;
before(async () => {
  worker = await startWorker();
});
afterEach(() => worker.assertNoPanics());
after(() => worker.stop());

async function anOrg() {
  const owner = await worker.signIn();
  const org = (await (await owner.api('/api/auth/me')).json()).org.id;
  return { owner, org };
}
const make = (by, name, headers = {}) => by.api('/api/groups', { ...json('POST', { name }), headers: { 'content-type': 'application/json', ...headers } });
async function groupOf(owner, name = 'The group') {
  const answer = await make(owner, name);
  assert.equal(answer.status, 201, await answer.clone().text());
  return (await answer.json()).id;
}
const put = (by, group, who, role = 'member') => by.api(`/api/groups/${group}/members/${who.user.id}`, json('PUT', { role }));
const drop = (by, group, who) => by.api(`/api/groups/${group}/members/${who.user.id}`, { method: 'DELETE' });
const read = async (by, group) => (await by.api(`/api/groups/${group}`)).json();
const listed = async (by) => (await (await by.api('/api/groups')).json()).groups;
const set = (by, group, body) => by.api(`/api/admin/settings/groups/${group}`, json('PUT', body));
const create = (by, body = {}) => by.api('/api/sessions', json('POST', { model: MODEL, ...body }));

describe('a group', () => {
  test('is made by admins, found by name, and its own for one idempotency key', async () => {
    const { owner, org } = await anOrg();
    const admin = await member(worker, org, 'admin');
    const id = await groupOf(admin, '  Platform ');
    assert.match(id, /^grp_/);
    assert.deepEqual((await listed(owner)).map(({ name, members }) => [name, members]), [['Platform', 0]]);
    await assertError(await make(owner, 'Platform'), 409, 'conflict');
    const headers = { 'idempotency-key': 'press' };
    const [one, two] = await Promise.all([make(owner, 'Web', headers), make(owner, 'Web', headers)]);
    assert.deepEqual([one.status, two.status], [201, 201]);
    assert.equal((await one.json()).id, (await two.json()).id);
    await assertError(await make(owner, 'Other', headers), 409, 'conflict');
    await assertError(await make(await member(worker, org, 'member'), 'Mine'), 403, 'forbidden');
    await assertError(await worker.fetch('/api/groups', json('POST', { name: 'x' })), 401, 'unauthenticated');
    const { owner: other } = await anOrg();
    assert.equal((await make(other, 'Platform')).status, 201, 'another org has its own names');
  });

  test('is seen by who is in it, and is not there for others', async () => {
    const { owner, org } = await anOrg();
    const [inside, outside, stranger] = [await member(worker, org, 'viewer'), await member(worker, org, 'member'), await worker.signIn()];
    const group = await groupOf(owner);
    assert.equal((await put(owner, group, inside)).status, 204);
    const { group: seen, members } = await read(inside, group);
    assert.deepEqual([seen.role, seen.members, members.map(({ person, role }) => [person.id, role])], ['member', 1, [[inside.user.id, 'member']]]);
    assert.deepEqual((await listed(inside)).map(({ id }) => id), [group]);
    for (const other of [outside, stranger]) {
      await assertError(await other.api(`/api/groups/${group}`), 404, 'not_found');
      assert.deepEqual(await listed(other), []);
    }
    await assertError(await put(inside, group, outside), 403, 'forbidden');
    await assertError(await put(stranger, group, outside), 404, 'not_found');
    assert.equal((await read(owner, group)).group.role, undefined);
  });

  test('has admins who take members of the org in and out, and make no admins', async () => {
    const { owner, org } = await anOrg();
    const [lead, other, newcomer, stranger] = [await member(worker, org, 'member'), await member(worker, org, 'member'), await member(worker, org, 'member'), await worker.signIn()];
    const group = await groupOf(owner);
    for (const person of [lead, other]) assert.equal((await put(owner, group, person, 'admin')).status, 204);
    for (let n = 0; n < 2; n++) assert.equal((await put(lead, group, newcomer)).status, 204);
    await assertError(await put(lead, group, stranger), 404, 'not_found');
    await assertError(await put(lead, group, newcomer, 'admin'), 403, 'forbidden');
    await assertError(await put(lead, group, other), 403, 'forbidden');
    await assertError(await drop(lead, group, other), 403, 'forbidden');
    for (let n = 0; n < 2; n++) assert.equal((await drop(lead, group, newcomer)).status, 204);
    assert.equal((await read(lead, group)).members.length, 2);
    await assertError(await lead.api(`/api/groups/${group}`, json('PATCH', { name: 'Mine' })), 403, 'forbidden');
    await assertError(await lead.api(`/api/groups/${group}`, { method: 'DELETE' }), 403, 'forbidden');
    await assertError(await set(lead, group, {}), 403, 'forbidden');
    assert.equal((await put(owner, group, other)).status, 204, 'an admin of the org makes a member of them');
    assert.equal((await drop(lead, group, other)).status, 204);
  });

  test('is renamed and removed with what was set for it', async () => {
    const { owner, org } = await anOrg();
    const person = await member(worker, org, 'member');
    const [group, taken] = [await groupOf(owner, 'One'), await groupOf(owner, 'Two')];
    const renamed = await owner.api(`/api/groups/${group}`, json('PATCH', { name: 'Three' }));
    assert.equal((await renamed.json()).name, 'Three');
    await assertError(await owner.api(`/api/groups/${taken}`, json('PATCH', { name: 'Three' })), 409, 'conflict');
    await put(owner, group, person);
    assert.equal((await set(owner, group, { personDailySessions: 0 })).status, 200);
    await assertError(await create(person), 429, 'rate_limited');
    assert.equal((await owner.api(`/api/groups/${group}`, { method: 'DELETE' })).status, 204);
    await assertError(await owner.api(`/api/groups/${group}`, { method: 'DELETE' }), 404, 'not_found');
    assert.equal((await create(person)).status, 201);
    const { DB } = await worker.env();
    const left = await DB.prepare("SELECT (SELECT count(*) FROM settings WHERE subject = ?1) + (SELECT count(*) FROM group_members WHERE group_id = ?1) AS n").bind(group).first();
    assert.equal(left.n, 0);
  });

  test('forgets who leaves the org, also when they come again', async () => {
    const { owner, org } = await anOrg();
    const person = await member(worker, org, 'member');
    const group = await groupOf(owner);
    await put(owner, group, person);
    assert.equal((await owner.api(`/api/admin/members/${person.user.id}`, { method: 'DELETE' })).status, 204);
    assert.deepEqual((await read(owner, group)).members, []);
    const { code } = await (await owner.api('/api/admin/invitations', json('POST', { role: 'member' }))).json();
    const again = await worker.signIn(person.login);
    assert.equal((await again.api('/api/auth/invitations', json('POST', { code }))).status, 200);
    assert.equal((await again.api('/api/auth/org', json('POST', { org }))).status, 200);
    assert.deepEqual(await listed(again), []);
  });

  test('takes no nonsense', async () => {
    const { owner } = await anOrg();
    const group = await groupOf(owner);
    for (const name of ['', ' ', 'a\nb', 'x'.repeat(101)]) await assertError(await make(owner, name), 422, 'invalid');
    for (const body of ['', '{', '[]', '{}', '{"name":"a","x":1}', '{"name":7}']) await assertError(await owner.api('/api/groups', json('POST', body)), 400, 'bad_request');
    for (const body of ['{}', '{"role":"owner"}', '{"role":"admin","x":1}']) await assertError(await owner.api(`/api/groups/${group}/members/${owner.user.id}`, json('PUT', body)), 400, 'bad_request');
    await assertError(await owner.api('/api/groups', json('POST', `{"name":"${'x'.repeat(2_000_000)}"}`)), 413, 'too_large');
    for (const id of ['nonsense', 'grp_', 'grp_nowhere', `grp_${'x'.repeat(100)}`, 'usr_1']) await assertError(await owner.api(`/api/groups/${id}`), 404, 'not_found');
    await assertError(await owner.api(`/api/groups/${group}/members/nobody`, json('PUT', { role: 'member' })), 404, 'not_found');
  });
});

describe('what is set for groups', () => {
  test('stands between what the org says and what it says of the person', async () => {
    const { owner, org } = await anOrg();
    const person = await member(worker, org, 'member');
    const group = await groupOf(owner);
    await put(owner, group, person);
    await owner.api('/api/admin/settings', json('PUT', { personDailySessions: 0, defaultVisibility: 'org' }));
    await assertError(await create(person), 429, 'rate_limited');
    await set(owner, group, { personDailySessions: 1, defaultVisibility: 'private' });
    assert.deepEqual(await (await owner.api(`/api/admin/settings/groups/${group}`)).json(), { defaultVisibility: 'private', personDailySessions: 1 });
    const made = await create(person);
    assert.equal(made.status, 201);
    assert.equal((await made.json()).visibility, undefined, 'private');
    await assertError(await create(person), 429, 'rate_limited');
    await owner.api(`/api/admin/settings/users/${person.user.id}`, json('PUT', { personDailySessions: 'unlimited' }));
    assert.equal((await create(person)).status, 201);
  });

  test('of several, what is best for the person counts, in whatever order', async () => {
    const { owner, org } = await anOrg();
    const person = await member(worker, org, 'member');
    const groups = [await groupOf(owner, 'A'), await groupOf(owner, 'B'), await groupOf(owner, 'C')];
    for (const group of groups) await put(owner, group, person);
    await set(owner, groups[0], { personDailySessions: 0 });
    await set(owner, groups[1], { personDailySessions: 1 });
    assert.equal((await create(person)).status, 201);
    await assertError(await create(person), 429, 'rate_limited');
    await set(owner, groups[1], {});
    await assertError(await create(person), 429, 'rate_limited');
    await set(owner, groups[2], { personDailySessions: 'unlimited' });
    assert.equal((await create(person)).status, 201);
  });

  test('concerns its people, and not the org as a whole', async () => {
    const { owner } = await anOrg();
    const group = await groupOf(owner);
    for (const body of [{ orgDailySessions: 1 }, { orgConcurrentSessions: 1 }]) await assertError(await set(owner, group, body), 422, 'invalid');
    const { owner: stranger } = await anOrg();
    await assertError(await set(stranger, group, {}), 404, 'not_found');
    await assertError(await stranger.api(`/api/admin/settings/groups/${group}`), 404, 'not_found');
  });
});
