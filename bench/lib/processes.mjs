/**
 * The Workers under test, each in processes of its own so that their CPU is not ours: ours through
 * `scripts/worker.mjs` (as `npm start` runs it), the bare relay through `bench/bare/serve.mjs`.
 */
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';

import { freePort } from '../../scripts/lib/config.mjs';
import { ROOT } from '../../scripts/lib/paths.mjs';
import { killGroup } from '../../scripts/lib/process.mjs';
import { descendant } from './proc.mjs';

const WORK = path.join(ROOT, 'target', 'bench');
const running = new Set();
process.on('exit', () => {
  for (const child of running) killGroup(child.pid, 'SIGKILL');
  fs.rmSync(path.join(WORK, String(process.pid)), { recursive: true, force: true });
});

/** A fresh directory on the clone's own disk (a RAM disk would make every commit free); removed at the end. */
export function freshHome(name) {
  const parent = path.join(WORK, String(process.pid));
  fs.mkdirSync(parent, { recursive: true });
  return fs.mkdtempSync(path.join(parent, `${name}-`));
}

/** Removes a home when its measure is done: ten thousand sessions take gigabytes. */
export function removeHome(home) {
  fs.rmSync(home, { recursive: true, force: true });
}

/** What the Worker wants to be told; `hostUrl` is the sandbox host's address. */
function workerVars({ port, hostUrl }) {
  const model = {
    provider: 'demo', model: 'demo', name: 'Demo model', demo: true, dialect: 'openai', baseUrl: 'http://127.0.0.1:9/v1',
  };
  return {
    ENVIRONMENT: 'development',
    ORIGIN: `http://127.0.0.1:${port}`,
    MASTER_KEY: crypto.randomBytes(32).toString('hex'),
    SANDBOX_HOST_URL: hostUrl,
    SANDBOX_HOST_SECRET: crypto.randomBytes(32).toString('hex'),
    RUNNER_URL: `ws://127.0.0.1:${port}`,
    MODELS: JSON.stringify([model]),
  };
}

/** Errand's Worker: `{url, home, workerd, stop()}`, `workerd` being the pid whose CPU and memory count. */
export async function startErrand({ home = freshHome('errand'), hostUrl, vars, buildDir, env, port }) {
  port ??= await freePort();
  const options = { port, home, vars: { ...workerVars({ port, hostUrl }), ...vars }, ...(buildDir && { buildDir }) };
  return listening([path.join(ROOT, 'scripts', 'worker.mjs'), '--stdin'], options, home, env);
}

/** The bare relay. */
export async function startBare({ home = freshHome('bare'), env, port } = {}) {
  port ??= await freePort();
  return listening([path.join(ROOT, 'bench', 'bare', 'serve.mjs')], { port, home }, home, env);
}

/** Starts a program of this Node, in a process group of its own, ended with the bench at the latest. */
function startProgram(args, { input, env }) {
  const child = spawn(process.execPath, args, {
    stdio: ['pipe', 'pipe', 2],
    env: { ...process.env, ...env },
    detached: true,
  });
  running.add(child);
  child.exited = new Promise((resolve) => child.once('close', resolve)).then(() => running.delete(child));
  child.stdin.on('error', () => {}).write(input);
  return child;
}

/** The first line of a program's stdout that `pattern` matches; fails when the program ends before. */
async function lineOf(child, pattern) {
  for await (const line of readline.createInterface({ input: child.stdout })) {
    const found = pattern.exec(line);
    if (!found) continue;
    setImmediate(() => child.stdout.resume()); // Nobody reads on, and it must not block.
    return found;
  }
  throw new Error(`a program ended before it printed ${pattern}`);
}

async function listening(args, options, home, env) {
  const child = startProgram(args, { input: `${JSON.stringify(options)}\n`, env });
  const stop = async () => {
    child.kill('SIGTERM');
    await child.exited;
  };
  const [, url] = await lineOf(child, /listening on (\S+)/);
  return { url, home, workerd: descendant(child.pid, 'workerd'), stop };
}
