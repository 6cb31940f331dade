/** Signing in with GitHub and Google: who gets in, and every way in which it goes wrong. */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertError, json, MASTER_KEY, startWorker, until } from './harness.mjs';
import { Browser, githubber, googler, startProviders } from './providers.mjs';

let providers;
let worker;
before(async () => {
  providers = await startProviders();
  worker = await startWorker({ vars: { ...providers.vars, ENVIRONMENT: 'production', ORIGIN: 'http://errand.test', ALLOWED_USERS: 'boss, @allowed.example, friend@x.example' } });
});
afterEach(() => worker.assertNoPanics());
after(async () => {
  await worker.stop();
  await providers.stop();
});

const allowed = (over) => githubber({ emails: [{ email: `${crypto.randomBytes(4).toString('hex')}@allowed.example`, primary: true, verified: true }], ...over });
const me = async (browser) => (await browser.api('/api/auth/me')).json();
const rows = async (sql, ...args) => (await (await worker.env()).DB.prepare(sql).bind(...args).all()).results;

describe('a fresh installation', () => {
  test('makes the first who is let in its owner, and the next ones members of the same org', async () => {
    const people = [githubber({ login: 'Boss' }), allowed(), allowed()];
    const mine = [];
    for (const person of people) {
      const browser = new Browser(worker);
      const answer = await browser.signIn(providers, person, { query: '?return=%2Fsessions%2Fses_1%3Ftab%3Dfiles' });
      assert.equal(answer.status, 303, await answer.clone().text());
      assert.equal(answer.headers.get('location'), '/sessions/ses_1?tab=files');
      mine.push(await me(browser));
    }
    assert.deepEqual(mine.map(({ role }) => role), ['owner', 'member', 'member']);
    assert.equal(new Set(mine.map(({ org }) => org.id)).size, 1);
    assert.equal(mine[0].org.name, 'errand.test');
    assert.equal(mine[0].user.name, people[0].name);
  });
});

describe('signing in', () => {
  test('asks for the scopes, with PKCE, and comes back to our own address', async () => {
    for (const [provider, scope] of [['github', 'repo read:user user:email'], ['google', 'openid email profile']]) {
      const sent = await worker.fetch(`/auth/${provider}`);
      const query = new URL(sent.headers.get('location')).searchParams;
      assert.equal(query.get('scope'), scope);
      assert.equal(query.get('redirect_uri'), `http://errand.test/auth/${provider}/callback`);
      assert.match(query.get('state'), /^[0-9a-f]{64}$/);
      assert.match(query.get('code_challenge'), /^[\w-]{43}$/);
      const cookie = sent.headers.get('set-cookie');
      for (const part of ['HttpOnly', 'SameSite=Lax', 'Path=/auth/', 'Max-Age=600']) assert.ok(cookie.includes(part), cookie);
      assert.ok(!cookie.includes(query.get('state')), 'what the cookie holds is sealed');
    }
  });

  test('sets the cookie and puts no token into an address', async () => {
    const browser = new Browser(worker);
    const answer = await browser.signIn(providers, allowed());
    assert.equal(answer.headers.get('location'), '/');
    const [session] = answer.headers.getSetCookie().filter((line) => line.startsWith('errand_session='));
    for (const part of ['HttpOnly', 'SameSite=Lax', 'Path=/;']) assert.ok(session.includes(part), session);
    assert.ok(!browser.cookies.has('errand_oauth'));
    assert.equal((await browser.api('/api/auth/me')).status, 200);
  });

  test('keeps the token sealed, and opens it with no other key, person or purpose', async () => {
    const browser = new Browser(worker);
    await browser.signIn(providers, allowed());
    const { user } = await me(browser);
    const [{ access, scopes }] = await rows('SELECT access, scopes FROM oauth_tokens WHERE user_id = ?', user.id);
    assert.match(access, /^s1\.[0-9a-f]{8}\.[\w-]+$/);
    assert.equal(scopes, 'repo,read:user,user:email');
    const bytes = Buffer.from(access.split('.')[2], 'base64url');
    const key = crypto.createHmac('sha256', Buffer.from(MASTER_KEY, 'hex')).update('sealing:aes-256-gcm:1').digest();
    const open = (aad) => {
      const decipher = crypto.createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12));
      decipher.setAuthTag(bytes.subarray(-16));
      decipher.setAAD(Buffer.from(aad));
      return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]).toString();
    };
    const field = (text) => `${text.length}:${text}`;
    assert.ok(providers.tokens.has(open(['', 'oauth.github', user.id].map(field).join(''))));
    assert.throws(() => open(['', 'oauth.github', 'usr_other'].map(field).join('')));
  });

  test('is the same person each time, also after another login, name and address', async () => {
    const person = allowed();
    const [one, two] = [new Browser(worker), new Browser(worker)];
    await one.signIn(providers, person);
    await two.signIn(providers, { ...person, login: 'renamed', name: 'Renamed', emails: [{ email: 'new@elsewhere.example', primary: true, verified: true }] });
    const [before, after] = [await me(one), await me(two)];
    assert.equal(after.user.id, before.user.id);
    assert.deepEqual([after.user.name, after.user.email], ['Renamed', 'new@elsewhere.example']);
  });

  test('two first sign-ins at the same moment make one person', async () => {
    const person = allowed();
    const browsers = Array.from({ length: 4 }, () => new Browser(worker));
    const answers = await Promise.all(browsers.map((browser) => browser.signIn(providers, person)));
    assert.deepEqual(answers.map((answer) => answer.status), [303, 303, 303, 303]);
    assert.equal(new Set((await Promise.all(browsers.map(me))).map(({ user }) => user.id)).size, 1);
  });

  test("somebody else's login or address at another provider leads to nobody's account", async () => {
    const email = 'same@allowed.example';
    const [one, two] = [new Browser(worker), new Browser(worker)];
    await one.signIn(providers, allowed({ emails: [{ email, primary: true, verified: true }] }));
    assert.equal((await two.signIn(providers, googler({ email }), { provider: 'google' })).status, 303);
    assert.notEqual((await me(one)).user.id, (await me(two)).user.id);
  });
});

describe('who is not let in', () => {
  const boss = new Browser(null);
  before(async () => {
    boss.worker = worker;
    await boss.signIn(providers, allowed());
  });

  for (const [what, person, options] of [
    ['somebody who is not on the list', githubber()],
    ['somebody with an unverified address of an allowed domain', githubber({ emails: [{ email: 'ceo@allowed.example', primary: true, verified: false }] })],
    ['somebody at Google whose address is unverified', googler({ email: 'ceo@allowed.example', email_verified: false }), { provider: 'google' }],
    ['somebody at Google who is called like an allowed login', googler({ email: 'boss', email_verified: true }), { provider: 'google' }],
    ['somebody with a subdomain of an allowed domain', githubber({ emails: [{ email: 'a@evil.allowed.example', primary: true, verified: true }] })],
    ['somebody with an invitation that does not exist', githubber(), { query: `?invitation=${'0'.repeat(64)}` }],
  ]) {
    test(`${what} reads so, and nothing of them is kept`, async () => {
      const people = async () => (await rows('SELECT count(*) AS n FROM users'))[0].n;
      const known = await people();
      const browser = new Browser(worker);
      await assertError(await browser.signIn(providers, person, options), 403, 'not_invited');
      const page = await browser.get(await browser.leave(providers, person, options), { accept: 'text/html' });
      assert.equal(page.status, 403);
      assert.match(page.headers.get('content-type'), /text\/html/);
      const text = await page.text();
      assert.match(text, options?.query ? /This invitation is no longer good/ : /Coming soon/);
      if (person.login) assert.ok(text.includes(person.login), 'it says as whom one came');
      assert.ok(!browser.cookies.has('errand_session'));
      assert.equal(await people(), known);
      const { org } = await me(boss);
      const entries = () => rows("SELECT user_id, user_name, credential, outcome FROM audit WHERE org_id = ? AND action = 'sign-in' AND outcome <> 'ok' ORDER BY id DESC", org.id);
      const refused = await until(async () => (await entries()).find(({ user_name: name }) => [person.login, person.google?.email, person.google?.sub].includes(name)), 'the refusal in the log of the installation’s org');
      assert.deepEqual([refused.user_id, refused.credential, refused.outcome], [null, options?.provider ?? 'github', '403']);
    });
  }

  test('who was removed from all orgs stays out, though the list still has them', async () => {
    const person = allowed();
    const browser = new Browser(worker);
    await browser.signIn(providers, person);
    const { user } = await me(browser);
    await rows('DELETE FROM members WHERE user_id = ? RETURNING 1', user.id);
    await assertError(await browser.api('/api/auth/me'), 401, 'unauthenticated');
    await assertError(await browser.signIn(providers, person), 403, 'not_invited');
  });
});

describe('a callback', () => {
  const refused = async (answer) => {
    const error = await assertError(answer, 400, 'bad_request');
    assert.match(error.message, /sign in again/i);
    return answer;
  };

  test('counts once', async () => {
    const browser = new Browser(worker);
    const back = await browser.leave(providers, allowed());
    const cookies = new Map(browser.cookies);
    assert.equal((await browser.get(back)).status, 303);
    await refused(await browser.get(back));
    browser.cookies = cookies;
    await refused(await browser.get(back));
  });

  test('counts once, also when it comes several times at once', async () => {
    const browser = new Browser(worker);
    const back = await browser.leave(providers, allowed());
    const cookie = [...browser.cookies].map((pair) => pair.join('=')).join('; ');
    const answers = await Promise.all(Array.from({ length: 5 }, () => worker.fetch(back, { headers: { cookie } })));
    assert.deepEqual(answers.map((answer) => answer.status).sort(), [303, 400, 400, 400, 400]);
  });

  test('counts only in the browser that asked, with its own state', async () => {
    const [victim, attacker] = [new Browser(worker), new Browser(worker)];
    const back = await attacker.leave(providers, allowed());
    await refused(await new Browser(worker).get(back));
    await victim.leave(providers, allowed());
    await refused(await victim.get(back));
    const state = back.match(/state=(\w+)/)[1];
    for (const bad of [back.replace(/state=.*/, ''), back.replace(state, '0'.repeat(64)), back.replace(state, state.toUpperCase()), `${back}&state=${state}`, back.replace(state, '')]) {
      const browser = new Browser(worker);
      browser.cookies = new Map(attacker.cookies);
      await refused(await browser.get(bad));
    }
  });

  test('does not count at the other provider, nor with a cookie that was made up, changed or is too old', async () => {
    const browser = new Browser(worker);
    const back = await browser.leave(providers, allowed());
    const cookie = browser.cookies.get('errand_oauth');
    const tries = ['', 'x', cookie.slice(0, -1), `${cookie}A`, cookie.replace(/\.(.)/, (_, c) => `.${c === '0' ? '1' : '0'}`), JSON.stringify({ state: 'x' })];
    for (const value of tries) await refused(await worker.fetch(back, { headers: { cookie: `errand_oauth=${value}` } }));
    await refused(await worker.fetch(back.replace('github', 'google'), { headers: { cookie: `errand_oauth=${cookie}` } }));
    await refused(await worker.fetch(back.replace(/state=\w+/, 'state='), { headers: { cookie: `errand_oauth=${cookie}` } }));
  });

  test('with a code that the provider does not take is told so, and so is one of another attempt', async () => {
    for (const provider of ['github', 'google']) {
      const browser = new Browser(worker);
      const person = provider === 'github' ? allowed() : googler();
      const back = await browser.leave(providers, person, { provider });
      await refused(await browser.get(back.replace(/code=\w+/, 'code=wrong')));
      // A code that an attacker got for themselves, put into the victim's callback: the verifier is another.
      const theirs = (await new Browser(worker).leave(providers, allowed(), { provider })).match(/code=(\w+)/)[1];
      const again = await browser.leave(providers, person, { provider });
      await refused(await browser.get(again.replace(/code=\w+/, `code=${theirs}`)));
    }
  });

  test('without consent says so', async () => {
    const browser = new Browser(worker);
    const back = await browser.leave(providers, allowed());
    const state = back.match(/state=\w+/)[0];
    await assertError(await browser.get(`/auth/github/callback?error=access_denied&${state}`), 403, 'forbidden');
    assert.ok(!browser.cookies.has('errand_oauth'));
    const other = await browser.leave(providers, allowed());
    const page = await browser.get(`/auth/github/callback?error=%3Cscript%3E&${other.match(/state=\w+/)[0]}`, { accept: 'text/html' });
    assert.equal(page.status, 503);
    assert.ok(!(await page.text()).includes('<script'));
  });

  test('leads nowhere but to our own pages', async () => {
    for (const to of ['https://evil.example', '//evil.example', '/\\evil.example', '/%09/evil.example', 'javascript:alert(1)', '/auth/logout', `/${'a'.repeat(600)}`]) {
      const browser = new Browser(worker);
      const query = `?return=${to.includes('%') ? to : encodeURIComponent(to)}`;
      const answer = await browser.signIn(providers, allowed(), { query });
      assert.equal(answer.headers.get('location'), '/', to);
    }
  });

  test('gives a new secret, and leaves the one that the browser had before alone', async () => {
    const browser = new Browser(worker);
    const person = allowed();
    await browser.signIn(providers, person);
    const first = browser.cookies.get('errand_session');
    await browser.signIn(providers, person);
    assert.notEqual(browser.cookies.get('errand_session'), first);
  });
});

describe('a provider that misbehaves', () => {
  const answer = (status, body, headers = {}) => (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
  for (const [what, path, handler, status, code] of [
    ['an expired code with status 200', '/login/oauth/access_token', answer(200, { error: 'bad_verification_code', error_description: 'x' }), 400, 'bad_request'],
    ['the same as a form', '/login/oauth/access_token', answer(200, 'error=bad_verification_code&error_description=x', { 'content-type': 'application/x-www-form-urlencoded' }), 400, 'bad_request'],
    ['a wrong client secret', '/login/oauth/access_token', answer(200, { error: 'incorrect_client_credentials' }), 503, 'unavailable'],
    ['a token endpoint that fails', '/login/oauth/access_token', answer(502, '<html>Unicorn!</html>'), 503, 'unavailable'],
    ['a token endpoint that says nothing', '/login/oauth/access_token', answer(200, {}), 503, 'unavailable'],
    ['an empty token', '/login/oauth/access_token', answer(200, { access_token: '' }), 503, 'unavailable'],
    ['a token with an error status', '/login/oauth/access_token', answer(500, { access_token: 'x' }), 503, 'unavailable'],
    ['a redirect of the exchange', '/login/oauth/access_token', answer(307, '', { location: 'http://127.0.0.1:9/' }), 503, 'unavailable'],
    ['an answer of megabytes', '/login/oauth/access_token', answer(200, 'x'.repeat(3_000_000)), 503, 'unavailable'],
    ['a token that is refused', '/user', answer(401, { message: 'Bad credentials' }), 503, 'unavailable'],
    ['the rate limit', '/user', answer(403, { message: 'API rate limit exceeded' }, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1' }), 429, 'rate_limited'],
    ['the secondary rate limit', '/user', answer(403, { message: 'secondary' }, { 'retry-after': '60' }), 429, 'rate_limited'],
    ['too many requests', '/user', answer(429, {}, { 'retry-after': '7' }), 429, 'rate_limited'],
    ['a profile without an id', '/user', answer(200, { login: 'boss' }), 503, 'unavailable'],
    ['a profile that is an id in words', '/user', answer(200, { id: '1', login: 'boss' }), 503, 'unavailable'],
    ['a token with a line end', '/login/oauth/access_token', answer(200, { access_token: 'gho_x\r\nx-evil: 1' }), 503, 'unavailable'],
    ['a token that no header could carry', '/login/oauth/access_token', answer(200, { access_token: 'x'.repeat(100_000) }), 503, 'unavailable'],
    ['a login that is none', '/user', answer(200, { id: 1, login: 'a b<script>' }), 503, 'unavailable'],
    ['addresses that are none', '/user/emails', answer(200, ['x\r\n@allowed.example', `${'x'.repeat(300)}@allowed.example`, 'Eve <eve@allowed.example>', 'x\u0000@allowed.example'].map((email) => ({ email, verified: true, primary: true }))), 403, 'not_invited'],
    ['half an answer, and silence', '/user', (_, response) => { response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' }); response.write('{"id":1,'); }, 503, 'unavailable'],
    ['an answer that trickles', '/user', (_, response) => { response.writeHead(200, { 'content-type': 'application/json' }); const drip = setInterval(() => response.write(' '), 200); response.on('close', () => clearInterval(drip)); }, 503, 'unavailable'],
    ['a list of addresses that is none', '/user/emails', answer(200, { message: 'x' }), 503, 'unavailable'],
    ['a broken connection', '/user', (_, response) => response.destroy(), 503, 'unavailable'],
  ]) {
    test(`${what} signs nobody in`, async () => {
      const restore = providers.say(path, handler);
      try {
        const browser = new Browser(worker);
        const error = await assertError(await browser.signIn(providers, allowed()), status, code);
        if (what === 'too many requests') assert.equal(error.details.retryAfter, 7);
        assert.ok(!browser.cookies.has('errand_session'));
        const logged = JSON.stringify(worker.logs());
        assert.ok(!/gho_|client-secret/.test(logged + error.message), 'no secret is shown or logged');
      } finally {
        restore();
      }
    });
  }

  test('who withholds their addresses gets one that reaches nobody', async () => {
    const restore = providers.say('/user/emails', answer(404, { message: 'Not Found' }));
    try {
      const browser = new Browser(worker);
      await browser.signIn(providers, githubber({ id: 77, login: 'boss' }));
      assert.equal((await me(browser)).user.email, '77+boss@users.noreply.github.com');
    } finally {
      restore();
    }
  });

  test('one that never answers is given up', async () => {
    const restore = providers.say('/user', () => {});
    try {
      await assertError(await new Browser(worker).signIn(providers, allowed()), 503, 'unavailable');
    } finally {
      restore();
    }
  });
});

describe('devices', () => {
  const list = async (browser) => (await (await browser.api('/api/auth/sign-ins')).json()).signIns;
  const twice = async () => {
    const person = allowed();
    const browsers = [new Browser(worker), new Browser(worker)];
    const paths = [];
    for (const browser of browsers) paths.push(await browser.leave(providers, person));
    await browsers[0].get(paths[0], { 'user-agent': 'Firefox on the desk' });
    await browsers[1].get(paths[1], { 'user-agent': 'Safari in the pocket' });
    return browsers;
  };

  test('are listed with what they are, and one can be signed out from another', async () => {
    const [desk, pocket] = await twice();
    const devices = await list(desk);
    assert.deepEqual(devices.map(({ device, current }) => [device, current]).sort(), [['Firefox on the desk', true], ['Safari in the pocket', false]]);
    assert.ok(!/[0-9a-f]{64}/.test(JSON.stringify(devices)), 'no hash and no secret');
    const { id } = devices.find(({ current }) => !current);
    for (let n = 0; n < 2; n++) assert.equal((await desk.api(`/api/auth/sign-ins/${id}`, { method: 'DELETE' })).status, 204);
    await assertError(await pocket.api('/api/auth/me'), 401, 'unauthenticated');
    assert.equal((await desk.api('/api/auth/me')).status, 200);
  });

  test("nobody ends another person's sign-in", async () => {
    const [desk] = await twice();
    const [other] = await twice();
    const [{ id }] = await list(desk);
    assert.equal((await other.api(`/api/auth/sign-ins/${id}`, { method: 'DELETE' })).status, 204);
    assert.equal((await desk.api('/api/auth/me')).status, 200);
    await assertError(await other.api('/api/auth/sign-ins/nonsense', { method: 'DELETE' }), 404, 'not_found');
    await assertError(await worker.fetch('/api/auth/sign-ins'), 401, 'unauthenticated');
  });

  test('logging out everywhere ends all of them', async () => {
    const [desk, pocket] = await twice();
    await assertError(await desk.api('/api/auth/sign-ins', { method: 'DELETE', origin: 'https://evil.example' }), 403, 'forbidden');
    assert.equal((await desk.api('/api/auth/sign-ins', { method: 'DELETE' })).status, 204);
    for (const browser of [desk, pocket]) await assertError(await browser.api('/api/auth/me'), 401, 'unauthenticated');
  });

  test('a sign-in that is used lasts longer, and is written once an hour at most', async () => {
    const [desk] = await twice();
    const [{ id }] = (await list(desk)).filter(({ current }) => current);
    const of = async () => (await rows("SELECT used_at, expires_at FROM auth_sessions WHERE 'sgn_' || substr(token_hash, 1, 26) = ?", id))[0];
    const fresh = await of();
    await desk.api('/api/auth/me');
    assert.deepEqual(await of(), fresh);
    const hour = 3_600_000;
    await rows("UPDATE auth_sessions SET used_at = used_at - ?1, expires_at = expires_at - ?1 WHERE 'sgn_' || substr(token_hash, 1, 26) = ?2 RETURNING 1", hour + 1000, id);
    const answer = await desk.api('/api/auth/me');
    assert.match(answer.headers.get('set-cookie'), /errand_session=.*Max-Age=604800/);
    assert.ok((await of()).expires_at >= fresh.expires_at);
    await rows("UPDATE auth_sessions SET expires_at = 1 WHERE 'sgn_' || substr(token_hash, 1, 26) = ? RETURNING 1", id);
    await assertError(await desk.api('/api/auth/me'), 401, 'unauthenticated');
  });
});

test('GET /api/config offers what is configured, and no secret', async () => {
  const text = await (await worker.fetch('/api/config')).text();
  assert.deepEqual(JSON.parse(text).signIn, ['github', 'google']);
  assert.ok(!/client|127\.0\.0\.1/.test(text), text);
});

test('where it is not configured there is no such address', async () => {
  const plain = await startWorker();
  try {
    for (const path of ['/auth/github', '/auth/google/callback?code=x&state=y']) await assertError(await plain.fetch(path), 404, 'not_found');
    await assertError(await plain.fetch('/auth/github', json('POST', {})), 405, 'method_not_allowed');
  } finally {
    await plain.stop();
  }
});
