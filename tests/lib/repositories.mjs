/** Git repositories as tests need them, and a server that asks for credentials. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

const ENV = {
  PATH: process.env.PATH,
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_AUTHOR_NAME: 'Tests',
  GIT_AUTHOR_EMAIL: 'tests@errand.invalid',
  GIT_COMMITTER_NAME: 'Tests',
  GIT_COMMITTER_EMAIL: 'tests@errand.invalid',
};

export const git = (cwd, ...args) => execFileSync('git', args, { cwd, env: ENV, encoding: 'utf8' }).trim();

/** A repository with these files (contents by path) in one commit on `main`; without files it has no commit. */
export function makeRepository(directory, files = {}) {
  fs.mkdirSync(directory, { recursive: true });
  git(directory, 'init', '-q', '-b', 'main');
  if (Object.keys(files).length > 0) commit(directory, files);
  return directory;
}

/** One more commit. */
export function commit(directory, files, message = 'Change') {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(directory, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, content);
  }
  git(directory, 'add', '-A');
  git(directory, 'commit', '-q', '-m', message);
}

/** Sandboxes reach nothing on the loopback; under this name, by the host's leave, the servers of the tests. */
export const GIT_SERVER = 'git.errand.test';

/** A git server that wants a name and a password for everything, and knows nothing below `/404`: `{url, stop()}`. */
export async function privateServer() {
  const server = http.createServer((request, response) => {
    if (request.url.startsWith('/404/')) return response.writeHead(404).end('no such repository');
    response.writeHead(401, { 'www-authenticate': 'Basic realm="private"' });
    response.end('who are you?');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://${GIT_SERVER}:${server.address().port}`,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
