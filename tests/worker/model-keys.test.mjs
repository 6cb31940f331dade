/** Provider keys and the models they open: who may store them, what is verified, which key wins, what never comes out. */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertError, MASTER_KEY, member, ownerOf, startServer, startWorker, until, workingSandbox } from './harness.mjs';
import { startRestartable } from './restartable.mjs';
import { attach } from './stand-ins.mjs';

const MASTER = MASTER_KEY;
const KEYS = { own: 'sk-own-000000000000-OWN1', org: 'sk-org-000000000000-ORG1', installation: 'sk-inst-00000000000-INST' };

let worker;
let vendors;
/** What the vendors say of a key: `(request) => ({status, body, headers})`, `hang` or `drop`. */
let say;
const seen = () => vendors.requests;

/** A stand-in for all vendors: `/anthropic/v1/models`, `/openai/v1/models`, `/google/v1beta/models`, `/openrouter/api/v1/key`. */
const usual = (request) => {
  const known = (key) => [...Object.values(KEYS), 'sk-custom-00000000-CUST'].includes(key);
  const { authorization = '' } = request.headers;
  const bearer = authorization.replace('Bearer ', '');
  if (request.method === 'POST') return { status: 200, body: { choices: [{ finish_reason: 'stop' }], usage: { prompt_tokens: 1, completion_tokens: 1 } } };
  if (request.url.startsWith('/anthropic/')) return known(request.headers['x-api-key']) && request.headers['anthropic-version'] ? { status: 200, body: { data: [{ id: 'claude-sonnet-4-5', type: 'model' }], has_more: false } } : { status: 401, body: { type: 'error', error: { type: 'authentication_error', message: 'invalid x-api-key' } } };
  if (request.url.startsWith('/google/')) return known(request.headers['x-goog-api-key']) ? { status: 200, body: { models: [{ name: 'models/gemini-2.5-pro' }] } } : { status: 400, body: { error: { code: 400, status: 'INVALID_ARGUMENT', message: 'API key not valid.' } } };
  if (request.url === '/openrouter/api/v1/key') return known(bearer) ? { status: 200, body: { data: { label: 'x', usage: 0, limit: null } } } : { status: 401, body: { error: { message: 'User not found.', code: 401 } } };
  if (/^\/(custom|openai|acme)\//.test(request.url)) return known(bearer) ? { status: 200, body: { object: 'list', data: [{ id: 'llama-3', object: 'model' }, { id: 'not a name' }] } } : { status: 401, body: { error: { message: 'Incorrect API key provided', code: 'invalid_api_key' } } };
  return { status: 404, body: {} };
};

const start = (vars = {}) =>
  startWorker({
    vars: {
      MASTER_KEY: MASTER,
      MODELS: JSON.stringify([
        { provider: 'acme', model: 'large', name: 'Large', dialect: 'openai', baseUrl: `${vendors.url}/acme/v1`, apiKey: KEYS.installation },
        { provider: 'acme', model: 'locked', name: 'Locked', dialect: 'openai', baseUrl: `${vendors.url}/acme/v1`, needsKey: true, efforts: true },
      ]),
      MODEL_PROVIDERS: JSON.stringify({
        anthropic: `${vendors.url}/anthropic/v1`, openai: `${vendors.url}/openai/v1`,
        google: `${vendors.url}/google/v1beta`, openrouter: `${vendors.url}/openrouter/api/v1`,
      }),
      ...vars,
    },
  });

before(async () => {
  say = usual;
  vendors = await startServer(async (request, response) => {
    const said = await say(request);
    if (said === 'hang') return;
    if (said === 'drop') return response.destroy();
    response.writeHead(said.status, { 'content-type': 'application/json', ...said.headers });
    response.end(typeof said.body === 'string' ? said.body : JSON.stringify(said.body ?? {}));
  });
  worker = await start();
});
afterEach(() => {
  say = usual;
  worker.assertNoPanics();
});
after(async () => {
  await worker.stop();
  await vendors.stop();
});

const put = (person, provider, body, at = '/api/model-keys') => person.api(`${at}/${provider}`, { method: 'PUT', body });
const models = async (person) => (await (await person.api('/api/models')).json());
const model = async (person, id) => (await models(person)).models.find((choice) => choice.id === id);
const ok = async (response) => {
  assert.ok(response.ok, await response.clone().text());
  return response.status === 204 ? null : response.json();
};

describe('a key', () => {
  for (const [provider, check] of [['anthropic', '/anthropic/v1/models?limit=1'], ['openai', '/openai/v1/models'], ['google', '/google/v1beta/models?pageSize=1'], ['openrouter', '/openrouter/api/v1/key']]) {
    test(`of ${provider} is verified, stored and not shown`, async () => {
      const me = await worker.signIn();
      const locked = (await models(me)).models.filter(({ id }) => id.startsWith(`${provider}/`));
      assert.ok(locked.length > 0 && locked.every((choice) => choice.locked && choice.lock === 'no_key'));
      const answer = await put(me, provider, { key: KEYS.own });
      const text = await answer.text();
      assert.equal(answer.status, 200, text);
      const stored = JSON.parse(text);
      assert.deepEqual([stored.provider, stored.lastFour, stored.by.id], [provider, 'OWN1', me.user.id]);
      assert.equal(seen().at(-1).url, check);
      const list = await (await me.api('/api/model-keys')).text();
      for (const answered of [text, list]) assert.ok(!answered.includes(KEYS.own.slice(0, 12)), answered);
      assert.equal(JSON.parse(list).keys.length, 1);
      const open = (await models(me)).models.filter(({ id }) => id.startsWith(`${provider}/`));
      assert.ok(open.every((choice) => !choice.locked && choice.key === 'own'));
      const { DB } = await worker.env();
      const { results } = await DB.prepare('SELECT * FROM model_keys').all();
      assert.ok(!JSON.stringify(results).includes(KEYS.own));

      const refused = await assertError(await put(me, provider, { key: 'sk-somebody-elses-key' }), 422, 'invalid');
      assert.match(refused.message, /refuses this key/);
      assert.equal((await (await me.api('/api/model-keys')).json()).keys[0].lastFour, 'OWN1', 'the one that was there stays');
      for (let n = 0; n < 2; n += 1) assert.equal((await me.api(`/api/model-keys/${provider}`, { method: 'DELETE' })).status, 204);
      assert.equal((await model(me, open[0].id)).locked, true);
    });
  }

  test('of a provider that nobody knows needs an address, and brings its models', async () => {
    const me = await worker.signIn();
    const baseUrl = `${vendors.url}/custom/v1/`;
    assert.match((await assertError(await put(me, 'mine', { key: 'sk-custom-00000000-CUST' }), 422, 'invalid')).message, /say where/);
    assert.match((await assertError(await put(me, 'openai', { key: KEYS.own, baseUrl }), 422, 'invalid')).message, /known by name/);
    assert.match((await assertError(await put(me, 'acme', { key: KEYS.own, baseUrl }), 422, 'invalid')).message, /known by name/);
    const stored = await ok(await put(me, 'mine', { key: 'sk-custom-00000000-CUST', baseUrl }));
    assert.equal(stored.baseUrl, `${vendors.url}/custom/v1`);
    assert.deepEqual((await models(me)).models.filter(({ id }) => id.startsWith('mine/')).map(({ id, key }) => [id, key]), [['mine/llama-3', 'own']]);
    const sandbox = await workingSandbox(worker, me);
    assert.equal((await ask(sandbox, 'mine', 'llama-3')).status, 200);
    assert.equal(seen().at(-1).url, '/custom/v1/chat/completions');
    assert.equal(seen().at(-1).headers.authorization, 'Bearer sk-custom-00000000-CUST');
  });

  for (const [what, said, status, code, message] of [
    ['answers nonsense', { status: 200, body: '<html>' }, 422, 'invalid', /does not answer as/],
    ['answers an array', { status: 200, body: '[]' }, 422, 'invalid', /does not answer as/],
    ['names no models', { status: 200, body: { data: [] } }, 422, 'invalid', /names no models/],
    ['has no list', { status: 404 }, 422, 'invalid', /no list of models at/],
    ['is asked too often', { status: 429 }, 429, 'rate_limited', /too often/],
    ['is broken', { status: 500 }, 503, 'unavailable', /answers 500/],
    ['says much too much', { status: 200, body: JSON.stringify({ data: 'x'.repeat(3_000_000) }) }, 422, 'invalid', /does not answer/],
  ]) {
    test(`is not stored when the provider ${what}`, async () => {
      const me = await worker.signIn();
      say = () => said;
      const error = await assertError(await put(me, 'mine', { key: KEYS.own, baseUrl: `${vendors.url}/custom/v1` }), status, code);
      assert.match(error.message, message);
      assert.ok(!JSON.stringify(error).includes(KEYS.own));
      assert.deepEqual((await (await me.api('/api/model-keys')).json()).keys, []);
    });
  }

  test('does not follow a redirect', async () => {
    // Not in the test harness, which stands between the Worker and the network and follows it by itself.
    const alone = await startRestartable();
    try {
      const me = await alone.signIn();
      let elsewhere = 0;
      say = (request) => {
        if (request.url.includes('elsewhere')) elsewhere += 1;
        return { status: 302, headers: { location: `${vendors.url}/elsewhere` } };
      };
      const error = await assertError(await put(me, 'mine', { key: KEYS.own, baseUrl: `${vendors.url}/custom/v1` }), 422, 'invalid');
      assert.match(error.message, /sends us elsewhere/);
      assert.equal(elsewhere, 0);
    } finally {
      await alone.stop();
    }
  });

  test('what is malformed is refused before anybody is asked', async () => {
    const me = await worker.signIn();
    const before = seen().length;
    for (const body of [{}, '[]', '{', { key: 7 }, { key: KEYS.own, more: 1 }]) await assertError(await put(me, 'openai', body), 400, 'bad_request');
    for (const key of ['', 'short', 'with spaces in it', 'x'.repeat(513), 'grüße-grüße-grüße']) await assertError(await put(me, 'openai', { key }), 422, 'invalid');
    for (const baseUrl of ['ftp://x/v1', 'https://user:pass@x/v1', 'https://x/v1?key=1', 'https://x/../v1', 'x', `https://x/${'y'.repeat(3000)}`]) {
      await assertError(await put(me, 'mine', { key: KEYS.own, baseUrl }), 422, 'invalid');
    }
    for (const provider of ['UPPER', 'a%2fb', '-x', 'x'.repeat(33), 'a b']) await assertError(await put(me, provider, { key: KEYS.own, baseUrl: 'https://x.example/v1' }), 422, 'invalid');
    await assertError(await put(me, 'openai', `{"key":"${'x'.repeat(1024 * 1024)}"}`), 413, 'too_large');
    assert.equal(seen().length, before);
  });
});

const ask = (sandbox, provider, name) =>
  worker.fetch(`/llm/${provider}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: name, messages: [] }),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${sandbox.token}` },
  });
const shown = () => seen().at(-1).headers.authorization.replace('Bearer ', '');

test("the owner's key wins over the org's, and that over the installation's", async () => {
  const chief = await worker.signIn();
  const org = (await (await chief.api('/api/auth/me')).json()).org.id;
  const me = await member(worker, org, 'member');
  const sandbox = await workingSandbox(worker, me);
  const used = async () => {
    assert.equal((await ask(sandbox, 'acme', 'large')).status, 200);
    return shown();
  };
  assert.equal(await used(), KEYS.installation);
  assert.equal((await model(me, 'acme/large')).key, 'installation');
  assert.equal((await ask(sandbox, 'acme', 'locked')).status, 403, 'nobody has stored a key for it');
  await ok(await put(chief, 'acme', { key: KEYS.org }, '/api/admin/model-keys'));
  assert.equal(await used(), KEYS.org);
  assert.equal((await ask(sandbox, 'acme', 'locked')).status, 200);
  await ok(await put(me, 'acme', { key: KEYS.own }));
  assert.equal(await used(), KEYS.own);
  assert.equal((await model(me, 'acme/large')).key, 'own');
  assert.equal((await model(chief, 'acme/large')).key, 'org', 'a key is good for its own person only');
  await ok(await me.api('/api/model-keys/acme', { method: 'DELETE' }));
  assert.equal(await used(), KEYS.org);
  await ok(await chief.api('/api/admin/model-keys/acme', { method: 'DELETE' }));
  assert.equal(await used(), KEYS.installation);
});

test('each use is in the audit log once for a key, a session and an hour, and never with the key', async () => {
  const me = await worker.signIn();
  await ok(await put(me, 'openai', { key: KEYS.own }));
  const sandbox = await workingSandbox(worker, me);
  for (let n = 0; n < 3; n += 1) assert.equal((await ask(sandbox, 'openai', 'gpt-4.1')).status, 200);
  const uses = () => until(async () => {
    const text = await (await me.api('/api/admin/audit?action=USE')).text();
    assert.ok(!text.includes(KEYS.own));
    const { entries } = JSON.parse(text);
    return entries.length > 0 && entries;
  }, 'a use in the audit log');
  const [use, ...more] = await uses();
  assert.deepEqual([use.action, use.target, use.userId, more.length], ['USE model-key openai', sandbox.session, me.user.id, 0]);
  const { usedAt } = await until(async () => {
    const { keys } = await (await me.api('/api/model-keys')).json();
    return keys[0].usedAt && keys[0];
  }, 'the time of the last use');
  assert.ok(Math.abs(Date.now() - Date.parse(usedAt)) < 60_000);
  const puts = await (await me.api(`/api/admin/audit?action=${encodeURIComponent('PUT /api/model-keys')}`)).json();
  assert.deepEqual(puts.entries.map(({ target, details }) => [target, details]), [['openai', { for: 'oneself' }]]);
});

test('who may', async () => {
  const chief = await worker.signIn();
  const org = (await (await chief.api('/api/auth/me')).json()).org.id;
  const [viewer, plain, admin] = [await member(worker, org, 'viewer'), await member(worker, org, 'member'), await member(worker, org, 'admin')];
  const body = { key: KEYS.org };
  for (const [target, method] of [['/api/admin/model-keys', 'GET'], ['/api/admin/model-keys/openai', 'PUT'], ['/api/admin/model-keys/openai', 'DELETE']]) {
    for (const who of [viewer, plain]) await assertError(await who.api(target, { method, ...(method === 'PUT' && { body }) }), 403, 'forbidden');
    await assertError(await worker.fetch(target, { method, ...(method === 'PUT' && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }) }), 401, 'unauthenticated');
  }
  for (const [target, method] of [['/api/model-keys', 'GET'], ['/api/model-keys/openai', 'PUT'], ['/api/model-keys/openai', 'DELETE']]) {
    await assertError(await viewer.api(target, { method, ...(method === 'PUT' && { body }) }), 403, 'forbidden');
  }
  await assertError(await worker.fetch('/api/models'), 401, 'unauthenticated');
  await ok(await put(admin, 'openai', body, '/api/admin/model-keys'));
  assert.deepEqual((await (await plain.api('/api/model-keys')).json()).org, ['openai']);
  assert.deepEqual((await (await plain.api('/api/model-keys')).json()).keys, []);
  assert.equal((await (await chief.api('/api/admin/model-keys')).json()).keys[0].lastFour, 'ORG1');
  const stranger = await worker.signIn();
  assert.deepEqual((await (await stranger.api('/api/admin/model-keys')).json()).org, []);
  const made = await ok(await plain.api('/api/keys', { method: 'POST', body: { name: 'k', scopes: ['sessions:read', 'sessions:write'] } }));
  const byKey = await worker.fetch('/api/model-keys/openai', { method: 'PUT', body: JSON.stringify(body), headers: { 'content-type': 'application/json', authorization: `Bearer ${made.key}` } });
  await assertError(byKey, 403, 'forbidden');
});

test('what a role may use is refused by list, by creation, by prompt and by the proxy; the org chooses a default', async () => {
  const chief = await worker.signIn();
  const org = (await (await chief.api('/api/auth/me')).json()).org.id;
  const me = await member(worker, org, 'member');
  await ok(await put(chief, 'openai', { key: KEYS.org }, '/api/admin/model-keys'));
  const before = await workingSandbox(worker, me);
  assert.equal((await ask(before, 'openai', 'gpt-5-mini')).status, 200);
  await ok(await chief.api('/api/admin/settings', { method: 'PUT', body: { defaultModel: 'openai/gpt-4.1', allowedModels: { member: ['openai/gpt-4.1', 'acme/*'] } } }));
  const list = await models(me);
  assert.equal(list.default, 'openai/gpt-4.1');
  const lock = (id) => list.models.find((choice) => choice.id === id).lock;
  assert.deepEqual([lock('openai/gpt-4.1'), lock('openai/gpt-5-mini'), lock('acme/large')], [undefined, 'policy', undefined]);
  assert.equal((await models(chief)).models.find(({ id }) => id === 'openai/gpt-5-mini').locked, false);
  const create = (body) => me.api('/api/sessions', { method: 'POST', body });
  await assertError(await create({ model: 'openai/gpt-5-mini' }), 403, 'forbidden');
  await assertError(await create({ model: 'anthropic/claude-sonnet-4-5' }), 403, 'forbidden');
  await assertError(await create({ model: 'openai/gpt-9' }), 422, 'invalid');
  await assertError(await create({ model: 'openai/gpt-4.1@high' }), 422, 'invalid');
  const made = await (await create({})).json();
  assert.equal(made.model, 'openai/gpt-4.1');
  await assertError(await me.api(`/api/sessions/${made.id}/prompts`, { method: 'POST', body: { text: 'x', model: 'openai/gpt-5-mini' } }), 403, 'forbidden');
  const viewer = await attach(worker, me, made.id);
  const prompt = (id, over) => viewer.command({ type: 'prompt', promptId: `prm_${id}`, text: 'x', ...over });
  const bySocket = await Promise.all([prompt('A', { model: 'openai/gpt-5-mini' }), prompt('B', { model: 'openai/gpt-9' }), prompt('C', { model: 'openai/gpt-4.1' }), prompt('D')]);
  assert.deepEqual(bySocket.map(({ type, code }) => code ?? type), ['forbidden', 'invalid', 'ack', 'ack']);
  const refused = await ask(before, 'openai', 'gpt-5-mini');
  assert.equal(refused.status, 403);
  assert.match((await refused.json()).error.message, /does not let people of this role/);
  for (const body of [{ allowedModels: { member: ['x'] } }, { defaultModel: 'x' }]) await assertError(await chief.api('/api/admin/settings', { method: 'PUT', body }), 422, 'invalid');
  for (const body of [{ allowedModels: { boss: [] } }, { allowedModels: [] }]) await assertError(await chief.api('/api/admin/settings', { method: 'PUT', body }), 400, 'bad_request');
  await assertError(await chief.api(`/api/admin/settings/users/${me.user.id}`, { method: 'PUT', body: { allowedModels: { member: ['*'] } } }), 422, 'invalid');
  await ok(await chief.api('/api/admin/settings', { method: 'PUT', body: {} }));
  assert.ok((await create({ model: 'openai/gpt-5@high' })).ok, 'an effort where it is supported');
});

test('a default model that nobody could use is refused, wherever it is said', async () => {
  const chief = await worker.signIn();
  const org = (await (await chief.api('/api/auth/me')).json()).org.id;
  const [me, plain] = [await member(worker, org, 'member'), await member(worker, org, 'member')];
  const group = await ok(await chief.api('/api/groups', { method: 'POST', body: { name: 'Some' } }));
  const set = (body, of = '') => chief.api(`/api/admin/settings${of}`, { method: 'PUT', body });
  const refused = async (answer, words) => {
    const error = await assertError(answer, 422, 'invalid');
    assert.equal(error.details.field, 'defaultModel');
    assert.match(error.message, words);
  };
  for (const of of ['', `/groups/${group.id}`, `/users/${me.user.id}`]) {
    await refused(await set({ defaultModel: 'nope/nope' }, of), /not one of the models/);
    await refused(await set({ defaultModel: 'acme/large@high' }, of), /how much to think/);
    await refused(await set({ defaultModel: 'openai/gpt-4.1' }, of), /no key of openai/);
    await ok(await set({ defaultModel: 'acme/large' }, of));
  }
  // Somebody's own key is enough for all together, and for them; not for somebody else.
  await ok(await put(me, 'openai', { key: KEYS.own }));
  await ok(await set({ defaultModel: 'openai/gpt-4.1' }));
  await ok(await set({ defaultModel: 'openai/gpt-4.1' }, `/groups/${group.id}`));
  await ok(await set({ defaultModel: 'openai/gpt-4.1' }, `/users/${me.user.id}`));
  await refused(await set({ defaultModel: 'openai/gpt-4.1' }, `/users/${plain.user.id}`), /no key of openai/);
  // What the org allows counts as it is then; a default from before stands in nobody's way.
  const only = (pattern) => Object.fromEntries(['member', 'admin', 'owner'].map((role) => [role, [pattern]]));
  await refused(await set({ defaultModel: 'openai/gpt-4.1', allowedModels: only('acme/*') }), /may use/);
  await ok(await set({ defaultModel: 'acme/large', allowedModels: only('acme/*') }));
  await refused(await set({ defaultModel: 'openai/gpt-5' }, `/groups/${group.id}`), /may use/);
  await ok(await set({ defaultModel: 'openai/gpt-4.1', personDailySessions: 7 }, `/groups/${group.id}`));
  assert.deepEqual(await (await chief.api('/api/admin/settings')).json(), { defaultModel: 'acme/large', allowedModels: only('acme/*') });
});

test('a default may be a model of a provider that came with a key', async () => {
  const chief = await worker.signIn();
  await ok(await put(chief, 'mine', { key: KEYS.org, baseUrl: `${vendors.url}/custom/v1` }, '/api/admin/model-keys'));
  const [{ id }] = (await models(chief)).models.filter((choice) => choice.id.startsWith('mine/'));
  await ok(await chief.api('/api/admin/settings', { method: 'PUT', body: { defaultModel: id } }));
  assert.equal((await models(chief)).default, id);
  await assertError(await chief.api('/api/admin/settings', { method: 'PUT', body: { defaultModel: 'mine/another' } }), 422, 'invalid');
});

test('a key that was sealed with the previous master key is used, and sealed anew', async () => {
  // Two installations over one database are not to be had here: the row is copied to one whose key is new.
  const me = await worker.signIn();
  const { DB } = await worker.env();
  const org = (await (await me.api('/api/auth/me')).json()).org.id;
  const rotated = await start({ MASTER_KEY: 'b2'.repeat(32), MASTER_KEY_PREVIOUS: MASTER });
  try {
    await ok(await put(me, 'openai', { key: KEYS.own }));
    const [row] = (await DB.prepare('SELECT * FROM model_keys WHERE org_id = ?').bind(org).all()).results;
    const other = await rotated.signIn();
    const { DB: NEW } = await rotated.env();
    const otherOrg = (await (await other.api('/api/auth/me')).json()).org.id;
    // The place is part of the seal: person and org have to be the same.
    await NEW.batch([
      NEW.prepare('INSERT INTO users SELECT ?1, ?2, name, email, created_at FROM users WHERE id = ?3').bind(me.user.id, `u-${crypto.randomUUID()}`, other.user.id),
      NEW.prepare('INSERT INTO orgs SELECT ?1, name, created_at FROM orgs WHERE id = ?2').bind(org, otherOrg),
      NEW.prepare("INSERT INTO members (org_id, user_id, role, created_at) VALUES (?1, ?2, 'owner', 0)").bind(org, me.user.id),
      NEW.prepare('UPDATE auth_sessions SET org_id = ?1, user_id = ?2').bind(org, me.user.id),
      NEW.prepare(`INSERT INTO model_keys (${Object.keys(row).join(', ')}) VALUES (${Object.keys(row).map(() => '?').join(', ')})`).bind(...Object.values(row)),
    ]);
    const sandbox = await workingSandbox({ ...rotated, signIn: () => other }, other);
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${tokenOf(sandbox, 'b2'.repeat(32))}` };
    const answer = await rotated.fetch('/llm/openai/v1/chat/completions', { method: 'POST', body: JSON.stringify({ model: 'gpt-4.1' }), headers });
    assert.equal(answer.status, 200, await answer.text());
    assert.equal(shown(), KEYS.own);
    await until(async () => (await NEW.prepare('SELECT sealed FROM model_keys').first()).sealed !== row.sealed, 'the new seal');
    rotated.assertNoPanics();
  } finally {
    await rotated.stop();
  }
});

const tokenOf = (sandbox, master) => {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: sandbox.session, org: sandbox.org, gen: 1, aud: ['runner', 'llm'], exp: now + 600, iat: now })}`;
  const key = crypto.createHmac('sha256', Buffer.from(master, 'hex')).update(`sandbox-token:${sandbox.session}`).digest();
  return `${signed}.${crypto.createHmac('sha256', key).update(signed).digest('base64url')}`;
};

test('in production no inner address is asked', async () => {
  const production = await start({ ENVIRONMENT: 'production', ORIGIN: 'https://errand.test' });
  try {
    const secret = await ownerOf(production);
    const before = seen().length;
    for (const baseUrl of [`${vendors.url}/custom/v1`, vendors.url.replace('http', 'https'), 'https://169.254.169.254/v1', 'https://[::1]/v1', 'https://metadata.google.internal/v1', 'https://2130706433/v1']) {
      const answer = await production.fetch('/api/model-keys/mine', {
        method: 'PUT', body: JSON.stringify({ key: KEYS.own, baseUrl }),
        headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
      });
      await assertError(answer, 422, 'invalid');
    }
    assert.equal(seen().length, before);
    production.assertNoPanics();
  } finally {
    await production.stop();
  }
});
