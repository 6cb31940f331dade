/** What is different where the Worker is not on a developer's machine, and what a wrong configuration says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertError, json, MODEL, ownerOf, startWorker } from './harness.mjs';

async function withWorker(vars, work) {
  const worker = await startWorker({ vars });
  try {
    await work(worker);
    worker.assertNoPanics();
  } finally {
    await worker.stop();
  }
}

test('in production there is no sign-in without a password', () =>
  withWorker({ ENVIRONMENT: 'production', ORIGIN: 'https://errand.example' }, async (worker) => {
    await assertError(await worker.fetch('/auth/dev', json('POST', { login: 'ada' })), 404, 'not_found');
    await assertError(await worker.fetch('/auth/dev', { method: 'POST', body: 'nonsense' }), 404, 'not_found');
    assert.deepEqual((await (await worker.fetch('/api/config')).json()).signIn, []);
  }));

test('in production sessions work on no path of the host that its operator has not opened, and over no open connection', () =>
  withWorker({ ENVIRONMENT: 'production', ORIGIN: 'https://errand.example', LOCAL_REPOSITORIES: '/srv/git, /mnt/repos/', SAMPLE_REPO: '/opt/sample' }, async (worker) => {
    const secret = await ownerOf(worker);
    const create = (url) => {
      const init = json('POST', { repo: { url }, model: MODEL });
      return worker.fetch('/api/sessions', { ...init, headers: { ...init.headers, authorization: `Bearer ${secret}` } });
    };
    for (const url of ['/etc', 'file:///root/x', '/srv/git', '/srv/gitx/a', '/srv/git/../../etc', '/opt', 'http://github.com/a/b']) {
      const error = await assertError(await create(url), 422, 'invalid');
      assert.ok(['repo.url', 'repo'].includes(error.details.field), `${url}: ${error.details.field}`);
    }
    for (const url of ['https://github.com/a/b', '/srv/git/team/app.git', 'file:///mnt/repos/x', '/opt/sample']) assert.equal((await create(url)).status, 201, url);
  }));

test('over https the cookie is for https alone', () =>
  withWorker({ ORIGIN: 'https://errand.example' }, async (worker) => {
    const answer = await worker.fetch('/auth/dev', json('POST', { login: 'ada' }));
    const line = answer.headers.get('set-cookie');
    // `__Host-`: no neighbour under the same domain can set one, so none can sign somebody in as themselves.
    assert.match(line, /^__Host-errand_session=[^;]+; Path=\/; HttpOnly; SameSite=Lax; Secure; /);
    const cookie = line.split(';')[0];
    assert.equal((await worker.fetch('/api/auth/me', { headers: { cookie } })).status, 200);
    await assertError(await worker.fetch('/api/auth/me', { headers: { cookie: cookie.replace('__Host-', '') } }), 401, 'unauthenticated');
    const out = await worker.fetch('/auth/logout', { method: 'POST', headers: { cookie, origin: 'https://errand.example' } });
    assert.match(out.headers.get('set-cookie'), /^__Host-errand_session=; Path=\/; .*Max-Age=0/);
    await assertError(await worker.fetch('/api/auth/me', { headers: { cookie } }), 401, 'unauthenticated');
  }));

test('over https an attempt to sign in is kept for our own host alone', () =>
  withWorker({ ORIGIN: 'https://errand.example', GITHUB_CLIENT_ID: 'id', GITHUB_CLIENT_SECRET: 'secret' }, async (worker) => {
    const sent = await worker.fetch('/auth/github');
    const cookie = sent.headers.get('set-cookie');
    assert.match(cookie, /^__Host-errand_oauth=[^;]+; Path=\/; HttpOnly; SameSite=Lax; Secure; /);
    const state = new URL(sent.headers.get('location')).searchParams.get('state');
    const planted = cookie.split(';')[0].replace('__Host-', '');
    await assertError(await worker.fetch(`/auth/github/callback?code=x&state=${state}`, { headers: { cookie: planted } }), 400, 'bad_request');
  }));

for (const [what, vars, name] of [
  ['a missing variable', { ORIGIN: null }, 'ORIGIN'],
  ['a master key that is none', { MASTER_KEY: 'secret-but-short' }, 'MASTER_KEY'],
  ['an environment that does not exist', { ENVIRONMENT: 'prodution' }, 'ENVIRONMENT'],
  ['a model list that is not JSON', { MODELS: '[{]' }, 'MODELS'],
]) {
  test(`${what} is named in the log, and not to strangers`, () =>
    withWorker(vars, async (worker) => {
      const error = await assertError(await worker.fetch('/api/config'), 500, 'internal');
      assert.ok(!error.message.includes(name));
      const logged = worker.logs().map((entry) => entry.message).join('\n');
      assert.ok(logged.includes(name) && logged.includes(error.requestId), logged);
      assert.ok(!logged.includes('secret-but-short'));
    }));
}
