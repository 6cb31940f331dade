/** Signing in and out: tokens, cookies, origins, and what is kept of a secret. */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertError, json, ORIGIN, startWorker } from './harness.mjs';

let worker;
before(async () => {
  worker = await startWorker();
});
afterEach(() => worker.assertNoPanics());
after(() => worker.stop());

const post = (body, headers = {}) => {
  const init = json('POST', body);
  return worker.fetch('/auth/dev', { ...init, headers: { ...init.headers, ...headers } });
};

describe('POST /auth/dev', () => {
  test('makes one person for one login, however often and however many at once', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => post({ login: 'ada' })));
    const bodies = await Promise.all(answers.map((answer) => answer.json()));
    assert.deepEqual(answers.map((answer) => answer.status), Array(8).fill(200));
    assert.equal(new Set(bodies.map((body) => body.user.id)).size, 1);
    assert.equal(new Set(bodies.map((body) => body.token)).size, 8);
    assert.match(bodies[0].user.id, /^usr_/);
    const { DB } = await worker.env();
    const { results } = await DB.prepare('SELECT u.id, m.role FROM users u JOIN members m ON m.user_id = u.id WHERE login = ?').bind('ada').all();
    assert.deepEqual(results, [{ id: bodies[0].user.id, role: 'owner' }]);
  });

  test('keeps the hash of a secret and not the secret', async () => {
    const { token } = await worker.signIn();
    const { DB } = await worker.env();
    const { results } = await DB.prepare('SELECT token_hash FROM auth_sessions').all();
    const hashes = results.map((row) => row.token_hash);
    assert.ok(hashes.includes(crypto.createHash('sha256').update(token).digest('hex')));
    assert.ok(!hashes.includes(token));
  });

  test('gives a cookie that scripts of the page cannot read', async () => {
    const cookie = (await post({ login: 'bob' })).headers.get('set-cookie');
    for (const part of ['HttpOnly', 'SameSite=Lax', 'Path=/', 'Max-Age=604800']) assert.ok(cookie.includes(part), cookie);
    assert.ok(!cookie.includes('Secure'));
  });

  for (const login of ['', 'A', 'a b', 'a/b', 'a'.repeat(40), 'é', '\u0000', 'x'.repeat(100_000)]) {
    test(`refuses the login ${JSON.stringify(login.slice(0, 45))}`, async () => {
      const error = await assertError(await post({ login }), 422, 'invalid');
      assert.equal(error.details.field, 'login');
    });
  }

  test('refuses what is not the JSON that it takes', async () => {
    for (const body of ['', '{', 'null', '[]', '{}', '{"login":7}', '{"login":"a","x":1}', '{"login":"a"} x']) {
      await assertError(await post(body), 400, 'bad_request');
    }
    await assertError(await post('login=a', { 'content-type': 'application/x-www-form-urlencoded' }), 415, 'unsupported_media_type');
    await assertError(await worker.fetch('/auth/dev', { method: 'POST', body: '{"login":"a"}', headers: { 'content-type': 'text/plain' } }), 415, 'unsupported_media_type');
  });

  test('refuses 10 MB, and says why', async () => {
    const error = await assertError(await post(`{"login":"${'a'.repeat(10_000_000)}"}`), 413, 'too_large');
    assert.equal(error.details.maxBytes, 1024 * 1024);
  });

  test('refuses the page of somebody else', async () => {
    await assertError(await post({ login: 'ada' }, { origin: 'https://evil.example' }), 403, 'forbidden');
    assert.equal((await post({ login: 'ada' }, { origin: ORIGIN })).status, 200);
  });

  test('takes only POST', async () => {
    await assertError(await worker.fetch('/auth/dev'), 405, 'method_not_allowed');
  });
});

describe('POST /auth/dev where whoever started the installation was told a code', () => {
  let guarded;
  before(async () => {
    guarded = await startWorker({ vars: { SIGN_IN_CODE: 'k7qm-2xpd' } });
  });
  after(() => guarded.stop());

  test('wants it, however it is typed', async () => {
    const ask = (body) => guarded.fetch('/auth/dev', json('POST', body));
    for (const code of [undefined, '', 'k7qm', 'k7qm-2xpe', 'k7qm-2xpdx']) {
      const error = await assertError(await ask({ login: 'ada', code }), 403, 'forbidden');
      assert.equal(error.details.field, 'code');
    }
    for (const code of ['k7qm-2xpd', 'K7QM 2XPD', 'k7qm2xpd']) assert.equal((await ask({ login: 'ada', code })).status, 200, code);
    await assertError(await ask({ login: 'ada', code: 7 }), 400, 'bad_request');
    assert.equal((await (await guarded.fetch('/api/config')).json()).signInCode, true);
    assert.equal((await (await worker.fetch('/api/config')).json()).signInCode, undefined);
    guarded.assertNoPanics();
  });
});

describe('GET /api/auth/me', () => {
  test('knows a bearer token and a cookie', async () => {
    const { user, cookie, login, api } = await worker.signIn();
    const byToken = await (await api('/api/auth/me')).json();
    assert.deepEqual(byToken.user, user);
    assert.equal(byToken.org.name, login);
    const byCookie = await worker.fetch('/api/auth/me', { headers: { cookie: `theme=dark; ${cookie}` } });
    assert.deepEqual(await byCookie.json(), byToken);
  });

  test('knows nobody without a good secret', async () => {
    const { token, cookie } = await worker.signIn();
    const forged = `errand_session=${token}.${'0'.repeat(64)}`;
    const tries = [{}, { authorization: 'Bearer x' }, { authorization: `Basic ${token}` }, { authorization: `Bearer ${token}x` },
      { authorization: `Bearer ${'0'.repeat(64)}` }, { cookie: forged }, { cookie: `errand_session=${token}` }, { cookie: `${cookie}0` }];
    for (const headers of tries) {
      await assertError(await worker.fetch('/api/auth/me', { headers }), 401, 'unauthenticated');
    }
  });

  test('knows nobody once the sign-in is over', async () => {
    const { api, token } = await worker.signIn();
    const { DB } = await worker.env();
    const hash = crypto.createHash('sha256').update(token).digest('hex');
    await DB.prepare('UPDATE auth_sessions SET expires_at = ? WHERE token_hash = ?').bind(Date.now() - 1, hash).run();
    await assertError(await api('/api/auth/me'), 401, 'unauthenticated');
  });
});

describe('POST /auth/logout', () => {
  test('ends this sign-in and no other, and can be repeated', async () => {
    const one = await worker.signIn('carol');
    const other = await worker.signIn('carol');
    for (let n = 0; n < 2; n++) {
      const answer = await one.api('/auth/logout', { method: 'POST' });
      assert.equal(answer.status, 204);
      assert.ok(answer.headers.get('set-cookie').includes('Max-Age=0'));
    }
    await assertError(await one.api('/api/auth/me'), 401, 'unauthenticated');
    assert.equal((await other.api('/api/auth/me')).status, 200);
  });

  test('is fine for somebody who is not signed in', async () => {
    assert.equal((await worker.fetch('/auth/logout', { method: 'POST' })).status, 204);
  });

  test('by cookie is believed only from our own pages', async () => {
    const { cookie } = await worker.signIn();
    for (const origin of [undefined, 'https://evil.example', 'null', 'http://errand.test.evil.example']) {
      const headers = { cookie, ...(origin && { origin }) };
      await assertError(await worker.fetch('/auth/logout', { method: 'POST', headers }), 403, 'forbidden');
    }
    assert.equal((await worker.fetch('/api/auth/me', { headers: { cookie } })).status, 200);
    assert.equal((await worker.fetch('/auth/logout', { method: 'POST', headers: { cookie, origin: ORIGIN } })).status, 204);
    await assertError(await worker.fetch('/api/auth/me', { headers: { cookie } }), 401, 'unauthenticated');
  });
});
