/**
 * The built client with a server that is only played: static files over HTTP, and in the page its calls and sockets answered
 * by the test. For what a real system does not do on demand: very long logs, slow readers, starts that hang.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

import { ROOT } from '../../scripts/lib/paths.mjs';

const DIST = path.join(ROOT, 'client', 'dist');
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

/** Serves the built client: `{origin, stop()}`. Paths without a file are the page itself. */
export async function serveClient() {
  assert.ok(fs.existsSync(path.join(DIST, 'index.html')), 'the client is built');
  const server = http.createServer((request, response) => {
    const wanted = path.join(DIST, path.normalize(new URL(request.url, 'http://x').pathname));
    const file = wanted.startsWith(DIST) && fs.statSync(wanted, { throwIfNoEntry: false })?.isFile() ? wanted : path.join(DIST, 'index.html');
    response.writeHead(200, { 'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream' });
    response.end(fs.readFileSync(file));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

export const ADA = { id: 'usr_00000000000000000000000ada', name: 'Ada', email: 'ada@example.org' };
export const AT = '2026-11-21T09:00:00.000Z';

/** A session's summary. */
export function summary(change = {}) {
  return {
    id: 'ses_00000000000000000000000001', title: 'The work', phase: 'running', activity: 'idle', model: 'demo/demo', owner: ADA,
    createdAt: AT, updatedAt: new Date().toISOString(), headSeq: 0, queue: 0, ...change,
  };
}

class Refusal {
  constructor(status, body) {
    Object.assign(this, { status, body });
  }
}

/** An answer that is an error of the API. */
export const refusal = (status, code, message) => new Refusal(status, { error: { code, message, requestId: 'req_x' } });

/** What a page is told: the answers of its calls by path, and what its session's socket says. */
export class StandIn {
  /** Answers by path, without the query: a value, or a function of the request’s URL and of the request, which may take its time. */
  answers = {
    '/api/auth/me': { user: ADA, org: { id: 'org_1', name: 'Ada' }, role: 'owner' },
    '/api/config': { version: '0', signIn: ['dev'], models: [{ id: 'demo/demo', name: 'Demo model', demo: true }] },
    '/api/models': { default: 'demo/demo', models: [{ id: 'demo/demo', name: 'Demo model', demo: true, locked: false, key: 'installation', efforts: [], context: 128_000, output: 8192 }] },
    '/api/repos': { repos: [] },
    '/api/sessions': { sessions: [] },
  };
  /** Calls that came, `METHOD path?query`. */
  calls = [];
  /** Sockets of the session that were opened: `{url, after, said: [text], say(...frames), close(code)}`. */
  sockets = [];

  /** `onSocket(socket)` is called when the page dials the session; it says what it wants. */
  async install(page, onSocket) {
    await page.route('**/api/**', async (route) => {
      const url = new URL(route.request().url());
      this.calls.push(`${route.request().method()} ${url.pathname}${url.search}`);
      const known = this.answers[url.pathname];
      if (known === undefined) return route.fulfill({ status: 404, json: { error: { code: 'not_found', message: 'There is no such thing.', requestId: 'x' } } });
      const answer = typeof known === 'function' ? await known(url, route.request()) : known;
      if (answer instanceof Refusal) return route.fulfill({ status: answer.status, json: answer.body });
      return route.fulfill({ json: answer });
    });
    await page.routeWebSocket(/\/api\/events\/ws/, (ws) => {
      ws.onMessage((text) => text === 'ping' && ws.send('pong'));
      ws.send(JSON.stringify({ type: 'hello', rev: 1 }));
    });
    await page.routeWebSocket(/\/api\/sessions\/[^/]+\/ws/, (ws) => {
      const url = new URL(ws.url());
      const after = url.searchParams.get('after');
      const socket = {
        after: after === null ? null : Number(after),
        said: [],
        say: (...frames) => frames.forEach((frame) => ws.send(JSON.stringify(frame))),
        close: (code) => ws.close({ code, reason: '' }),
      };
      ws.onMessage((text) => {
        if (text === 'ping') return ws.send('pong');
        socket.said.push(text.toString());
        return undefined;
      });
      this.sockets.push(socket);
      onSocket(socket);
    });
  }
}

/** The greeting of a session's socket. */
export function greeting(session, change = {}) {
  return {
    type: 'hello', protocol: 1, session, headSeq: 0, firstSeq: 1, openParts: [], queue: [], interactions: [], todos: [], presence: [ADA],
    ...change,
  };
}

const USAGE = { input: 1200, output: 300, reasoning: 0, cacheRead: 0, cacheWrite: 0, cost: 0 };
/** Events of one turn of {@link longLog}. */
export const TURN_EVENTS = 10;

/** The events of positions `from` to `to` of a log of turns that are all alike, made on the spot. */
export function longLog(from, to) {
  return Array.from({ length: to - from + 1 }, (_, at) => longEvent(from + at));
}

function longEvent(seq) {
  const n = Math.floor((seq - 1) / TURN_EVENTS);
  const name = String(n).padStart(26, '0');
  const [turnId, promptId, messageId] = [`trn_${name}`, `prm_${name}`, `msg_${name}`];
  const at = new Date(Date.parse(AT) + seq * 100).toISOString();
  const part = (index, body, ended) => ({ id: `prt_${name}${index}`, index, startedAt: at, ...(ended && { endedAt: at }), ...body });
  const bash = { type: 'tool', tool: 'bash', input: { command: `npm test -- --shard ${n}` } };
  const body = [
    { type: 'prompt.queued', prompt: { id: promptId, text: `Piece of work ${n}`, author: ADA, state: 'queued', createdAt: at } },
    { type: 'turn.started', turnId, promptId },
    { type: 'message.started', turnId, messageId },
    { type: 'part.started', turnId, messageId, part: part(0, { type: 'text', text: '' }) },
    { type: 'part.finished', turnId, messageId, part: part(0, { type: 'text', text: `Looking at shard ${n} of the tests. `.repeat(1 + (n % 7)) }, true) },
    { type: 'part.started', turnId, messageId, part: part(1, { ...bash, status: 'running' }) },
    { type: 'part.finished', turnId, messageId, part: part(1, { ...bash, status: 'completed', output: 'ok '.repeat(1200), exitCode: 0 }, true) },
    { type: 'part.finished', turnId, messageId, part: part(2, { type: 'text', text: `Shard ${n} passes.` }, true) },
    { type: 'message.finished', turnId, messageId },
    { type: 'turn.finished', turnId, promptId, outcome: 'done', usage: USAGE, files: [] },
  ][(seq - 1) % TURN_EVENTS];
  return { seq, at, ...body };
}
