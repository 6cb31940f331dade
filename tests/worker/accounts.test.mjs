/** Orgs, members, invitations, visibility: what changes somebody's access, and what is open when it does. */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertError, join, json, member, MODEL, startWorker, until } from './harness.mjs';
import { Browser, githubber, startProviders } from './providers.mjs';

let providers;
let worker;
let owner;
let org;
before(async () => {
  providers = await startProviders();
  worker = await startWorker({ vars: { ...providers.vars, ALLOWED_USERS: 'nobody-else' } });
  owner = await worker.signIn();
  org = (await (await owner.api('/api/auth/me')).json()).org.id;
});
afterEach(() => worker.assertNoPanics());
after(async () => {
  await worker.stop();
  await providers.stop();
});

const newSession = async (person, body = {}) => {
  const answer = await person.api('/api/sessions', json('POST', { model: MODEL, ...body }));
  assert.equal(answer.status, 201, await answer.clone().text());
  return (await answer.json()).id;
};
const patchRole = (by, who, role) => by.api(`/api/admin/members/${who.user.id}`, json('PATCH', { role }));
const remove = (by, who) => by.api(`/api/admin/members/${who.user.id}`, { method: 'DELETE' });
const share = (by, session, visibility) => by.api(`/api/sessions/${session}`, json('PATCH', { visibility }));
const watch = async (person, session) => {
  const socket = worker.socket(`/api/sessions/${session}/ws`, { token: person.token });
  await socket.opened;
  await socket.next((frame) => frame.type === 'hello', 'hello');
  return socket;
};
/** Until the person's EventBus knows of the connection: it is made known right after the connection is. */
const known = (person, session) => until(async () => {
  const { EVENT_BUS } = await worker.env();
  const stub = EVENT_BUS.get(EVENT_BUS.idFromName(person.user.id));
  return (await stub.fetch('https://do/watching', { method: 'POST', body: JSON.stringify({ session }) })).ok;
}, 'a bus that answers');

describe('members', () => {
  test('are listed page by page, to admins', async () => {
    await Promise.all(Array.from({ length: 5 }, () => member(worker, org, 'member')));
    const found = [];
    let cursor = '';
    do {
      const page = await (await owner.api(`/api/admin/members?limit=2${cursor && `&cursor=${cursor}`}`)).json();
      assert.ok(page.members.length <= 2);
      found.push(...page.members.map(({ person }) => person.id));
      cursor = page.cursor ?? '';
    } while (cursor);
    const { DB } = await worker.env();
    const { n } = await DB.prepare('SELECT count(*) AS n FROM members WHERE org_id = ?').bind(org).first();
    assert.equal(found.length, n);
    assert.equal(new Set(found).size, n);
    for (const [query, status, code] of [['limit=0', 422, 'invalid'], ['limit=x', 400, 'bad_request'], ['cursor=x', 422, 'invalid']]) {
      await assertError(await owner.api(`/api/admin/members?${query}`), status, code);
    }
  });

  test('get roles from admins, and owners are made and unmade by owners only', async () => {
    const [admin, other, second] = [await member(worker, org, 'admin'), await member(worker, org, 'member'), await member(worker, org, 'owner')];
    const raised = await patchRole(admin, other, 'admin');
    assert.equal(raised.status, 200);
    assert.equal((await raised.json()).role, 'admin');
    await assertError(await patchRole(admin, other, 'owner'), 403, 'forbidden');
    await assertError(await patchRole(admin, second, 'viewer'), 403, 'forbidden');
    await assertError(await remove(admin, second), 403, 'forbidden');
    assert.equal((await patchRole(owner, other, 'owner')).status, 200);
    for (const who of [other, second]) assert.equal((await patchRole(owner, who, 'member')).status, 200);
  });

  test('an org keeps an owner, also when two leave at once', async () => {
    const one = await worker.signIn();
    const { id } = (await (await one.api('/api/auth/me')).json()).org;
    await assertError(await patchRole(one, one, 'member'), 409, 'conflict');
    await assertError(await remove(one, one), 409, 'conflict');
    const two = await member(worker, id, 'owner');
    const answers = await Promise.all([remove(one, two), remove(two, one)]);
    assert.deepEqual(answers.map((answer) => answer.status).sort().slice(0, 1), [204]);
    const { DB } = await worker.env();
    const { n } = await DB.prepare("SELECT count(*) AS n FROM members WHERE org_id = ? AND role = 'owner'").bind(id).first();
    assert.equal(n, 1);
  });

  test('of another org are not there', async () => {
    const stranger = await worker.signIn();
    await assertError(await patchRole(owner, stranger, 'viewer'), 404, 'not_found');
    await assertError(await remove(owner, stranger), 404, 'not_found');
    await assertError(await owner.api('/api/admin/members/nonsense', { method: 'DELETE' }), 404, 'not_found');
  });

  test('take no nonsense', async () => {
    const other = await member(worker, org, 'member');
    const path = `/api/admin/members/${other.user.id}`;
    for (const body of ['', '{', '{}', '{"role":"god"}', '{"role":"admin","x":1}']) await assertError(await owner.api(path, json('PATCH', body)), 400, 'bad_request');
    await assertError(await owner.api(path, json('PATCH', `{"role":"${'a'.repeat(2_000_000)}"}`)), 413, 'too_large');
  });
});

describe('a role that is taken away while its person is connected', () => {
  test('closes their sockets and streams at once when they are removed', async () => {
    const person = await member(worker, org, 'member');
    const session = await newSession(person);
    const socket = await watch(person, session);
    const feed = worker.socket('/api/events/ws', { token: person.token });
    await feed.opened;
    const stream = await person.api(`/api/sessions/${session}/events`, { headers: { accept: 'text/event-stream' } });
    const reader = stream.body.getReader();
    await reader.read();
    await known(person, session);
    const answer = await remove(owner, person);
    assert.equal(answer.status, 204, await answer.clone().text());
    assert.equal((await socket.closed).code, 4404);
    assert.equal((await feed.closed).code, 4401);
    for (let piece = await reader.read(); !piece.done; piece = await reader.read());
    await assertError(await person.api(`/api/sessions/${session}`), 401, 'unauthenticated');
  });

  test('leaves a viewer the look and takes the commands', async () => {
    const person = await member(worker, org, 'member');
    const session = await newSession(person);
    const socket = await watch(person, session);
    await known(person, session);
    await patchRole(owner, person, 'viewer');
    socket.send({ id: 'cmd_1', type: 'rename', title: 'Not any more' });
    const reject = await socket.next((frame) => frame.id === 'cmd_1', 'an answer');
    assert.deepEqual([reject.type, reject.code], ['reject', 'forbidden']);
    await worker.evict('SESSION_AGENT', session);
    socket.send({ id: 'cmd_2', type: 'rename', title: 'Nor after hibernation' });
    assert.equal((await socket.next((frame) => frame.id === 'cmd_2', 'an answer')).type, 'reject');
    await patchRole(owner, person, 'member');
    socket.send({ id: 'cmd_3', type: 'rename', title: 'Again' });
    assert.equal((await socket.next((frame) => frame.id === 'cmd_3', 'an answer')).type, 'ack');
  });

  test("closes an admin's view of a colleague's session, and not their view of their own", async () => {
    const [admin, colleague] = [await member(worker, org, 'admin'), await member(worker, org, 'member')];
    const [own, theirs] = [await newSession(admin), await newSession(colleague)];
    const [ownSocket, theirSocket] = [await watch(admin, own), await watch(admin, theirs)];
    await known(admin, theirs);
    await patchRole(owner, admin, 'member');
    assert.equal((await theirSocket.closed).code, 4404);
    ownSocket.send({ id: 'cmd_1', type: 'rename', title: 'Still mine' });
    assert.equal((await ownSocket.next((frame) => frame.id === 'cmd_1', 'an answer')).type, 'ack');
  });

  test('reaches a connection that was on its way while it changed', async () => {
    const person = await member(worker, org, 'member');
    const session = await newSession(person);
    // The Worker has let the request in with the old role; the object sees it only after the change was told.
    const { EVENT_BUS, SESSION_AGENT } = await worker.env();
    const bus = EVENT_BUS.get(EVENT_BUS.idFromName(person.user.id));
    await bus.fetch('https://do/access-changed', { method: 'POST', body: JSON.stringify({ role: { org, role: null } }) });
    const actor = { person: person.user, org, role: 'member', credential: { kind: 'sign_in', id: 'sgn_late' } };
    const agent = SESSION_AGENT.get(SESSION_AGENT.idFromName(session));
    const answer = await agent.fetch(`https://do/api/sessions/${session}/events`, {
      headers: { accept: 'text/event-stream', 'x-errand-actor': JSON.stringify(actor) },
    });
    const text = await answer.text();
    assert.match(text, /connected/);
  });

  test('a logout closes what was open with that sign-in, and nothing else', async () => {
    const person = await worker.signIn('two-devices');
    const other = await worker.signIn('two-devices');
    const session = await newSession(person);
    const [mine, theirs] = [await watch(person, session), await watch(other, session)];
    await known(person, session);
    assert.equal((await person.api('/auth/logout', { method: 'POST' })).status, 204);
    assert.equal((await mine.closed).code, 4401);
    theirs.send({ id: 'cmd_1', type: 'rename', title: 'Here' });
    assert.equal((await theirs.next((frame) => frame.id === 'cmd_1', 'an answer')).type, 'ack');
    mine.terminate();
  });

  test('a sign-in that runs out closes what was open with it; one that was used meanwhile does not', async () => {
    const [idle, used] = [await worker.signIn('three-devices'), await worker.signIn('three-devices')];
    const session = await newSession(idle);
    const { DB } = await worker.env();
    const expires = (person, at) => DB.prepare('UPDATE auth_sessions SET expires_at = ? WHERE token_hash = ?')
      .bind(at, crypto.createHash('sha256').update(person.token).digest('hex')).run();
    const soon = Date.now() + 1500;
    await expires(used, soon);
    await expires(idle, soon + 200);
    const [mine, theirs] = [await watch(idle, session), await watch(used, session)];
    const feed = worker.socket('/api/events/ws', { token: idle.token });
    await feed.opened;
    await expires(used, soon + 3_600_000);
    assert.equal((await mine.closed).code, 4401);
    assert.equal((await feed.closed).code, 4401);
    theirs.send({ id: 'cmd_1', type: 'rename', title: 'Still here' });
    assert.equal((await theirs.next((frame) => frame.id === 'cmd_1', 'an answer')).type, 'ack');
  });
});

describe('visibility', () => {
  test('opens a session to the org, and closes it again for those who look', async () => {
    const [maker, colleague, viewer] = [await member(worker, org, 'member'), await member(worker, org, 'member'), await member(worker, org, 'viewer')];
    const session = await newSession(maker, { title: 'Shared' });
    const shared = await share(maker, session, 'org');
    assert.equal(shared.status, 200);
    assert.equal((await shared.json()).visibility, 'org');
    const titles = async (person, filter) => (await (await person.api(`/api/sessions?filter=${filter}&q=Shared`)).json()).sessions.map(({ id }) => id);
    await until(async () => (await titles(colleague, 'all')).includes(session), 'the session in a colleague’s list');
    assert.deepEqual(await titles(colleague, 'mine'), []);
    assert.equal((await colleague.api(`/api/sessions/${session}/prompts`, json('POST', { text: 'help' }))).status, 202);
    await assertError(await viewer.api(`/api/sessions/${session}/prompts`, json('POST', { text: 'help' })), 403, 'forbidden');
    await assertError(await share(colleague, session, 'private'), 403, 'forbidden');
    await assertError(await colleague.api(`/api/sessions/${session}`, { method: 'DELETE' }), 403, 'forbidden');
    const sockets = [await watch(colleague, session), await watch(viewer, session)];
    assert.equal((await share(maker, session, 'private')).status, 200);
    for (const socket of sockets) assert.equal((await socket.closed).code, 4404);
    await assertError(await colleague.api(`/api/sessions/${session}`), 404, 'not_found');
    await until(async () => !(await titles(colleague, 'all')).includes(session), 'the session out of the list');
    const { events } = await (await maker.api(`/api/sessions/${session}/events`)).json();
    assert.deepEqual(events.filter(({ type }) => type === 'session.shared').map(({ visibility, by }) => [visibility, by.id]), [['org', maker.user.id], ['private', maker.user.id]]);
  });

  test('is changed wholly or not at all together with the title', async () => {
    const maker = await member(worker, org, 'member');
    const admin = await member(worker, org, 'admin');
    const session = await newSession(maker, { title: 'Before' });
    await assertError(await admin.api(`/api/sessions/${session}`, json('PATCH', { title: 'After', visibility: 'org' })), 403, 'forbidden');
    const { title, visibility } = await (await maker.api(`/api/sessions/${session}`)).json();
    assert.deepEqual([title, visibility], ['Before', undefined]);
    await assertError(await share(maker, session, 'everybody'), 400, 'bad_request');
  });

  test('another org never sees it', async () => {
    const maker = await member(worker, org, 'member');
    const stranger = await worker.signIn();
    const session = await newSession(maker);
    await share(maker, session, 'org');
    await assertError(await stranger.api(`/api/sessions/${session}`), 404, 'not_found');
    const { sessions } = await (await stranger.api('/api/sessions?filter=all')).json();
    assert.deepEqual(sessions, []);
    await assertError(await stranger.api('/api/sessions?filter=other'), 422, 'invalid');
  });
});

describe('orgs', () => {
  test('the same idempotency key in another org is another session', async () => {
    const person = await worker.signIn();
    const { org: side } = await (await person.api('/api/orgs', json('POST', { name: 'Side' }))).json();
    const make = async () => person.api('/api/sessions', { ...json('POST', { model: MODEL }), headers: { 'content-type': 'application/json', 'idempotency-key': 'press' } });
    const first = await make();
    assert.equal((await make()).status, 200);
    await person.api('/api/auth/org', json('POST', { org: side.id }));
    const second = await make();
    assert.deepEqual([first.status, second.status], [201, 201]);
    assert.notEqual((await first.json()).id, (await second.json()).id);
  });

  test('are made, switched to, and left alone by others', async () => {
    const person = await worker.signIn();
    const make = () => person.api('/api/orgs', { ...json('POST', { name: '  Side project ' }), headers: { 'content-type': 'application/json', 'idempotency-key': 'press' } });
    const [made, again] = await Promise.all([make(), make()]);
    const { org: side, role } = await made.json();
    assert.deepEqual([made.status, side.name, role], [201, 'Side project', 'owner']);
    assert.equal((await again.json()).org.id, side.id);
    const { orgs } = await (await person.api('/api/orgs')).json();
    assert.equal(orgs.length, 2);
    const session = await newSession(person);
    const switched = await person.api('/api/auth/org', json('POST', { org: side.id }));
    assert.equal((await switched.json()).org.id, side.id);
    assert.equal((await (await person.api('/api/auth/me')).json()).org.id, side.id);
    await assertError(await person.api(`/api/sessions/${session}`), 404, 'not_found');
    const stranger = await worker.signIn();
    await assertError(await stranger.api('/api/auth/org', json('POST', { org: side.id })), 404, 'not_found');
    for (const role of ['member', 'viewer']) {
      const guest = await member(worker, org, role);
      await guest.api('/api/auth/org', json('POST', { org }));
      await assertError(await guest.api('/api/orgs', json('POST', { name: 'Own' })), 403, 'forbidden');
    }
    const answers = [];
    const keyed = (n) => ({ ...json('POST', { name: `Org ${n}` }), headers: { 'content-type': 'application/json', 'idempotency-key': `org-${n}` } });
    for (let n = 0; n < 19; n += 1) answers.push((await person.api('/api/orgs', keyed(n))).status);
    assert.deepEqual(answers, [...Array(18).fill(201), 409], 'twenty with the personal one');
    assert.equal((await person.api('/api/orgs', keyed(17))).status, 201, 'repeated');
    for (const body of [{ name: '' }, { name: ' ' }, { name: 'a\nb' }, { name: 'x'.repeat(101) }]) await assertError(await person.api('/api/orgs', json('POST', body)), 422, 'invalid');
  });
});

describe('invitations', () => {
  const invite = async (by, body = {}, headers = {}) => {
    const answer = await by.api('/api/admin/invitations', { ...json('POST', { role: 'member', ...body }), headers: { 'content-type': 'application/json', ...headers } });
    return answer;
  };
  const enter = (person, code) => new Browser(worker).signIn(providers, person, { query: `?invitation=${code}` });

  test('let somebody in who is not on the list, once, with the role', async () => {
    const made = await invite(owner, { role: 'viewer' });
    assert.equal(made.status, 201, await made.clone().text());
    const { code, url, invitation } = await made.json();
    assert.match(code, /^[0-9a-f]{64}$/);
    assert.ok(url.endsWith(`/invitations/${code}`));
    const { DB } = await worker.env();
    const stored = JSON.stringify((await DB.prepare('SELECT * FROM invitations').all()).results);
    assert.ok(!stored.includes(code), 'the code is nowhere');
    const browser = new Browser(worker);
    assert.equal((await browser.signIn(providers, githubber(), { query: `?invitation=${code}` })).status, 303);
    const mine = await (await browser.api('/api/auth/me')).json();
    assert.deepEqual([mine.org.id, mine.role], [org, 'viewer']);
    await assertError(await enter(githubber(), code), 403, 'not_invited');
    const { invitations } = await (await owner.api('/api/admin/invitations')).json();
    assert.equal(invitations.find(({ id }) => id === invitation.id).usedBy, mine.user.id);
  });

  test('are redeemed by one of several who come at once', async () => {
    const { code } = await (await invite(owner)).json();
    const answers = await Promise.all(Array.from({ length: 4 }, () => enter(githubber(), code)));
    assert.deepEqual(answers.map((answer) => answer.status).sort(), [303, 403, 403, 403]);
  });

  test('for an address let nobody else in', async () => {
    const email = 'wanted@y.example';
    const { code } = await (await invite(owner, { email })).json();
    await assertError(await enter(githubber(), code), 403, 'not_invited');
    await assertError(await enter(githubber({ emails: [{ email, primary: true, verified: false }] }), code), 403, 'not_invited');
    assert.equal((await enter(githubber({ emails: [{ email: 'Wanted@Y.example', primary: true, verified: true }] }), code)).status, 303);
  });

  test('are not used up by somebody who belongs to the org already', async () => {
    const colleague = await member(worker, org, 'member');
    const { code, invitation } = await (await invite(owner, { role: 'admin' })).json();
    const answer = await colleague.api('/api/auth/invitations', json('POST', { code }));
    assert.match((await assertError(answer, 409, 'conflict')).message, /belong to this organization already/);
    const { invitations } = await (await owner.api('/api/admin/invitations')).json();
    assert.equal(invitations.find(({ id }) => id === invitation.id).usedBy, undefined);
    assert.equal((await (await colleague.api('/api/auth/me')).json()).role, 'member');
    assert.equal((await enter(githubber(), code)).status, 303, 'whom it is for comes in');
  });

  test('are open in numbers that a list can show', async () => {
    const boss = await worker.signIn();
    const statuses = [];
    while (statuses.length < 205) statuses.push(...await Promise.all(Array.from({ length: 5 }, async () => (await invite(boss)).status)));
    assert.deepEqual([statuses.filter((status) => status === 201).length, statuses.filter((status) => status === 409).length], [200, 5]);
    const { invitations } = await (await boss.api('/api/admin/invitations')).json();
    assert.equal((await boss.api(`/api/admin/invitations/${invitations[0].id}`, { method: 'DELETE' })).status, 204);
    assert.equal((await invite(boss)).status, 201);
  });

  test('that are no longer good say so, and not that Errand is not open', async () => {
    const { code } = await (await invite(owner)).json();
    assert.equal((await enter(githubber(), code)).status, 303);
    const error = await assertError(await enter(githubber(), code), 403, 'not_invited');
    assert.match(error.message, /^this invitation was used already, is over/);
  });

  test('can be redeemed by somebody who is signed in', async () => {
    const person = await worker.signIn();
    const { code } = await (await invite(owner)).json();
    const redeem = (who, text) => who.api('/api/auth/invitations', json('POST', { code: text }));
    const joined = await redeem(person, code);
    assert.equal(joined.status, 200, await joined.clone().text());
    assert.deepEqual([(await joined.json()).role, (await (await person.api('/api/orgs')).json()).orgs.length], ['member', 2]);
    assert.equal((await redeem(person, code)).status, 200, 'the answer may have been lost');
    await assertError(await redeem(await worker.signIn(), code), 404, 'not_found');
    await assertError(await redeem(person, 'nonsense'), 404, 'not_found');
  });

  test('of somebody who may not invite any more let nobody in, themselves least of all', async () => {
    const admin = await member(worker, org, 'admin');
    const code = async (by, body) => (await (await invite(by, body)).json()).code;
    const [asAdmin, asViewer] = [await code(admin, { role: 'admin' }), await code(admin, { role: 'viewer' })];
    assert.equal((await patchRole(owner, admin, 'member')).status, 200);
    for (const each of [asAdmin, asViewer]) await assertError(await enter(githubber(), each), 403, 'not_invited');
    assert.equal((await patchRole(owner, admin, 'admin')).status, 200);
    assert.equal((await remove(owner, admin)).status, 204);
    const again = await worker.signIn(admin.login);
    for (const each of [asAdmin, asViewer]) await assertError(await again.api('/api/auth/invitations', json('POST', { code: each })), 404, 'not_found');
    const second = await member(worker, org, 'owner');
    const asOwner = await code(second, { role: 'owner' });
    assert.equal((await patchRole(owner, second, 'admin')).status, 200);
    await assertError(await again.api('/api/auth/invitations', json('POST', { code: asOwner })), 404, 'not_found');
  });

  test('bring somebody back who was removed a moment ago, and what they open then stays open', async () => {
    const person = await member(worker, org, 'member');
    assert.equal((await remove(owner, person)).status, 204);
    const { code } = await (await invite(owner)).json();
    const again = await worker.signIn(person.login);
    assert.equal((await again.api('/api/auth/invitations', json('POST', { code }))).status, 200);
    assert.equal((await again.api('/api/auth/org', json('POST', { org }))).status, 200);
    const session = await newSession(again);
    const socket = await watch(again, session);
    await known(again, session);
    socket.send({ id: 'cmd_1', type: 'rename', title: 'Here again' });
    assert.equal((await socket.next((frame) => frame.id === 'cmd_1', 'an answer')).type, 'ack');
    const feed = worker.socket('/api/events/ws', { token: again.token });
    await feed.next((frame) => frame.type === 'hello', 'hello');
  });

  test('made again under the name of one that was taken back have another code', async () => {
    const headers = { 'idempotency-key': 'again' };
    const first = await (await invite(owner, {}, headers)).json();
    assert.equal((await owner.api(`/api/admin/invitations/${first.invitation.id}`, { method: 'DELETE' })).status, 204);
    const second = await (await invite(owner, {}, headers)).json();
    assert.notEqual(second.code, first.code);
    await assertError(await enter(githubber(), first.code), 403, 'not_invited');
  });

  test('end: taken back, or too old', async () => {
    const { code, invitation } = await (await invite(owner)).json();
    assert.equal((await owner.api(`/api/admin/invitations/${invitation.id}`, { method: 'DELETE' })).status, 204);
    await assertError(await owner.api(`/api/admin/invitations/${invitation.id}`, { method: 'DELETE' }), 404, 'not_found');
    await assertError(await enter(githubber(), code), 403, 'not_invited');
    const old = await (await invite(owner)).json();
    const { DB } = await worker.env();
    await DB.prepare('UPDATE invitations SET expires_at = 1 WHERE id = ?').bind(old.invitation.id).run();
    await assertError(await enter(githubber(), old.code), 403, 'not_invited');
  });

  test('are one for one idempotency key', async () => {
    const headers = { 'idempotency-key': 'press' };
    const [one, two] = await Promise.all([invite(owner, {}, headers), invite(owner, {}, headers)]);
    assert.equal((await one.json()).code, (await two.json()).code);
    await assertError(await invite(owner, { role: 'viewer' }, headers), 409, 'conflict');
  });

  test('are made by admins, to owner only by owners, and take no nonsense', async () => {
    const [admin, plain] = [await member(worker, org, 'admin'), await member(worker, org, 'member')];
    assert.equal((await invite(admin)).status, 201);
    await assertError(await invite(admin, { role: 'owner' }), 403, 'forbidden');
    await assertError(await invite(plain), 403, 'forbidden');
    await assertError(await plain.api('/api/admin/invitations'), 403, 'forbidden');
    for (const body of [{ email: 'x' }, { days: 0 }, { days: 31 }]) await assertError(await invite(owner, body), 422, 'invalid');
    for (const body of [{ role: 'god' }, { days: 'x' }, { days: 300 }, { x: 1 }]) await assertError(await invite(owner, body), 400, 'bad_request');
    const stranger = await worker.signIn();
    const { invitation } = await (await invite(owner)).json();
    await assertError(await stranger.api(`/api/admin/invitations/${invitation.id}`, { method: 'DELETE' }), 404, 'not_found');
  });
});
