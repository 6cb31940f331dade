/** The SessionRegistry: what it takes in, who may list it, and its projection into D1. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { assertError, indexOf, startWorker, until } from './harness.mjs';

let worker;
before(async () => {
  worker = await startWorker();
});
afterEach(() => worker.assertNoPanics());
after(() => worker.stop());

/** A person and what a SessionAgent of theirs does: applying summaries to the registry of their org. */
async function person() {
  const me = await worker.signIn();
  const { org } = await (await me.api('/api/auth/me')).json();
  return { ...me, org: org.id, ...indexOf(worker, org.id, me.user) };
}


const ids = (list) => list.sessions.map((session) => session.id);

test('an applied session is listed, by its owner alone', async () => {
  const [ada, bob] = [await person(), await person()];
  const session = ada.summary();
  assert.deepEqual(await ada.apply(session), { rev: 1, changed: true });
  assert.deepEqual(await ada.apply(session), { rev: 1, changed: false });
  const list = await (await ada.api('/api/sessions')).json();
  assert.deepEqual(list, { sessions: [session] });
  assert.deepEqual(await (await bob.api('/api/sessions')).json(), { sessions: [] });
  // Somebody else's session in the same org: the index has it, the list does not.
  await ada.apply({ ...ada.summary(), owner: bob.user });
  assert.deepEqual(ids(await (await ada.api('/api/sessions')).json()), [session.id]);
});

test('pages follow each other without a gap, latest change first', async () => {
  const ada = await person();
  const made = [];
  for (let n = 0; n < 7; n++) {
    const session = ada.summary({ updatedAt: `2026-11-21T06:00:0${n}.000Z`, title: `Session ${n}` });
    await ada.apply(session);
    made.unshift(session.id);
  }
  const seen = [];
  let cursor = '';
  do {
    const list = await (await ada.api(`/api/sessions?limit=3${cursor && `&cursor=${encodeURIComponent(cursor)}`}`)).json();
    assert.ok(list.sessions.length <= 3);
    seen.push(...ids(list));
    cursor = list.cursor;
  } while (cursor);
  assert.deepEqual(seen, made);
  const found = await (await ada.api('/api/sessions?q=SESSION%204')).json();
  assert.deepEqual(ids(found), [made[2]]);
});

test('a list refuses limits and cursors that it does not know', async () => {
  const { api } = await person();
  await assertError(await worker.fetch('/api/sessions'), 401, 'unauthenticated');
  for (const limit of ['0', '101', '4294967295']) await assertError(await api(`/api/sessions?limit=${limit}`), 422, 'invalid');
  for (const limit of ['x', '-1', '1.5', '99999999999999999999']) await assertError(await api(`/api/sessions?limit=${limit}`), 400, 'bad_request');
  for (const cursor of ['x', '!', 'AAAA', "' OR 1=1"]) {
    const error = await assertError(await api(`/api/sessions?cursor=${encodeURIComponent(cursor)}`), 422, 'invalid');
    assert.equal(error.details.field, 'cursor');
  }
});

test('the index survives eviction', async () => {
  const ada = await person();
  const session = ada.summary();
  await ada.apply(session);
  await worker.evict('SESSION_REGISTRY', ada.org);
  assert.deepEqual(ids(await (await ada.api('/api/sessions')).json()), [session.id]);
  assert.equal((await ada.apply(ada.summary())).rev, 2);
});

test('used repositories come first, each once', async () => {
  const ada = await person();
  for (const [url, second] of [['/srv/a', 1], ['https://example.com/o/b.git', 2], ['/srv/a', 3]]) {
    await ada.apply(ada.summary({ repo: { url }, updatedAt: `2026-11-21T06:00:0${second}.000Z` }));
  }
  const { repos } = await (await ada.api('/api/repos')).json();
  assert.deepEqual(repos.map((repo) => repo.name), ['a', 'b']);
});

test('D1 gets the latest of every session, also after it failed', async () => {
  const ada = await person();
  const { DB } = await worker.env();
  const row = async (id) => DB.prepare('SELECT org_id, owner_id, title, phase, head_seq, summary FROM sessions WHERE id = ?').bind(id).first();
  const session = ada.summary({ title: 'First' });
  await ada.apply(session);
  await ada.apply({ ...session, title: 'Second', headSeq: 2 });
  const stored = await until(() => row(session.id), 'a row in D1');
  assert.deepEqual({ ...stored, summary: JSON.parse(stored.summary) }, {
    org_id: ada.org, owner_id: ada.user.id, title: 'Second', phase: 'running', head_seq: 2,
    summary: { ...session, title: 'Second', headSeq: 2 },
  });

  await DB.prepare('ALTER TABLE sessions RENAME TO sessions_away').run();
  await ada.apply({ ...session, title: 'Third', headSeq: 3 });
  await until(() => worker.logs().some((entry) => entry.message.includes('D1.sessions')), 'a failed write');
  await DB.prepare('ALTER TABLE sessions_away RENAME TO sessions').run();
  await until(async () => (await row(session.id)).title === 'Third', 'the write after the failure');
});

test('more sessions than one batch reach D1', async () => {
  const ada = await person();
  await Promise.all(Array.from({ length: 60 }, () => ada.apply(ada.summary())));
  const { DB } = await worker.env();
  const count = () => DB.prepare('SELECT count(*) AS n FROM sessions WHERE org_id = ?').bind(ada.org).first('n');
  await until(async () => (await count()) === 60, '60 rows in D1');
});

test('a registry refuses what is not a session', async () => {
  const ada = await person();
  const { SESSION_REGISTRY } = await worker.env();
  const stub = SESSION_REGISTRY.get(SESSION_REGISTRY.idFromName(ada.org));
  for (const body of ['', '{}', '{"session":{}}', '{"session":{"id":"ses_1"}}']) {
    const answer = await stub.fetch('https://do/apply', { method: 'POST', body });
    assert.equal(answer.status, 400);
    assert.equal((await answer.json()).error.code, 'bad_request');
  }
  assert.equal((await stub.fetch('https://do/nothing')).status, 404);
});
