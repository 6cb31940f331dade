/** Secrets of orgs, repositories and people: write-only, sealed, given where a policy says so, each use in the audit log. */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertError, startWorker } from './harness.mjs';
import { createSession, startHost, startRunner } from './stand-ins.mjs';

const own = (name = '') => `/api/secrets${name && `/${name}`}`;
const ofOrg = (name = '', url) => `/api/admin/secrets${name && `/${name}`}${url ? `?url=${encodeURIComponent(url)}` : ''}`;

describe('secrets', () => {
  let worker;
  let host;
  let admin;
  let member;
  let viewer;

  before(async () => {
    host = await startHost();
    worker = await startWorker({ vars: host.vars });
    [admin, member, viewer] = [await worker.signIn(), await worker.signIn(), await worker.signIn()];
    const { DB } = await worker.env();
    const { org } = await (await admin.api('/api/auth/me')).json();
    for (const [person, role] of [[member, 'member'], [viewer, 'viewer']]) {
      await DB.prepare('UPDATE auth_sessions SET org_id = ?1 WHERE user_id = ?2').bind(org.id, person.user.id).run();
      await DB.prepare('INSERT INTO members (org_id, user_id, role, created_at) VALUES (?1, ?2, ?3, 1)').bind(org.id, person.user.id, role).run();
    }
  });
  afterEach(() => worker.assertNoPanics());
  after(async () => {
    await worker.stop();
    await host.stop();
  });

  const put = (who, path, value) => who.api(path, { method: 'PUT', body: { value } });
  const names = async (who, path) => (await (await who.api(path)).json()).secrets.map(({ name }) => name);
  const newRepo = () => `https://git.example/acme/${crypto.randomBytes(5).toString('hex')}`;

  test('a secret can be set, replaced, listed without its value, and removed', async () => {
    const first = await put(member, own('MY_TOKEN'), 'first-value-of-it');
    assert.equal(first.status, 200, await first.clone().text());
    const said = await first.text();
    assert.ok(!said.includes('first-value-of-it'));
    assert.equal(JSON.parse(said).exposed, true);
    assert.equal((await put(member, own('MY_TOKEN'), 'second-value')).status, 200);
    const list = await (await member.api(own())).json();
    assert.deepEqual(list.secrets.map(({ name, updatedBy }) => [name, updatedBy.id]), [['MY_TOKEN', member.user.id]]);
    assert.match(list.warning, /can read it/);
    assert.ok(!JSON.stringify(list).includes('value-of') && !JSON.stringify(list).includes('second-value'));
    for (let n = 0; n < 2; n += 1) assert.equal((await member.api(own('MY_TOKEN'), { method: 'DELETE' })).status, 204);
    assert.deepEqual(await names(member, own()), []);
  });

  test('what is stored is sealed', async () => {
    await put(member, own('SEALED'), 'a-very-plain-text');
    const { DB } = await worker.env();
    const { results } = await DB.prepare("SELECT * FROM secrets WHERE name = 'SEALED'").all();
    assert.equal(results.length, 1);
    assert.ok(!JSON.stringify(results).includes('plain'));
    assert.match(results[0].sealed, /^s1\./);
  });

  test('names are checked, sizes bounded, and no refusal repeats a value', async () => {
    const value = 'do-not-repeat-me';
    for (const name of ['lower', '1A', 'A-B', 'PATH', 'LD_PRELOAD', 'GIT_ASKPASS', 'ERRAND_TOKEN', 'NODE_OPTIONS', 'A%20B', 'A'.repeat(101)]) {
      const answer = await put(member, own(name), value);
      assert.ok(!(await answer.clone().text()).includes(value));
      await assertError(answer, 422, 'invalid');
    }
    for (const bad of ['', 'x'.repeat(32 * 1024 + 1), `${value}\0`]) {
      const answer = await put(member, own('GOOD'), bad);
      assert.ok(!(await answer.clone().text()).includes(value));
      await assertError(answer, 422, 'invalid');
    }
    for (const body of [{ value: [value] }, { value: 7 }, { value: { a: value } }]) {
      const answer = await member.api(own('GOOD'), { method: 'PUT', body });
      const text = await answer.clone().text();
      assert.ok(answer.status === 422 || answer.status === 400, text);
      assert.ok(!text.includes(value), text);
    }
    await assertError(await member.api(own('GOOD'), { method: 'PUT', body: {} }), 400, 'bad_request');
    await assertError(await put(member, own('GOOD'), 'x'.repeat(1100 * 1024)), 413, 'too_large');
    assert.equal((await put(member, own('GOOD'), 'x'.repeat(32 * 1024))).status, 200);
    assert.equal((await put(member, own('GOOD'), 'exactly8')).status, 200);
    // What cannot be masked is not stored.
    for (const short of ['hunter2', ' hunter2 \n']) {
      const error = await assertError(await put(member, own('GOOD'), short), 422, 'invalid');
      assert.match(error.message, /at least 8 characters/);
      assert.ok(!error.message.includes('hunter2'));
    }
  });

  test('of one scope there are a hundred at most, and those can still be replaced', async () => {
    const me = await worker.signIn();
    for (let n = 0; n < 100; n += 10) {
      const ten = Array.from({ length: 10 }, (_, m) => put(me, own(`S_${n + m}`), 'some value'));
      for (const answer of await Promise.all(ten)) assert.equal(answer.status, 200);
    }
    await assertError(await put(me, own('ONE_MORE'), 'some value'), 409, 'conflict');
    assert.equal((await put(me, own('S_7'), 'another value')).status, 200);
    assert.equal((await put(me, ofOrg('OF_THE_ORG'), 'some value')).status, 200, 'another scope');
  });

  test('one has one\'s own; those of the org and its repositories are the admins\'', async () => {
    const url = newRepo();
    await put(admin, own('ADMINS_OWN'), 'some value');
    await put(admin, ofOrg('OF_ORG'), 'some value');
    await put(admin, ofOrg('OF_REPO', url), 'some value');
    assert.ok(!(await names(member, own())).includes('ADMINS_OWN'));
    for (const who of [member, viewer]) {
      for (const path of [ofOrg(), ofOrg('', url)]) await assertError(await who.api(path), 403, 'forbidden');
      for (const path of [ofOrg('X'), ofOrg('X', url)]) {
        await assertError(await put(who, path, 'some value'), 403, 'forbidden');
        await assertError(await who.api(path, { method: 'DELETE' }), 403, 'forbidden');
      }
    }
    await assertError(await put(viewer, own('X'), 'some value'), 403, 'forbidden');
    await assertError(await viewer.api(own()), 403, 'forbidden');
    await assertError(await worker.fetch(own()), 401, 'unauthenticated');
    assert.deepEqual(await names(admin, ofOrg('', `${url}.git/`)), ['OF_REPO'], 'however its address is written');
    assert.ok((await names(admin, ofOrg())).includes('OF_ORG') && !(await names(admin, ofOrg())).includes('OF_REPO'));
    const stranger = await worker.signIn();
    assert.deepEqual([await names(stranger, ofOrg()), await names(stranger, ofOrg('', url))], [[], []]);
    await assertError(await admin.api(ofOrg('X', 'nonsense'), { method: 'PUT', body: { value: 'some value' } }), 422, 'invalid');
  });

  test('an API key cannot touch one\'s own secrets', async () => {
    const made = await admin.api('/api/keys', { method: 'POST', body: { name: 'k', scopes: ['keys:*', 'admin:*'] } });
    const { key } = await made.json();
    const answer = await worker.fetch(own(), { headers: { authorization: `Bearer ${key}` } });
    await assertError(answer, 403, 'forbidden');
  });

  /** What a new sandbox of `who` on `url` is given. */
  async function given(who, url) {
    const session = await createSession(who, { repo: { url }, prompt: 'go' });
    const runner = await startRunner(worker, host, session);
    const welcome = await runner.next('welcome');
    const answer = await worker.fetch(`/runner/${session}/environment`, { headers: { authorization: `Bearer ${runner.token}` } });
    assert.equal(answer.status, 200, await answer.clone().text());
    const { secrets } = await answer.json();
    return { session, secrets, rest: JSON.stringify([welcome, host.puts.filter(({ name }) => name.includes(session))]) };
  }

  test('a sandbox gets what its policy lists: the owner\'s, else the repository\'s, else the org\'s, and nothing else', async () => {
    const url = newRepo();
    for (const [who, path, value] of [
      [admin, ofOrg('ONE'), 'one-of-the-org'], [admin, ofOrg('TWO'), 'two-of-the-org'], [admin, ofOrg('THREE'), 'three-of-the-org'], [admin, ofOrg('UNLISTED'), 'unlisted-value'],
      [admin, ofOrg('TWO', url), 'two-of-the-repository'], [admin, ofOrg('THREE', url), 'three-of-the-repository'],
      [member, own('THREE'), 'three-of-the-member'], [admin, own('THREE'), 'three-of-the-admin'], [admin, ofOrg('ONE', newRepo()), 'one-of-another'],
    ]) assert.equal((await put(who, path, value)).status, 200);
    const nothing = await given(member, url);
    assert.deepEqual(nothing.secrets, {}, 'without a policy');
    const policy = { url, secrets: ['ONE', 'TWO', 'THREE', 'NOT_STORED'] };
    assert.equal((await admin.api('/api/admin/repositories', { method: 'PUT', body: policy })).status, 200);
    const members = await given(member, `${url}.git`);
    assert.deepEqual(members.secrets, { ONE: 'one-of-the-org', TWO: 'two-of-the-repository', THREE: 'three-of-the-member' });
    assert.ok(!/-of-(the|another)/.test(members.rest), 'not in the spec of the sandbox, nor in the welcome');
    assert.equal((await given(admin, url)).secrets.THREE, 'three-of-the-admin');
    const { entries } = await (await admin.api(`/api/admin/audit?target=${members.session}&action=use%20secret`)).json();
    assert.deepEqual(entries.map(({ action, credential, userId }) => [action, credential, userId]).sort(), [
      ['use secret ONE of org', 'sandbox', member.user.id],
      ['use secret THREE of user', 'sandbox', member.user.id],
      ['use secret TWO of repository', 'sandbox', member.user.id],
    ]);
    assert.ok(!JSON.stringify(entries).includes('-of-the-'));
  });

  test('a value that does not open keeps the sandbox from starting, and is in no answer or log', async () => {
    const url = newRepo();
    await put(admin, ofOrg('MOVED', url), 'the-value-that-was-moved');
    await admin.api('/api/admin/repositories', { method: 'PUT', body: { url, secrets: ['TAKEN'] } });
    const { DB } = await worker.env();
    // As somebody would who can write the database: another name for the same sealed value.
    await DB.prepare("UPDATE secrets SET name = 'TAKEN' WHERE name = 'MOVED'").run();
    const session = await createSession(admin, { repo: { url }, prompt: 'go' });
    const runner = await startRunner(worker, host, session);
    const answer = await worker.fetch(`/runner/${session}/environment`, { headers: { authorization: `Bearer ${runner.token}` } });
    await assertError(answer, 500, 'internal');
    assert.ok(!JSON.stringify(worker.logs()).includes('the-value-that-was-moved'));
  });

  test('every change is in the audit log with its name, and never with its value', async () => {
    const url = newRepo();
    await put(admin, ofOrg('AUDITED', url), 'a-value-to-look-for');
    await admin.api(ofOrg('AUDITED', url), { method: 'DELETE' });
    await put(member, own('AUDITED'), 'a-value-to-look-for');
    const page = await (await admin.api('/api/admin/audit?limit=1000')).json();
    const about = page.entries.filter(({ target }) => target.startsWith('AUDITED'));
    assert.deepEqual(about.map(({ action, target }) => [action, target]).reverse(), [
      ['PUT /api/admin/secrets/:id', `AUDITED repository ${url}`],
      ['DELETE /api/admin/secrets/:id', `AUDITED repository ${url}`],
      ['PUT /api/secrets/:id', 'AUDITED user'],
    ]);
    assert.ok(!JSON.stringify(page).includes('a-value-to-look-for'));
  });
});
