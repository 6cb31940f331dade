// Snapshots of a session's work: up from the sandbox, down to the next one and to the owner, removed when superseded.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, afterEach, before, test } from 'node:test';

import { assertError, newSessionId, sandboxToken, startWorker, until } from './harness.mjs';
import { createSession, idleSession, newSnapshotId, putSnapshot, runningTurn, specOf, startHost } from './stand-ins.mjs';

let host, worker, me, other;
const states = new Map();
before(async () => {
  host = await startHost((name) => states.get(name) ?? 'running');
  worker = await startWorker({ vars: { ...host.vars, TIMINGS: JSON.stringify({ reconnectGrace: 5000 }) } });
  [me, other] = [await worker.signIn(), await worker.signIn()];
});
afterEach(() => worker.assertNoPanics());
after(async () => {
  await worker?.stop();
  await host?.stop();
});

const read = (token, session, id) =>
  worker.fetch(`/runner/${session}/snapshots/${id}`, { headers: token ? { authorization: `Bearer ${token}` } : {} });
const orgOf = async (person) => (await (await person.api('/api/auth/me')).json()).org.id;
const stored = async (session) => {
  const { FILES } = await worker.env();
  const { objects } = await FILES.list({ prefix: `${await orgOf(me)}/sessions/${session}/snapshots/` });
  return objects.map(({ key }) => key.split('/').at(-1));
};

test('what a sandbox uploads comes back as it was, also when it is uploaded again', async () => {
  const { session, runner } = await runningTurn(worker, host, me);
  const id = newSnapshotId();
  const content = Buffer.alloc(3_000_000, 'work ');
  for (const bytes of [Buffer.from('first'), content]) assert.equal((await putSnapshot(worker, runner.token, session, id, bytes)).status, 204);
  const back = await read(runner.token, session, id);
  assert.deepEqual([back.status, back.headers.get('content-type')], [200, 'application/gzip']);
  assert.equal(back.headers.get('content-length'), String(content.length));
  assert.ok(content.equals(Buffer.from(await back.arrayBuffer())));
  assert.deepEqual(await stored(session), [id]);
});

test('a newer snapshot takes the place of the one before', async () => {
  const { session, runner, turnId } = await idleSession(worker, host, me);
  const first = await runner.save(turnId, { content: 'one' });
  const second = await runner.save(turnId, { content: 'two' });
  await until(async () => !(await stored(session)).includes(first), 'the removal of the first');
  assert.deepEqual(await stored(session), [second]);
  await assertError(await read(runner.token, session, first), 404, 'not_found');
});

test('the owner downloads the last one as a file, and nobody else does', async () => {
  const { session, runner, turnId } = await idleSession(worker, host, me);
  const at = `/api/sessions/${session}/snapshot`;
  await assertError(await me.api(at), 404, 'not_found');
  await runner.save(turnId, { content: 'mine' });
  const file = await me.api(at);
  assert.equal(file.status, 200);
  assert.equal(file.headers.get('content-disposition'), `attachment; filename="errand-${session}.tar.gz"`);
  assert.equal(file.headers.get('content-type'), 'application/gzip');
  assert.equal(await file.text(), 'mine');
  await assertError(await worker.fetch(at), 401, 'unauthenticated');
  await assertError(await other.api(at), 404, 'not_found');
  await assertError(await me.api(at, { method: 'POST' }), 405, 'method_not_allowed');
  await assertError(await me.api(`/api/sessions/${newSessionId()}/snapshot`), 404, 'not_found');
});

test('only the session’s own token is good for its snapshots', async () => {
  const { session, runner } = await runningTurn(worker, host, me);
  const { session: foreign, runner: stranger } = await runningTurn(worker, host, me);
  const id = newSnapshotId();
  const bad = [undefined, 'nonsense', me.token, stranger.token, sandboxToken(foreign), sandboxToken(session, { key: '00'.repeat(32) }),
    sandboxToken(session, { claims: { aud: ['llm'] } }), sandboxToken(session, { claims: { exp: 1 } })];
  for (const token of bad) {
    await assertError(await putSnapshot(worker, token, session, id, 'x'), 401, 'unauthenticated');
    await assertError(await read(token, session, id), 401, 'unauthenticated');
  }
  assert.deepEqual(await stored(session), []);
  await assertError(await read(runner.token, session, id), 404, 'not_found');
  await assertError(await putSnapshot(worker, runner.token, session, 'ses_1', 'x'), 404, 'not_found');
  const wrong = await worker.fetch(`/runner/${session}/snapshots/${id}`, { method: 'POST', headers: { authorization: `Bearer ${runner.token}` } });
  await assertError(wrong, 405, 'method_not_allowed');
  const never = newSessionId();
  await assertError(await putSnapshot(worker, sandboxToken(never), never, id, 'x'), 404, 'not_found');
});

test('a sandbox that was replaced has no access any more', async () => {
  const { session, runner } = await runningTurn(worker, host, me);
  await me.api(`/api/sessions/${session}/prompts`, { method: 'POST', body: { text: 'next' } });
  states.set(`sbx-${session}-1`, 'exited');
  runner.socket.terminate();
  await specOf(host, session, 2);
  await assertError(await putSnapshot(worker, runner.token, session, newSnapshotId(), 'late'), 409, 'conflict');
  await assertError(await read(runner.token, session, newSnapshotId()), 409, 'conflict');
});

test('a length is needed, and one over the limit is refused before a byte is read', async () => {
  const session = await createSession(me, { prompt: 'x' });
  const { spec } = await specOf(host, session);
  const token = spec.env.ERRAND_TOKEN;
  /** Sends only the head of a request. */
  const head = (headers) =>
    new Promise((resolve, reject) => {
      const target = new URL(`/runner/${session}/snapshots/${newSnapshotId()}`, worker.url);
      const request = http.request(target, { method: 'PUT', headers: { authorization: `Bearer ${token}`, ...headers } });
      request.on('response', (response) => {
        response.resume();
        resolve(response.statusCode);
        request.destroy();
      });
      request.on('error', reject);
      request.flushHeaders();
      if (headers['transfer-encoding']) request.end('x');
      else if (headers['content-length'] === 0) request.end();
    });
  assert.equal(await head({ 'content-length': 95 * 1024 * 1024 + 1 }), 413);
  assert.equal(await head({ 'transfer-encoding': 'chunked' }), 400);
  assert.equal(await head({ 'content-length': 0 }), 400);
  assert.deepEqual(await stored(session), []);
});
