/**
 * The matrix of access (`matrix.mjs`) on a real Worker: each route × each kind of caller; that no route is missing in it;
 * and that whoever tried to change something is in the audit log, whatever came of it.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { join, json, member, MODEL, sandboxToken, startWorker, until } from './harness.mjs';
import { CALLERS, CELLS, ROUTES, routesOf } from './matrix.mjs';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const SCOPES = ['sessions:read', 'sessions:write', 'prompts:write', 'pulls:write', 'workflows:read', 'workflows:write', 'keys:read', 'keys:write', 'admin:read', 'admin:write'];
const HERE = '/srv/here';

let worker;
let org;
let ids;
let people;
let code;
const keys = new Map();
/** What the audit log must have: request → who and how it ended. */
const expected = new Map();

before(async () => {
  worker = await startWorker();
  const maker = await worker.signIn();
  org = (await (await maker.api('/api/auth/me')).json()).org.id;
  await join(worker, maker, org, 'member');
  people = {
    stranger: await worker.signIn(),
    viewer: await member(worker, org, 'viewer'),
    member: await member(worker, org, 'member'),
    admin: await member(worker, org, 'admin'),
    chief: await member(worker, org, 'owner'),
    maker,
    looker: await member(worker, org, 'member'),
    helper: await member(worker, org, 'member'),
  };
  const session = await sharedSession();
  for (const [name, role] of [['looker', 'viewer'], ['helper', 'member']]) {
    const link = await made(maker.api(`/api/sessions/${session}/shares`, json('POST', { role })));
    await made(people[name].api(`/api/sessions/${session}/join`, json('POST', { code: link.code })));
  }
  const open = await sharedSession();
  ({ code } = await made(maker.api(`/api/sessions/${open}/shares`, json('POST', { role: 'viewer', maxUses: 1000 }))));
  const group = await newGroup('The group');
  for (const [name, role] of [['looker', 'member'], ['helper', 'admin']]) {
    const answer = await people.chief.api(`/api/groups/${group}/members/${people[name].user.id}`, json('PUT', { role }));
    assert.equal(answer.status, 204, await answer.text());
  }
  ids = { session, open, group };
});
afterEach(() => worker.assertNoPanics());
after(() => worker.stop());

async function made(request) {
  const answer = await request;
  assert.ok([200, 201].includes(answer.status), `${answer.status} ${await answer.clone().text()}`);
  return answer.json();
}

async function sharedSession() {
  const { id } = await made(people.maker.api('/api/sessions', json('POST', { model: MODEL, repo: { url: HERE }, visibility: 'link' })));
  return id;
}

async function newGroup(name) {
  return (await made(people.chief.api('/api/groups', json('POST', { name })))).id;
}

/** A key of `owner`, made once. */
async function keyOf(owner, scopes, repo) {
  const name = JSON.stringify([owner, scopes, repo]);
  if (!keys.has(name)) {
    const { key } = await made(people[owner].api('/api/keys', json('POST', { name: 'k', scopes, repo })));
    keys.set(name, key);
  }
  return keys.get(name);
}

/** The token with which `caller` tries this row; nobody has none. */
async function tokenOf(caller, kind, scope, { fresh, keysOf }) {
  const owner = keysOf ?? (['read', 'work', 'oversee', 'own', 'join'].includes(kind) ? 'maker' : 'chief');
  switch (caller) {
    case 'anonymous': return undefined;
    case 'scoped': return keyOf(owner, scope ? [scope] : SCOPES);
    case 'unscoped': return keyOf(owner, scope ? SCOPES.filter((other) => other !== scope) : ['workflows:read']);
    case 'elsewhere': return keyOf(owner, SCOPES, '/srv/elsewhere');
    case 'sandbox': return sandboxToken(ids.session, { claims: { org } });
    default: return (fresh ? await worker.signIn() : people[caller]).token;
  }
}

function pathOf(route, { path: fixed, ids: wanted = {} }) {
  if (fixed) return fixed;
  const nowhere = { id: 'usr_nowhere', user: 'usr_nowhere', snapshot: 'snp_nowhere' };
  let n = 0;
  return route.replace(/\{(\w+)\}/g, (_, name) => {
    n += 1;
    const deeper = route.startsWith('/api/sessions/') && n > 1;
    if (deeper) return { prompts: 'prm_nowhere', shares: 'shr_nowhere', interactions: 'int_nowhere' }[route.split('/')[4]];
    return ids[wanted[name]] ?? wanted[name] ?? nowhere[name];
  });
}

/** The status, when the policy refused; a 404 counts only when it says that the session, or group, is not there. */
async function cellOf(response) {
  if (![401, 403, 404].includes(response.status)) {
    await response.body?.cancel();
    return 'ok';
  }
  const { error } = JSON.parse(await response.text());
  return response.status === 404 && !/no such (session|group)$/.test(error.message) ? 'ok' : response.status;
}

async function tryAs(caller, [method, route, kind, scope, more = {}]) {
  const token = await tokenOf(caller, kind, scope, more);
  if (Object.values(more.ids ?? {}).includes('new group')) ids['new group'] = await newGroup(`For ${caller}`);
  const verb = more.method ?? method;
  const body = more.body?.code === 'code' ? { code } : more.body;
  const response = await worker.fetch(pathOf(route, more), {
    ...(body === undefined ? { method: verb } : json(verb, body)),
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...(token && { authorization: `Bearer ${token}` }) },
  });
  const known = !['anonymous', 'sandbox'].includes(caller) && response.status !== 401;
  if (known && verb !== 'GET' && kind !== 'public') {
    const outcome = response.status < 400 ? 'ok' : String(response.status);
    expected.set(response.headers.get('x-request-id'), { route: `${verb} ${route} as ${caller}`, outcome, credential: token.startsWith('er_') ? 'key' : 'sgn' });
  }
  return cellOf(response);
}

test('no route is missing in the matrix, and none that is in it does not exist', () => {
  const source = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');
  const exist = routesOf(source('src/http/router.rs'), source('src/session_agent/routes.rs'));
  const named = [...new Set(ROUTES.map(([method, route]) => `${method} ${route.split('?')[0]}`))].sort();
  assert.deepEqual(named, exist, 'see tests/worker/matrix.mjs');
  assert.ok(exist.length > 70, `only ${exist.length} routes were found: the reading of the sources is broken`);
});

describe('each route × each caller', () => {
  for (const row of ROUTES) {
    const [method, route, kind, , more = {}] = row;
    test(`${method} ${route}`, async () => {
      const cells = {};
      const wanted = {};
      for (const caller of more.only ?? CALLERS) {
        cells[caller] = await tryAs(caller, row);
        wanted[caller] = CELLS[kind][caller];
      }
      assert.deepEqual(cells, wanted);
    });
  }

  test('what a session does not have looks the same as what it has to those who do not see it', async () => {
    for (const [caller, cell] of Object.entries({ anonymous: 401, stranger: 404, viewer: 404, looker: 'ok', sandbox: 401 })) {
      for (const method of ['GET', 'POST', 'DELETE']) {
        assert.equal(await tryAs(caller, [method, '/api/sessions/{id}/nothing-of-that-name', 'read', null, { ids: { id: 'session' } }]), cell, `${method} as ${caller}`);
      }
    }
  });
});

test('whoever tried to change something is in the audit log: who, with what, what, how it ended', async () => {
  const { DB } = await worker.env();
  const logged = await until(async () => {
    const { results } = await DB.prepare('SELECT * FROM audit').all();
    const byRequest = new Map(results.map((row) => [row.request_id, row]));
    return [...expected.keys()].every((id) => byRequest.has(id)) && byRequest;
  }, 'an entry for each request').catch(async () => {
    const { results } = await DB.prepare('SELECT request_id FROM audit').all();
    const there = new Set(results.map((row) => row.request_id));
    return assert.fail(`not in the log: ${[...expected].filter(([id]) => !there.has(id)).map(([, { route }]) => route).join('; ')}`);
  });
  assert.ok(expected.size > 300, `only ${expected.size} requests were tried`);
  const users = new Set(Object.values(people).map(({ user }) => user.id));
  for (const [id, { route, outcome, credential }] of expected) {
    const row = logged.get(id);
    assert.deepEqual([row.outcome, row.credential.slice(0, 3)], [outcome, credential], route);
    assert.ok(row.action.startsWith(route.split(' ')[0]) && row.org_id && row.at > 0, route);
    assert.ok(users.has(row.user_id) || /sign-ins as/.test(route), route);
  }
  assert.ok(!JSON.stringify([...logged.values()]).includes(code), 'no code is in the log');
});
