/** Share links: who makes them, whom they let in and as what, and how they end. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertError, json, member, MODEL, newSessionId, startWorker } from './harness.mjs';

let worker;
let org;
let maker;
before(async () => {
  worker = await startWorker();
  maker = await worker.signIn();
  org = (await (await maker.api('/api/auth/me')).json()).org.id;
});
afterEach(() => worker.assertNoPanics());
after(() => worker.stop());

async function newSession(visibility = 'link') {
  const { id } = await (await maker.api('/api/sessions', json('POST', { model: MODEL }))).json();
  assert.equal((await maker.api(`/api/sessions/${id}`, json('PATCH', { visibility }))).status, 200);
  return id;
}
const make = (by, session, body = {}, headers = {}) =>
  by.api(`/api/sessions/${session}/shares`, { ...json('POST', { role: 'member', ...body }), headers: { 'content-type': 'application/json', ...headers } });
async function codeOf(session, body) {
  const answer = await make(maker, session, body);
  assert.equal(answer.status, 201, await answer.clone().text());
  return answer.json();
}
const join = (by, session, code) => by.api(`/api/sessions/${session}/join`, json('POST', { code }));
const prompt = (by, session) => by.api(`/api/sessions/${session}/prompts`, json('POST', { text: 'help' }));

describe('a share link', () => {
  test('lets a colleague in as what it says', async () => {
    const session = await newSession();
    const [guest, looker] = [await member(worker, org, 'member'), await member(worker, org, 'member')];
    const toWork = await codeOf(session);
    const toLook = await codeOf(session, { role: 'viewer' });
    assert.ok(toWork.url.includes(session) && toWork.url.endsWith(`?join=${toWork.code}`));
    await assertError(await guest.api(`/api/sessions/${session}`), 404, 'not_found');
    assert.equal((await (await join(guest, session, toWork.code)).json()).id, session);
    assert.equal((await prompt(guest, session)).status, 202);
    assert.equal((await join(looker, session, toLook.code)).status, 200);
    assert.equal((await looker.api(`/api/sessions/${session}/transcript`)).status, 200);
    await assertError(await prompt(looker, session), 403, 'forbidden');
    await assertError(await make(guest, session), 403, 'forbidden');
    const { events } = await (await maker.api(`/api/sessions/${session}/events`)).json();
    assert.deepEqual(events.filter(({ type }) => type === 'session.joined').map(({ role, by }) => [role, by.id]), [['member', guest.user.id], ['viewer', looker.user.id]]);
  });

  test('makes of an org’s viewer no more than a viewer', async () => {
    const session = await newSession();
    const viewer = await member(worker, org, 'viewer');
    const { code } = await codeOf(session);
    assert.equal((await join(viewer, session, code)).status, 200);
    await assertError(await prompt(viewer, session), 403, 'forbidden');
  });

  test('is good for so many people, also when they come at once; each may come again', async () => {
    const session = await newSession();
    const { code, share } = await codeOf(session, { maxUses: 2 });
    const people = await Promise.all(Array.from({ length: 5 }, () => member(worker, org, 'member')));
    const answers = await Promise.all(people.map((person) => join(person, session, code)));
    assert.deepEqual(answers.map((answer) => answer.status).sort(), [200, 200, 404, 404, 404]);
    const guest = people[answers.findIndex((answer) => answer.status === 200)];
    assert.equal((await join(guest, session, code)).status, 200);
    const { shares } = await (await maker.api(`/api/sessions/${session}/shares`)).json();
    assert.equal(shares.find(({ id }) => id === share.id).uses, 2);
    assert.ok(!JSON.stringify(shares).includes(code), 'the code is shown once');
  });

  test('lets nobody of another org in, whoever they are there', async () => {
    const session = await newSession();
    const { code } = await codeOf(session);
    const stranger = await worker.signIn();
    await assertError(await join(stranger, session, code), 404, 'not_found');
    await assertError(await join(stranger, session, 'x'), 404, 'not_found');
    await assertError(await worker.fetch(`/api/sessions/${session}/join`, json('POST', { code })), 401, 'unauthenticated');
  });

  test('counts only while the session is shared by link, and then closes for those who look', async () => {
    const session = await newSession('private');
    const guest = await member(worker, org, 'member');
    const { code } = await codeOf(session);
    await assertError(await join(guest, session, code), 404, 'not_found');
    await maker.api(`/api/sessions/${session}`, json('PATCH', { visibility: 'link' }));
    assert.equal((await join(guest, session, code)).status, 200);
    const socket = worker.socket(`/api/sessions/${session}/ws`, { token: guest.token });
    await socket.opened;
    await maker.api(`/api/sessions/${session}`, json('PATCH', { visibility: 'private' }));
    assert.equal((await socket.closed).code, 4404);
    await assertError(await guest.api(`/api/sessions/${session}`), 404, 'not_found');
  });

  test('ends when it is removed; a code of another session or none is none', async () => {
    const [session, other] = [await newSession(), await newSession()];
    const guest = await member(worker, org, 'member');
    const { code, share } = await codeOf(session);
    await assertError(await join(guest, other, code), 404, 'not_found');
    for (const bad of ['', 'x', code.toUpperCase(), `${code}0`, "' OR 1=1 --"]) await assertError(await join(guest, session, bad), 404, 'not_found');
    const path = `/api/sessions/${session}/shares/${share.id}`;
    await assertError(await guest.api(path, { method: 'DELETE' }), 404, 'not_found');
    assert.equal((await maker.api(path, { method: 'DELETE' })).status, 204);
    await assertError(await maker.api(path, { method: 'DELETE' }), 404, 'not_found');
    await assertError(await join(guest, session, code), 404, 'not_found');
    await assertError(await join(guest, newSessionId(), code), 404, 'not_found');
  });

  test('takes along, when it is removed, who came by it alone: their sockets and streams end at once', async () => {
    const session = await newSession();
    const [gone, stays, demoted] = await Promise.all(Array.from({ length: 3 }, () => member(worker, org, 'member')));
    const [toWork, toLook] = [await codeOf(session, { maxUses: 5 }), await codeOf(session, { role: 'viewer', maxUses: 5 })];
    for (const [person, link] of [[gone, toWork], [demoted, toWork], [demoted, toLook], [stays, toLook]]) assert.equal((await join(person, session, link.code)).status, 200);
    const watch = async (person) => {
      const socket = worker.socket(`/api/sessions/${session}/ws`, { token: person.token });
      await socket.next((frame) => frame.type === 'hello', 'hello');
      return socket;
    };
    const sockets = { gone: await watch(gone), stays: await watch(stays), demoted: await watch(demoted) };
    const stream = (await gone.api(`/api/sessions/${session}/events`, { headers: { accept: 'text/event-stream' } })).body.getReader();
    await stream.read();
    assert.equal((await maker.api(`/api/sessions/${session}/shares/${toWork.share.id}`, { method: 'DELETE' })).status, 204);
    assert.equal((await sockets.gone.closed).code, 4404);
    for (let piece = await stream.read(); !piece.done; piece = await stream.read());
    await assertError(await gone.api(`/api/sessions/${session}`), 404, 'not_found');
    assert.equal((await stays.api(`/api/sessions/${session}`)).status, 200);
    assert.equal((await demoted.api(`/api/sessions/${session}`)).status, 200);
    await assertError(await prompt(demoted, session), 403, 'forbidden');
    const answer = async (socket, id) => {
      socket.send({ id, type: 'prompt', promptId: `prm_${id}`, text: 'x' });
      return (await socket.next((frame) => frame.id === id, 'an answer')).code;
    };
    assert.equal(await answer(sockets.stays, 'cmd_1'), 'forbidden', 'the others are still connected');
    assert.equal(await answer(sockets.demoted, 'cmd_1'), 'forbidden');
    const { events } = await (await maker.api(`/api/sessions/${session}/events`)).json();
    const told = events.find(({ type }) => type === 'session.unshared');
    assert.deepEqual([told.guests.sort(), told.by.id], [[gone.user.id, demoted.user.id].sort(), maker.user.id]);
  });

  test('is seen and removed by the org’s admins too, who cannot make one', async () => {
    const session = await newSession();
    const { share, code } = await codeOf(session);
    const [admin, guest] = [await member(worker, org, 'admin'), await member(worker, org, 'member')];
    assert.equal((await join(guest, session, code)).status, 200);
    const listed = await (await admin.api(`/api/sessions/${session}/shares`)).json();
    assert.deepEqual(listed.shares.map(({ id }) => id), [share.id]);
    await assertError(await make(admin, session), 403, 'forbidden');
    for (const [method, path] of [['GET', ''], ['DELETE', `/${share.id}`]]) await assertError(await guest.api(`/api/sessions/${session}/shares${path}`, { method }), 403, 'forbidden');
    assert.equal((await admin.api(`/api/sessions/${session}/shares/${share.id}`, { method: 'DELETE' })).status, 204);
    await assertError(await guest.api(`/api/sessions/${session}`), 404, 'not_found');
  });

  test('is not used up by the owner', async () => {
    const session = await newSession();
    const { code } = await (await make(maker, session, {})).json();
    assert.equal((await join(maker, session, code)).status, 200);
    assert.equal((await join(await member(worker, org, 'member'), session, code)).status, 200);
  });

  test('puts the session into the guest’s list and feed, and its removal takes it out of both', async () => {
    const session = await newSession();
    const { share, code } = await (await make(maker, session, { role: 'viewer' })).json();
    const guest = await member(worker, org, 'member');
    const listed = async () => (await (await guest.api('/api/sessions')).json()).sessions.some(({ id }) => id === session);
    const feed = worker.socket('/api/events/ws', { token: guest.token });
    await feed.next(({ type }) => type === 'hello', 'hello');
    const told = (wanted) => feed.next((frame) => frame.type === wanted && (frame.sessionId ?? frame.session.id) === session, wanted);
    assert.equal(await listed(), false);
    assert.equal((await join(guest, session, code)).status, 200);
    await told('session');
    assert.equal(await listed(), true);
    assert.equal((await maker.api(`/api/sessions/${session}/shares/${share.id}`, { method: 'DELETE' })).status, 204);
    await told('removed');
    assert.equal(await listed(), false);
    feed.close();
  });

  test('made again under the name of a removed one has another code', async () => {
    const session = await newSession();
    const headers = { 'idempotency-key': 'press' };
    const first = await (await make(maker, session, {}, headers)).json();
    assert.equal((await maker.api(`/api/sessions/${session}/shares/${first.share.id}`, { method: 'DELETE' })).status, 204);
    const again = await (await make(maker, session, {}, headers)).json();
    assert.notEqual(again.code, first.code);
    await assertError(await join(await member(worker, org, 'member'), session, first.code), 404, 'not_found');
  });

  test('takes no nonsense, and is one for one idempotency key', async () => {
    const session = await newSession();
    for (const body of [{ role: 'admin' }, { role: 'owner' }, { days: 0 }, { days: 31 }, { maxUses: 0 }, { maxUses: 1001 }]) await assertError(await make(maker, session, body), 422, 'invalid');
    for (const body of [{ role: 'god' }, { x: 1 }, { maxUses: -1 }]) await assertError(await make(maker, session, body), 400, 'bad_request');
    await assertError(await make(maker, session, { role: 'x'.repeat(2_000_000) }), 413, 'too_large');
    const headers = { 'idempotency-key': 'press' };
    const [one, two] = await Promise.all([make(maker, session, {}, headers), make(maker, session, {}, headers)]);
    assert.equal((await one.json()).code, (await two.json()).code);
    for (const other of [{ role: 'viewer' }, { days: 1 }, { maxUses: 2 }]) await assertError(await make(maker, session, other, headers), 409, 'conflict');
  });
});
