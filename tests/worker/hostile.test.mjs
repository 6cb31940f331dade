/**
 * What somebody who means harm tries at the door: tokens that are almost right, headers too many or too long, addresses
 * written in tricks, requests inside requests. Of signing in: `oauth.test.mjs` and `sign-in.test.mjs`; of keys: `keys.test.mjs`.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import net from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertError, json, MASTER_KEY, member, sandboxToken, startServer, startWorker, workingSandbox } from './harness.mjs';
import { startHost } from './stand-ins.mjs';

let worker;
let host;
let owner;
let org;
before(async () => {
  host = await startHost();
  worker = await startWorker({ vars: host.vars });
  owner = await worker.signIn();
  org = (await (await owner.api('/api/auth/me')).json()).org.id;
});
afterEach(() => worker.assertNoPanics());
after(async () => {
  await worker.stop();
  await host.stop();
});

const b64 = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const keyFor = (session, key = MASTER_KEY) => crypto.createHmac('sha256', Buffer.from(key, 'hex')).update(`sandbox-token:${session}`).digest();
const hmac = (key, text, hash = 'sha256') => crypto.createHmac(hash, key).update(text).digest('base64url');

describe("a sandbox's token", () => {
  let box;
  let other;
  before(async () => {
    box = await workingSandbox(worker, owner);
    other = await workingSandbox(worker, await worker.signIn());
  });

  const now = () => Math.floor(Date.now() / 1000);
  /** `header.claims` as text, signed with a key. */
  const signed = (header, claims, key = keyFor(box.session), hash) => {
    const text = `${b64(header)}.${b64(claims)}`;
    return `${text}.${hmac(key, text, hash)}`;
  };
  const HS = { alg: 'HS256', typ: 'JWT' };
  const claims = (over = {}) => ({ sub: box.session, org: box.org, gen: 1, aud: ['runner', 'llm'], exp: now() + 600, iat: now(), ...over });
  const without = (name) => Object.fromEntries(Object.entries(claims()).filter(([key]) => key !== name));

  const FORGED = {
    'no algorithm and no signature': () => `${b64({ alg: 'none', typ: 'JWT' })}.${b64(claims())}.`,
    'no algorithm, signed all the same': () => signed({ alg: 'none', typ: 'JWT' }, claims()),
    'no algorithm in capitals': () => signed({ alg: 'NONE', typ: 'JWT' }, claims()),
    'no signature under our header': () => `${b64(HS)}.${b64(claims())}.`,
    'another algorithm': () => signed({ alg: 'HS512', typ: 'JWT' }, claims(), keyFor(box.session), 'sha512'),
    'our algorithm, another hash': () => signed(HS, claims(), keyFor(box.session), 'sha512'),
    'a public-key algorithm with our key as a secret': () => signed({ alg: 'RS256', typ: 'JWT' }, claims()),
    'a key of its own in the header': () => signed({ ...HS, jwk: { kty: 'oct', k: b64('mine') } }, claims(), Buffer.from('mine')),
    'a key id in the header': () => signed({ ...HS, kid: '../../dev/null' }, claims()),
    'the header in another order': () => signed({ typ: 'JWT', alg: 'HS256' }, claims()),
    'the master key itself': () => signed(HS, claims(), Buffer.from(MASTER_KEY, 'hex')),
    "another installation's key": () => sandboxToken(box.session, { claims: claims(), key: 'ab'.repeat(32) }),
    "another session's key": () => signed(HS, claims(), keyFor(other.session)),
    'an empty key': () => signed(HS, claims(), Buffer.alloc(0)),
    'a signature that is cut': () => signed(HS, claims()).slice(0, -2),
    'a signature with padding': () => `${signed(HS, claims())}=`,
    'one part more': () => `${signed(HS, claims())}.${b64('x')}`,
    'claims that were changed after signing': () => signed(HS, claims({ gen: 2 })).replace(/\.[^.]*\./, `.${b64(claims())}.`),
    'another audience': () => sandboxToken(box.session, { claims: claims({ aud: ['gateway'] }) }),
    'no audience': () => sandboxToken(box.session, { claims: claims({ aud: [] }) }),
    'an audience that is a text': () => sandboxToken(box.session, { claims: claims({ aud: 'runner llm' }) }),
    'an audience that nobody knows': () => sandboxToken(box.session, { claims: claims({ aud: ['*'] }) }),
    'an hour gone': () => sandboxToken(box.session, { claims: claims({ exp: now() - 3600 }) }),
    'a second gone': () => sandboxToken(box.session, { claims: claims({ exp: now() - 1 }) }),
    'no end': () => signed(HS, without('exp')),
    'an end that is a text': () => sandboxToken(box.session, { claims: claims({ exp: '9999999999' }) }),
    'an end before all time': () => sandboxToken(box.session, { claims: claims({ exp: -1 }) }),
    'an end beyond numbers': () => signed(HS, claims()).replace(/\.[^.]*\./, `.${b64(JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":1e999'))}.`),
    'no session': () => signed(HS, without('sub')),
    'no org': () => signed(HS, without('org')),
    'claims that are a list': () => signed(HS, []),
    'claims that are not JSON': () => `${b64(HS)}.${b64('{')}.${hmac(keyFor(box.session), `${b64(HS)}.${b64('{')}`)}`,
    'nothing but dots': () => '..',
    'a person’s secret': () => owner.token,
    '64 KB of letters': () => 'a'.repeat(65_536 - 1000),
  };
  const SOMEBODY_ELSES = {
    "another org's session": () => other.token,
    'the session of another in its claims': () => signed(HS, claims({ sub: other.session })),
  };

  /** What each door says to this token. */
  async function tries(token) {
    const socket = worker.socket(`/runner/${box.session}`, { token });
    const dialled = await socket.opened.then(() => 101, (refusal) => refusal.status);
    const snapshot = await worker.fetch(`/runner/${box.session}/snapshots/snp_1`, { headers: { authorization: `Bearer ${token}` } });
    const model = await worker.fetch('/llm/demo/v1/chat/completions', { ...json('POST', { model: 'scripted', messages: [] }), headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` } });
    const statuses = [dialled, snapshot.status, model.status];
    await Promise.all([snapshot.text(), model.text()]);
    return statuses;
  }

  for (const [what, forge] of Object.entries(FORGED)) {
    test(`with ${what} opens nothing`, async () => assert.deepEqual(await tries(forge()), [401, 401, 401]));
  }
  for (const [what, forge] of Object.entries(SOMEBODY_ELSES)) {
    test(`of ${what} opens nothing here`, async () => assert.deepEqual((await tries(forge())).slice(0, 2), [401, 401]));
  }

  test('of the right session and the wrong org opens nothing', async () => {
    const [dialled, snapshot, model] = await tries(sandboxToken(box.session, { claims: claims({ org: other.org }) }));
    assert.deepEqual([dialled, snapshot, model], [404, 404, 401]);
  });

  test('of a clock that goes before or after ours by a minute counts, as long as it lasts', async () => {
    for (const skew of [-60, 60]) {
      const token = sandboxToken(box.session, { claims: claims({ iat: now() + skew, exp: now() + skew + 600 }) });
      const [dialled, snapshot] = await tries(token);
      assert.deepEqual([dialled, snapshot], [101, 404], 'there is no such snapshot');
    }
  });

  test('in the address counts for nothing', async () => {
    for (const name of ['token', 'access_token', 'authorization']) {
      await assertError(await worker.fetch(`/runner/${box.session}?${name}=${box.token}`), 401, 'unauthenticated');
      await assertError(await worker.fetch(`/api/sessions?${name}=${owner.token}`), 401, 'unauthenticated');
    }
  });
});

describe('credentials side by side', () => {
  test('the first that is shown is the one that counts: a bad one is not made good by a cookie', async () => {
    const { cookie } = owner;
    for (const authorization of ['Bearer nonsense', `Bearer er_${'0'.repeat(64)}`]) {
      await assertError(await worker.fetch('/api/auth/me', { headers: { cookie, authorization } }), 401, 'unauthenticated');
    }
  });

  test('of several cookies of our name only one with our seal counts', async () => {
    const [name] = owner.cookie.split('=');
    const stranger = await worker.signIn();
    const me = async (cookie) => worker.fetch('/api/auth/me', { headers: { cookie } });
    assert.equal((await (await me(`${name}=forged.00; ${owner.cookie}`)).json()).user.id, owner.user.id);
    for (const bad of [`${name}=${stranger.token}.${owner.cookie.split('.')[1]}`, `${name}="${owner.cookie.split('=')[1]}"`, owner.cookie.toUpperCase(), `x${owner.cookie}`, owner.cookie.replace('=', '[]='), owner.cookie.replace('.', '%2e')]) {
      await assertError(await me(bad), 401, 'unauthenticated');
    }
  });
});

describe('headers', () => {
  const alive = async () => assert.equal((await owner.api('/api/auth/me')).status, 200);

  test('of giant size are refused, and harm nobody', async () => {
    const giants = {
      authorization: `Bearer ${'a'.repeat(100_000)}`,
      cookie: `errand_session=${'a'.repeat(50_000)}.${'b'.repeat(50_000)}`,
      'idempotency-key': 'k'.repeat(100_000),
      'last-event-id': '9'.repeat(100_000),
      'x-anything': 'x'.repeat(100_000),
      'sec-websocket-protocol': `errand, bearer.${'a'.repeat(100_000)}`,
    };
    for (const [name, value] of Object.entries(giants)) {
      const headers = { ...(name !== 'authorization' && name !== 'cookie' && name !== 'sec-websocket-protocol' && { authorization: `Bearer ${owner.token}` }), [name]: value };
      const answer = await worker.fetch('/api/sessions', { ...json('POST', { model: 'demo/scripted' }), headers: { 'content-type': 'application/json', ...headers } });
      assert.ok(answer.status < 500, `${name}: ${answer.status} ${await answer.text()}`);
      if (name !== 'x-anything' && name !== 'last-event-id') assert.ok(answer.status >= 400, `${name}: ${answer.status}`);
      await alive();
    }
  });

  test('by the thousand, or of a megabyte, harm nobody', async () => {
    const many = Array.from({ length: 2000 }, (_, n) => `x-${n}: ${n}`).join('\r\n');
    const cookies = `cookie: ${Array.from({ length: 3000 }, (_, n) => `c${n}=v${n}`).join('; ')}`;
    for (const head of [many, cookies, `x-big: ${'a'.repeat(1_000_000)}`]) {
      const answer = await raw(`GET /api/auth/me HTTP/1.1\r\nhost: errand.test\r\n${head}\r\nconnection: close\r\n\r\n`);
      // Our own 401, or the server's refusal to read on.
      assert.match(answer || 'closed', /^(HTTP\/1\.1 4\d\d|closed)/);
      await alive();
    }
  });

  test('that an address or a caller is vouched with are not taken from outside', async () => {
    const session = (await (await owner.api('/api/sessions', json('POST', {}))).json()).id;
    const actor = JSON.stringify({ person: owner.user, org, role: 'owner', credential: { kind: 'sign_in', id: 'sgn_1' } });
    const stranger = await worker.signIn();
    for (const headers of [{ 'x-errand-actor': actor }, { 'X-Errand-Actor': actor, 'x-errand-runner': '{}' }, { 'x-forwarded-user': 'owner', 'x-original-url': `/api/sessions/${session}`, 'x-http-method-override': 'DELETE' }]) {
      await assertError(await worker.fetch(`/api/sessions/${session}`, { headers }), 401, 'unauthenticated');
      await assertError(await stranger.api(`/api/sessions/${session}`, { headers }), 404, 'not_found');
    }
    assert.equal((await (await owner.api(`/api/sessions/${session}`)).json()).phase, 'idle');
  });
});

/** Sends bytes and resolves to whatever comes until the other end closes. */
function raw(bytes) {
  const { hostname, port } = new URL(worker.url);
  return new Promise((resolve) => {
    let text = '';
    const socket = net.connect(Number(port), hostname, () => socket.write(bytes));
    socket.setTimeout(3000, () => socket.destroy());
    socket.on('data', (data) => (text += data));
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
}

describe('requests inside requests', () => {
  const answers = (text) => (text.match(/HTTP\/1\.1 \d\d\d/g) ?? []).map((line) => Number(line.slice(9)));

  test('two lengths, or a length and chunks: the rest is no request of somebody else', async () => {
    const smuggled = `GET /api/auth/me HTTP/1.1\r\nhost: errand.test\r\nauthorization: Bearer ${owner.token}\r\n\r\n`;
    for (const lengths of [
      `content-length: 6\r\ntransfer-encoding: chunked`,
      `transfer-encoding: chunked\r\ncontent-length: ${smuggled.length + 5}`,
      `content-length: 0\r\ncontent-length: ${smuggled.length}`,
      `transfer-encoding: xchunked`,
      `transfer-encoding: chunked, identity`,
      `transfer-encoding : chunked`,
    ]) {
      const text = await raw(`POST /auth/logout HTTP/1.1\r\nhost: errand.test\r\ncontent-type: application/json\r\n${lengths}\r\n\r\n0\r\n\r\n${smuggled}`);
      const statuses = answers(text);
      // What follows is either never looked at, or a request of this same connection with its own credential: in no case
      // does the first request get what the second one may.
      assert.ok(statuses.length <= 2 && statuses.every((status) => status < 500), `${lengths}: ${text.slice(0, 400)}`);
      if (statuses.length > 0 && statuses[0] === 200) assert.fail(`${lengths}: a logout answered like /me: ${text.slice(0, 400)}`);
    }
    assert.equal((await owner.api('/api/auth/me')).status, 200);
  });

  test('a method that nobody knows is refused, and no GET', async () => {
    const { id } = await (await owner.api('/api/sessions', { method: 'POST', body: {} })).json();
    for (const address of ['/api/auth/me', `/api/sessions/${id}`, `/api/sessions/${id}/events`]) {
      const text = await raw(`QUERY ${address} HTTP/1.1\r\nhost: errand.test\r\nauthorization: Bearer ${owner.token}\r\nconnection: close\r\n\r\n`);
      assert.match(text, /^HTTP\/1\.1 405 [^]*method_not_allowed/, text.slice(0, 300));
    }
  });

  test('line ends and NULs in headers make no second header', async () => {
    const forged = Buffer.from(JSON.stringify({ person: owner.user, org, role: 'owner', credential: { kind: 'sign_in', id: 'sgn_1' } })).toString('latin1');
    for (const header of [`x-a: b\rx-errand-actor: ${forged}`, `x-a: b\n x-errand-actor: ${forged}`, `x-a: b\0\r\nx-errand-actor: ${forged}`, `authorization\0: Bearer ${owner.token}`]) {
      const text = await raw(`GET /api/auth/me HTTP/1.1\r\nhost: errand.test\r\n${header}\r\nconnection: close\r\n\r\n`);
      assert.ok(!text.includes(owner.user.id) && !/HTTP\/1\.1 [25]/.test(text), text.slice(0, 300));
    }
  });

  test('an address with another host in it goes nowhere', async () => {
    const elsewhere = await startServer((_, response) => response.end('{"stolen":true}'));
    try {
      for (const target of [`${elsewhere.url}/api/auth/me`, `//${new URL(elsewhere.url).host}/api/auth/me`, `http://errand.test@${new URL(elsewhere.url).host}/`, 'errand.test:443']) {
        const text = await raw(`GET ${target} HTTP/1.1\r\nhost: errand.test\r\nconnection: close\r\n\r\n`);
        assert.ok(!text.includes('stolen') && !/HTTP\/1\.1 5/.test(text), `${target}: ${text.slice(0, 300)}`);
      }
      assert.equal(elsewhere.requests.length, 0);
    } finally {
      await elsewhere.stop();
    }
  });
});

describe('addresses written in tricks', () => {
  test('lead to what they say, or to nothing, and never past who may', async () => {
    const plain = await member(worker, org, 'viewer');
    const session = (await (await owner.api('/api/sessions', json('POST', {}))).json()).id;
    const own = (await (await (await worker.signIn()).api('/api/sessions', json('POST', {}))).json()).id;
    const tricks = [
      '/api/%61dmin/audit', '/api/admin%2faudit', '/api/admin/%61udit', '/api//admin/audit', '/api/./admin/audit', '/api/x/../admin/audit',
      '/api/x/%2e%2e/admin/audit', '/api/x/..%2fadmin/audit', '/api/admin/audit/', '/api/admin/audit%00', '/api/admin/audit;x=1', '/api/admin\\audit',
      '/API/ADMIN/AUDIT', '/api/admin/audit%20', '/api/admin/audit?x=/api/config', '/api/config/../admin/audit', '/api/config%2f..%2fadmin/audit', '/%2e/api/admin/audit',
      `/api/sessions/${session}`, `/api/sessions/${own}/../${session}`, `/api/sessions/${own}/%2e%2e/${session}/transcript`, `/api/sessions/${own}%2f..%2f${session}`,
      `/api/sessions/${session}%2fevents`, `/api/sessions//${session}`, `/api/sessions/${session}//events`, `/api/sessions/${session}/./events`, `/api/sessions/${session}%00`,
      `/api/sessions/${encodeURIComponent(session)}/`, `/api/sessions/%73es_1`, `/runner/../api/sessions/${session}`,
    ];
    for (const path of tricks) {
      for (const method of ['GET', 'DELETE', 'POST']) {
        const text = await raw(`${method} ${path} HTTP/1.1\r\nhost: errand.test\r\nauthorization: Bearer ${plain.token}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
        const status = Number(text.slice(9, 12));
        assert.ok([400, 403, 404, 405].includes(status), `${method} ${path}: ${text.slice(0, 300)}`);
      }
    }
    assert.equal((await (await owner.api(`/api/sessions/${session}`)).json()).phase, 'idle');
  });

  test('ids are ids and nothing else', async () => {
    for (const id of ["ses_1' OR 1=1--", 'ses_1/../../x', 'ses_%00', `ses_${'a'.repeat(5000)}`, 'ses_', 'ses_ä', '__proto__', 'constructor']) {
      await assertError(await owner.api(`/api/sessions/${encodeURIComponent(id)}`), 404, 'not_found');
      await assertError(await owner.api(`/api/keys/${encodeURIComponent(id)}`, { method: 'DELETE' }), 404, 'not_found');
      await assertError(await owner.api(`/api/admin/members/${encodeURIComponent(id)}`, { method: 'DELETE' }), 404, 'not_found');
    }
  });
});
