/**
 * Runs the built Worker in real workerd for one test file: `const worker = await startWorker()` in `before`,
 * `await worker.stop()` in `after`, `worker.assertNoPanics()` in `afterEach`. Storage is new for each start.
 *
 * The build is taken from `ERRAND_BUILD_DIR`, or `build/` of the clone; `node scripts/build.mjs worker` makes it.
 * Waiting is always for something (a frame, a close, an answer) with a time limit that only ends a failing test.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { createTestHarness } from 'wrangler';
import { WebSocket } from 'ws';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
/** The built Worker. */
export const BUILD = path.resolve(ROOT, process.env.ERRAND_BUILD_DIR ?? 'build');
const WORK = path.join(ROOT, 'target', 'worker-tests');

/** How long a test waits for something before it fails. */
export const PATIENCE = 10_000;
/** The Worker's origin as it is configured here; the real address has a port that is known only later. */
export const ORIGIN = 'http://errand.test';
/** The models of the test installation, without their addresses. */
export const MODEL = 'demo/scripted';
export const MASTER_KEY = '5e'.repeat(32);
export const PROVIDER_KEY = 'sk-the-providers-own-key';

/** Starts the Worker. `vars` replace or add variables; a value of `null` leaves one out. */
export async function startWorker({ vars = {} } = {}) {
  const { configPath, prebuiltWorkerDir } = await prebuilt();
  const chosen = Object.fromEntries(Object.entries({ ...defaultVars(), ...vars }).filter(([, value]) => value !== null));
  const server = createTestHarness({ workers: [{ configPath, prebuiltWorkerDir, vars: chosen }] });
  const { url } = await server.listen();
  const handle = server.getWorker();
  await handle.applyD1Migrations('DB');
  const client = clientOf(url.origin);
  return {
    ...client,
    /** Throws an object's memory away; its sockets hibernate unless `webSockets` says `close`. */
    evict: (binding, name, webSockets = 'hibernate') => handle.evictDurableObject(binding, { name, webSockets }),
    /** The bindings: `DB`, `FILES` and the objects' namespaces. */
    env: () => handle.getEnv(),
    logs: () => server.getLogs(),
    /** A panic or an uncaught exception resets every object of the isolate: none may ever happen. */
    assertNoPanics() {
      const bad = server.getLogs().filter((entry) => /Critical|panic|Reinitializing|Uncaught/.test(entry.message));
      server.clearLogs();
      assert.deepEqual(bad, []);
    },
    async stop() {
      client.hangUp();
      await server.close();
    },
  };
}

/** How a test talks to a Worker at `base`: `fetch`, `signIn`, `socket`; `hangUp()` ends all its sockets. */
export function clientOf(base) {
  const sockets = new Set();
  const request = (target, init = {}) => fetch(new URL(target, base), { redirect: 'manual', ...init });
  return {
    url: base,
    fetch: request,
    /** Signs in and returns `{token, user, cookie, api}`; `api` sends JSON with the token. */
    async signIn(login = `user-${crypto.randomBytes(6).toString('hex')}`) {
      const response = await request('/auth/dev', json('POST', { login }));
      assert.equal(response.status, 200, await response.clone().text());
      const { token, user } = await response.json();
      const cookie = response.headers.get('set-cookie').split(';')[0];
      const api = (target, { method = 'GET', body, headers } = {}) =>
        request(target, {
          ...(body === undefined ? { method } : json(method, body)),
          headers: { ...(body !== undefined && { 'content-type': 'application/json' }), authorization: `Bearer ${token}`, ...headers },
        });
      return { login, token, user, cookie, api };
    },
    /** Opens a WebSocket; see [`Socket`]. */
    socket(target, { token, protocols, headers } = {}) {
      const socket = new Socket(new URL(target, base.replace('http', 'ws')), protocols, {
        ...(token && { authorization: `Bearer ${token}` }),
        ...headers,
      });
      sockets.add(socket);
      return socket;
    },
    hangUp: () => sockets.forEach((socket) => socket.terminate()),
  };
}

/** The variables of a test installation; nothing in it reaches the network. */
export function defaultVars() {
  return {
    ENVIRONMENT: 'development',
    ORIGIN,
    MASTER_KEY,
    // Nothing listens on the discard port: tests that need a host or a model start their own.
    SANDBOX_HOST_URL: 'http://127.0.0.1:9',
    SANDBOX_HOST_SECRET: 'host-secret',
    RUNNER_URL: 'ws://errand.test',
    MODELS: models('http://127.0.0.1:9/v1'),
  };
}

/** The variable `MODELS` with two providers, one of each dialect, at these addresses. */
export function models(openaiUrl, anthropicUrl = openaiUrl) {
  return JSON.stringify([
    { provider: 'demo', model: 'scripted', name: 'Demo', demo: true, dialect: 'openai', baseUrl: openaiUrl, apiKey: PROVIDER_KEY, context: 128000, output: 8192 },
    { provider: 'claude', model: 'c1', name: 'C1', dialect: 'anthropic', baseUrl: anthropicUrl, apiKey: PROVIDER_KEY },
    { provider: 'open', model: 'm', name: 'M', dialect: 'openai', baseUrl: openaiUrl },
  ]);
}

/** `fetch` options for a JSON body. */
export function json(method, body) {
  return {
    method,
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  };
}

/** Fails unless the answer is the API's error with this status and code; returns the error. */
export async function assertError(response, status, code) {
  const text = await response.text();
  assert.equal(response.status, status, text);
  const { error } = JSON.parse(text);
  assert.equal(error.code, code, text);
  assert.ok(error.message.length > 0);
  assert.match(error.requestId, /^req_[0-9A-Z]{26}$/);
  assert.equal(response.headers.get('x-request-id'), error.requestId);
  return error;
}

/** A sandbox token as the Worker would mint it; `claims` and `key` can be bent to forge one. */
export function sandboxToken(session, { claims = {}, key = MASTER_KEY, header = { alg: 'HS256', typ: 'JWT' } } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = { sub: session, org: 'org_1', gen: 1, aud: ['runner', 'llm', 'git'], exp: now + 600, iat: now, ...claims };
  const signed = `${part(header)}.${part(body)}`;
  const sessionKey = crypto.createHmac('sha256', Buffer.from(key, 'hex')).update(`sandbox-token:${session}`).digest();
  return `${signed}.${crypto.createHmac('sha256', sessionKey).update(signed).digest('base64url')}`;
}

/** Makes a session that works, and the token of its sandbox: `{me, org, session, token, claims}`. */
export async function workingSandbox(client, me) {
  me ??= await client.signIn();
  const org = (await (await me.api('/api/auth/me')).json()).org.id;
  const made = await me.api('/api/sessions', { method: 'POST', body: { prompt: 'work' } });
  assert.equal(made.status, 201, await made.clone().text());
  const session = (await made.json()).id;
  return { me, org, session, token: sandboxToken(session, { claims: { org } }), claims: { org } };
}

/** A new session id. */
export const newSessionId = () => `ses_${crypto.randomBytes(13).toString('hex').toUpperCase()}`;

/**
 * What the SessionAgents of `owner` do with the index of their org: `summary(over)` makes a session, `apply` sends it
 * to the SessionRegistry.
 */
export function indexOf(worker, org, owner) {
  const summary = (over = {}) => ({
    id: newSessionId(), title: 'Fix it', phase: 'running', activity: 'thinking', model: MODEL, owner,
    createdAt: '2026-11-21T06:00:00.000Z', updatedAt: '2026-11-21T06:00:01.000Z', headSeq: 1, queue: 0, ...over,
  });
  const apply = async (session) => {
    const { SESSION_REGISTRY } = await worker.env();
    const stub = SESSION_REGISTRY.get(SESSION_REGISTRY.idFromName(org));
    const answer = await stub.fetch('https://do/apply', { method: 'POST', body: JSON.stringify({ session }) });
    assert.equal(answer.status, 200, await answer.clone().text());
    return answer.json();
  };
  return { summary, apply };
}

/** An HTTP server on a free port; `handle(request, response, body)` answers. Resolves to `{url, requests, stop()}`. */
export async function startServer(handle) {
  const requests = [];
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return; // The Worker gave up on it.
    }
    const body = Buffer.concat(chunks);
    requests.push({ method: request.method, url: request.url, headers: request.headers, body });
    await handle(request, response, body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(resolve);
      }),
  };
}

/** Resolves with what `probe` returns as soon as that is truthy; asks again only after the previous answer. */
export async function until(probe, what) {
  const deadline = Date.now() + PATIENCE;
  while (Date.now() < deadline) {
    const found = await probe();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return assert.fail(`never happened: ${what}`);
}

/** A WebSocket that keeps all frames it received. */
class Socket {
  #socket;
  #waiting = new Set();

  constructor(url, protocols, headers) {
    this.frames = [];
    this.#socket = new WebSocket(url, protocols, { headers });
    this.#socket.on('message', (data) => {
      const text = data.toString();
      this.frames.push(text.startsWith('{') ? JSON.parse(text) : text);
      this.#wake();
    });
    /** Resolves to `{code, reason}`, also when the upgrade was refused. */
    this.closed = new Promise((resolve) => {
      this.#socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    /** Resolves to the subprotocol; rejects with `{status, body}` when the upgrade is refused. */
    this.opened = new Promise((resolve, reject) => {
      this.#socket.on('open', () => resolve(this.#socket.protocol));
      this.#socket.on('unexpected-response', (_, response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('end', () => reject({ status: response.statusCode, body: Buffer.concat(chunks).toString() }));
      });
      this.#socket.on('error', reject);
    });
    this.opened.catch(() => {});
  }

  /** The next frame for which `wanted` holds, counting those that are there already and were not returned before. */
  next(wanted = () => true, what = 'a frame') {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(check);
        reject(new Error(`never came: ${what}; frames: ${JSON.stringify(this.frames.slice(-5))}`));
      }, PATIENCE);
      const check = () => {
        const index = this.frames.findIndex((frame) => !this.seen.has(frame) && wanted(frame));
        if (index < 0) return false;
        const frame = this.frames[index];
        if (typeof frame === 'object') this.seen.add(frame);
        else this.frames.splice(index, 1);
        clearTimeout(timer);
        resolve(frame);
        return true;
      };
      if (!check()) this.#waiting.add(check);
    });
  }

  seen = new Set();

  send(frame) {
    this.#socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  close(code, reason) {
    this.#socket.close(code, reason);
    return this.closed;
  }

  terminate() {
    this.#socket.on('error', () => {});
    this.#socket.terminate();
  }

  #wake() {
    for (const check of this.#waiting) if (check()) this.#waiting.delete(check);
  }
}

/** Bundles the build once for all test files (the harness would otherwise do it at every start). */
async function prebuilt() {
  const wasm = path.join(BUILD, 'index_bg.wasm');
  assert.ok(fs.existsSync(wasm), `the Worker is not built (no ${wasm}): run node scripts/build.mjs worker`);
  const inputs = [wasm, path.join(BUILD, 'index.js'), path.join(ROOT, 'wrangler.toml')];
  const hash = crypto.createHash('sha256');
  for (const file of inputs) hash.update(fs.readFileSync(file));
  const directory = path.join(WORK, hash.digest('hex').slice(0, 16));
  const bundle = path.join(directory, 'bundle');
  const config = path.join(directory, 'wrangler.toml');
  if (!fs.existsSync(bundle)) {
    const draft = `${directory}.${process.pid}`;
    fs.mkdirSync(draft, { recursive: true });
    fs.writeFileSync(path.join(draft, 'wrangler.toml'), testConfig());
    await wrangler(['deploy', '--dry-run', '--config', path.join(draft, 'wrangler.toml'), '--outdir', path.join(draft, 'bundle')]);
    try {
      fs.renameSync(draft, directory);
    } catch {
      fs.rmSync(draft, { recursive: true, force: true }); // Another test file was quicker.
    }
  }
  return { configPath: config, prebuiltWorkerDir: bundle };
}

/** wrangler.toml with absolute paths, and without the client: these tests are about the Worker. */
function testConfig() {
  const text = fs.readFileSync(path.join(ROOT, 'wrangler.toml'), 'utf8');
  return text
    .replace(/^\[assets\]\n(?:.+\n)*/m, '')
    .replace('"build/index.js"', JSON.stringify(path.join(BUILD, 'index.js')))
    .replace('"migrations"', JSON.stringify(path.join(ROOT, 'migrations')));
}

async function wrangler(args) {
  const cli = path.join(ROOT, 'node_modules', 'wrangler', 'bin', 'wrangler.js');
  await promisify(execFile)(process.execPath, [cli, ...args], {
    cwd: ROOT,
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false', CI: '1' },
  });
}

/** Makes a signed-in person (see `signIn`) act in `org` with this role, as if they had been invited there. */
export async function join(worker, person, org, role) {
  const { DB } = await worker.env();
  await DB.batch([
    DB.prepare('INSERT INTO members (org_id, user_id, role, created_at) VALUES (?1, ?2, ?3, 0) ON CONFLICT (org_id, user_id) DO UPDATE SET role = ?3')
      .bind(org, person.user.id, role),
    DB.prepare('UPDATE auth_sessions SET org_id = ? WHERE user_id = ?').bind(org, person.user.id),
  ]);
  return person;
}

/** A person with this role in `org`. */
export const member = async (worker, org, role) => join(worker, await worker.signIn(), org, role);

/** The sign-in secret of an org's owner, where nobody can sign in by a name. */
export async function ownerOf(worker) {
  const { DB } = await worker.env();
  const secret = 'c3'.repeat(32);
  const hash = crypto.createHash('sha256').update(secret).digest('hex');
  await DB.batch([
    DB.prepare("INSERT INTO users VALUES ('usr_1', 'ada', 'Ada', 'ada@x.invalid', 1)"),
    DB.prepare("INSERT INTO orgs VALUES ('org_1', 'ada', 1)"),
    DB.prepare("INSERT INTO members VALUES ('org_1', 'usr_1', 'owner', 1)"),
    DB.prepare("INSERT INTO auth_sessions (token_hash, user_id, org_id, created_at, expires_at, device) VALUES (?, 'usr_1', 'org_1', 1, 9999999999999, '')").bind(hash),
  ]);
  return secret;
}
