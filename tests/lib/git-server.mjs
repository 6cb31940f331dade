/**
 * A real git server over smart HTTP: node around `git http-backend`, which demands a name and a password for everything.
 * `requests` has what it was asked; `answer`, when set, answers instead of git: `(request, response) => …`.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';

export const USERNAME = 'bot';
export const PASSWORD = 'the-password-of-the-git-host';

/** Starts one over an empty directory; `stop()` removes that. */
export async function startGitServer({ password = PASSWORD, username = USERNAME } = {}) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'errand-git-'));
  const sockets = new Set();
  const server = {
    root,
    requests: [],
    answer: null,
    password,
    /** A bare repository there with one commit on `main`; returns its path on the disk. */
    repository(name, files = { 'README.md': '# App\n' }) {
      const bare = path.join(root, `${name}.git`);
      const draft = fs.mkdtempSync(path.join(os.tmpdir(), 'errand-git-draft-'));
      try {
        git(draft, 'init', '-q', '-b', 'main');
        for (const [file, content] of Object.entries(files)) {
          fs.mkdirSync(path.join(draft, path.dirname(file)), { recursive: true });
          fs.writeFileSync(path.join(draft, file), content);
        }
        git(draft, 'add', '-A');
        git(draft, '-c', 'user.name=T', '-c', 'user.email=t@x.invalid', 'commit', '-q', '-m', 'First');
        fs.mkdirSync(path.dirname(bare), { recursive: true });
        git(draft, 'clone', '-q', '--bare', draft, bare);
      } finally {
        fs.rmSync(draft, { recursive: true, force: true });
      }
      return bare;
    },
    stop: () =>
      new Promise((resolve) => {
        listener.closeAllConnections();
        for (const socket of sockets) socket.destroy();
        listener.close(() => {
          fs.rmSync(root, { recursive: true, force: true });
          resolve();
        });
      }),
  };
  const listener = http.createServer((request, response) => {
    server.requests.push({ method: request.method, url: request.url, headers: request.headers });
    if (server.answer) return server.answer(request, response);
    const given = request.headers.authorization;
    const wanted = `Basic ${Buffer.from(`${username}:${server.password}`).toString('base64')}`;
    if (given !== wanted) {
      request.resume();
      return response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end('who are you?');
    }
    return backend(root, request, response);
  });
  listener.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  server.port = listener.address().port;
  server.url = `http://127.0.0.1:${server.port}`;
  return server;
}

/** git with nobody's configuration; throws with what it printed. */
export function git(cwd, ...args) {
  return execFileSync('git', args, { cwd, env: plain(), encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

/** The same, not waiting in this thread: `{code, output}`, where `output` is all that it printed. */
export function tryGit(cwd, args, env = {}) {
  return new Promise((resolve) => {
    const child = spawn('git', args, { cwd, env: { ...plain(), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (output += text));
    child.on('close', (code) => resolve({ code, output }));
  });
}

function plain() {
  return {
    PATH: process.env.PATH,
    HOME: os.tmpdir(),
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_SYSTEM: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_AUTHOR_NAME: 'T', GIT_AUTHOR_EMAIL: 't@x.invalid', GIT_COMMITTER_NAME: 'T', GIT_COMMITTER_EMAIL: 't@x.invalid',
  };
}

function backend(root, request, response) {
  const [pathInfo, query = ''] = request.url.split('?');
  const { headers } = request;
  const env = {
    PATH: process.env.PATH,
    GIT_PROJECT_ROOT: root,
    GIT_HTTP_EXPORT_ALL: '1',
    REQUEST_METHOD: request.method,
    PATH_INFO: decodeURIComponent(pathInfo),
    QUERY_STRING: query,
    REMOTE_USER: USERNAME,
    REMOTE_ADDR: '127.0.0.1',
    CONTENT_TYPE: headers['content-type'] ?? '',
    ...(headers['content-length'] && { CONTENT_LENGTH: headers['content-length'] }),
    ...(headers['content-encoding'] && { HTTP_CONTENT_ENCODING: headers['content-encoding'] }),
    ...(headers['git-protocol'] && { GIT_PROTOCOL: headers['git-protocol'] }),
  };
  const child = spawn('git', ['-c', 'http.receivepack=true', 'http-backend'], { env, stdio: ['pipe', 'pipe', 'ignore'] });
  child.stdin.on('error', () => {});
  request.pipe(child.stdin);
  response.on('close', () => child.kill());
  let head = Buffer.alloc(0);
  const take = (chunk) => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    child.stdout.off('data', take);
    const lines = head.subarray(0, end).toString().split('\r\n').map((line) => line.split(/: (.*)/s));
    const { Status: status = '200', ...rest } = Object.fromEntries(lines);
    response.writeHead(Number.parseInt(status, 10), rest);
    response.write(head.subarray(end + 4));
    child.stdout.pipe(response);
  };
  child.stdout.on('data', take);
  child.on('close', () => response.end());
}

/** What git's own framing makes of these texts; `null` is the flush. */
export function packets(...lines) {
  return lines.map((line) => {
    if (line === null) return '0000';
    const length = Buffer.byteLength(line) + 4;
    assert.ok(length < 65_520);
    return length.toString(16).padStart(4, '0') + line;
  }).join('');
}
