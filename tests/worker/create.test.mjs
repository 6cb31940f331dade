/** Making a session, through the Worker to its SessionAgent and back by way of the index. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { newId } from '../lib/ids.mjs';
import { assertError, MODEL, newSessionId, startWorker, until } from './harness.mjs';

let worker;
before(async () => {
  worker = await startWorker();
});
afterEach(() => worker.assertNoPanics());
after(() => worker.stop());

const refused = async (answer, words) => assert.match((await assertError(answer, 409, 'conflict')).message, words);
const create = (me, body = {}, headers = {}) => me.api('/api/sessions', { method: 'POST', body, headers });

test('a new session belongs to who made it, has the default model, and is there at once', async () => {
  const ada = await worker.signIn();
  const answer = await create(ada, { title: 'Zoë’s 🚀' });
  assert.equal(answer.status, 201);
  const session = await answer.json();
  assert.match(session.id, /^ses_[0-9A-Z]{26}$/);
  assert.equal(session.title, 'Zoë’s 🚀');
  assert.equal(session.model, MODEL);
  assert.deepEqual(session.owner, ada.user);
  const got = await ada.api(`/api/sessions/${session.id}`);
  assert.equal(got.status, 200);
  assert.equal((await got.json()).id, session.id);
});

test('the list of its owner has it soon, and the live feed says so', async () => {
  const ada = await worker.signIn();
  const socket = worker.socket('/api/events/ws', { token: ada.token });
  await socket.next((frame) => frame.type === 'hello');
  const { id } = await (await create(ada)).json();
  await socket.next((frame) => frame.type === 'session' && frame.session.id === id);
  const list = await (await ada.api('/api/sessions')).json();
  assert.deepEqual(list.sessions.map((session) => session.id), [id]);
});

test("the same id or idempotency key again is the same session", async () => {
  const ada = await worker.signIn();
  const id = newSessionId();
  const byId = [await create(ada, { id }), await create(ada, { id })];
  assert.deepEqual(byId.map((answer) => answer.status), [201, 200]);
  assert.equal((await byId[1].json()).id, id);
  const keyed = await Promise.all(Array.from({ length: 4 }, () => create(ada, {}, { 'idempotency-key': 'press' })));
  assert.deepEqual(keyed.map((answer) => answer.status).sort(), [200, 200, 200, 201]);
  const ids = await Promise.all(keyed.map(async (answer) => (await answer.json()).id));
  assert.equal(new Set(ids).size, 1);
  const other = await (await create(ada, {}, { 'idempotency-key': 'press again' })).json();
  assert.notEqual(other.id, ids[0]);
});

test('an id or idempotency key that was used stands for what was asked with it, and for nothing else', async () => {
  const ada = await worker.signIn();
  const asked = { title: 'First', prompt: 'Do this.' };
  const byKey = { 'idempotency-key': 'once' };
  const { id } = await (await create(ada, asked, byKey)).json();
  for (const other of [{}, { ...asked, title: 'Second' }, { ...asked, prompt: 'Do that.' }, { ...asked, model: MODEL }, { ...asked, visibility: 'org' }]) {
    await refused(await create(ada, other, byKey), /stands for another session/);
    await refused(await create(ada, { ...other, id }), /stands for another session/);
  }
  await worker.evict('SESSION_AGENT', id);
  for (const [body, headers] of [[asked, byKey], [{ ...asked, id }, {}]]) {
    const again = await create(ada, body, headers);
    assert.equal(again.status, 200);
    assert.equal((await again.json()).id, id);
  }
  const { items = [] } = await (await ada.api(`/api/sessions/${id}/transcript`)).json();
  assert.equal(JSON.stringify(items).includes('Do that.'), false);
});

test('a prompt id that was used stands for one prompt, by HTTP and over the socket', async () => {
  const ada = await worker.signIn();
  const { id } = await (await create(ada)).json();
  const post = (body, headers) => ada.api(`/api/sessions/${id}/prompts`, { method: 'POST', body, headers });
  const promptId = newId('prm');
  const asked = { id: promptId, text: 'Do this.' };
  assert.equal((await post(asked)).status, 202);
  for (const other of [{ ...asked, text: 'Do that.' }, { ...asked, model: MODEL }, { ...asked, mode: 'steer' }]) {
    await refused(await post(other), /stands for another prompt/i);
  }
  assert.equal((await ada.api(`/api/sessions/${id}/prompts/${promptId}`, { method: 'PATCH', body: { text: 'Edited.' } })).status, 200);
  const again = await post(asked);
  assert.equal(again.status, 202);
  assert.equal((await again.json()).prompt.text, 'Edited.');
  const keyed = (text) => post({ text }, { 'idempotency-key': 'once' });
  assert.equal((await keyed('One.')).status, 202);
  await refused(await keyed('Two.'), /stands for another prompt/i);
  assert.equal((await keyed('One.')).status, 202);
  const socket = worker.socket(`/api/sessions/${id}/ws`, { token: ada.token });
  await socket.next((frame) => frame.type === 'hello');
  socket.send({ id: newId('cmd'), type: 'prompt', promptId, text: 'Edited.' });
  const reject = await socket.next((frame) => frame.type === 'reject');
  assert.equal(reject.code, 'conflict');
  socket.send({ id: newId('cmd'), type: 'prompt', promptId, text: 'Do this.' });
  await socket.next((frame) => frame.type === 'ack');
});

test("somebody else's key makes somebody else's session, and their id is taken", async () => {
  const [ada, bob] = [await worker.signIn(), await worker.signIn()];
  const of = async (me) => (await (await create(me, {}, { 'idempotency-key': 'press' })).json()).id;
  assert.notEqual(await of(ada), await of(bob));
  const { id } = await (await create(ada)).json();
  const taken = await create(bob, { id });
  assert.ok([404, 409].includes(taken.status), String(taken.status));
});

test("somebody else's session does not exist", async () => {
  const [ada, bob] = [await worker.signIn(), await worker.signIn()];
  const { id } = await (await create(ada)).json();
  for (const [method, path, body] of [
    ['GET', ''], ['GET', '/transcript'], ['GET', '/events'], ['POST', '/abort'], ['DELETE', ''],
    ['PATCH', '', { title: 'mine' }], ['POST', '/prompts', { text: 'hello' }], ['POST', '/retry'],
  ]) {
    await assertError(await bob.api(`/api/sessions/${id}${path}`, { method, body }), 404, 'not_found');
  }
  assert.equal((await ada.api(`/api/sessions/${id}`)).status, 200);
});

test('a session survives the eviction of its agent', async () => {
  const ada = await worker.signIn();
  const made = await (await create(ada, { title: 'Stays' })).json();
  await worker.evict('SESSION_AGENT', made.id);
  assert.equal((await (await ada.api(`/api/sessions/${made.id}`)).json()).title, 'Stays');
});

test('a title can be seen and turns nothing round; what nobody chose as one is cleaned', async () => {
  const ada = await worker.signIn();
  const { id } = await (await create(ada, { title: 'Before' })).json();
  for (const title of ['\u200b', '\u2060 \u3164', 'a\u202eb', '\u2066a']) {
    await assertError(await create(ada, { title }), 422, 'invalid');
    await assertError(await ada.api(`/api/sessions/${id}`, { method: 'PATCH', body: { title } }), 422, 'invalid');
  }
  assert.equal((await (await create(ada, { prompt: '\u200b\n\u202eFix it.' })).json()).title, 'Fix it.');
  assert.equal((await (await create(ada, { prompt: '\u200b' })).json()).title, 'New session');
});

test('a title that is changed is changed in the list', async () => {
  const ada = await worker.signIn();
  const { id } = await (await create(ada, { title: 'Before' })).json();
  assert.equal((await ada.api(`/api/sessions/${id}`, { method: 'PATCH', body: { title: 'After' } })).status, 200);
  await until(async () => (await (await ada.api('/api/sessions?q=after')).json()).sessions[0]?.id === id, 'the new title in the list');
});
