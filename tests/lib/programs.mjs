/**
 * The programs of an installation as a test drives them: started once (never restarted behind the test's back),
 * ended by a signal that the test chooses, and looked for in /proc when all should be gone.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { killGroup } from '../../scripts/lib/process.mjs';

/** How long a test waits for something before it fails. */
export const PATIENCE = 30_000;

const running = new Set();
process.on('exit', () => {
  for (const program of running) killGroup(program.pid, 'SIGKILL');
});
// A test run that is stopped leaves nothing behind either.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

/** One program in its own process group. `command()` gives `{file, args, env, input?}` as in scripts/lib/parts.mjs. */
export class Program {
  #child;
  #exited = Promise.resolve();

  constructor({ name, command, ready, logFile }) {
    Object.assign(this, { name, command, ready, logFile, output: '' });
  }

  get pid() {
    return this.#child?.pid;
  }

  /** Whether it was started and has not ended. */
  get running() {
    return running.has(this);
  }

  /** Starts it and resolves with the match of `ready` in what it prints. */
  async start() {
    const { file, args, env, input } = this.command();
    fs.mkdirSync(path.dirname(this.logFile), { recursive: true });
    const child = spawn(file, args, { env, detached: true, stdio: [input ? 'pipe' : 'ignore', 'pipe', 'pipe'] });
    this.#child = child;
    running.add(this);
    const from = this.output.length;
    this.#exited = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, signal) => resolve(signal ?? `exit ${code}`));
    }).finally(() => running.delete(this));
    child.stdin?.on('error', () => {}).write(input);
    return new Promise((resolve, reject) => {
      const fail = (why) => reject(new Error(`${this.name} did not start (${why}):\n${this.output.slice(from).slice(-4000)}`));
      const timer = setTimeout(() => fail(`nothing said for ${PATIENCE} ms`), PATIENCE);
      const take = (chunk) => {
        this.output += chunk;
        fs.appendFileSync(this.logFile, chunk);
        const match = this.output.slice(from).match(this.ready);
        if (!match) return;
        clearTimeout(timer);
        resolve(match);
      };
      child.stdout.setEncoding('utf8').on('data', take);
      child.stderr.setEncoding('utf8').on('data', take);
      this.#exited.then((how) => {
        clearTimeout(timer);
        fail(how);
      });
    });
  }

  /** Ends the whole group and resolves when nothing of it runs. */
  async end(signal = 'SIGKILL') {
    if (!this.pid) return;
    killGroup(this.pid, signal);
    const force = setTimeout(() => killGroup(this.pid, 'SIGKILL'), 15_000);
    await this.#exited;
    clearTimeout(force);
    killGroup(this.pid, 'SIGKILL');
    await until(() => !killGroup(this.pid, 0), `the end of ${this.name}'s group`);
  }
}

/** Resolves with what `probe` returns as soon as that is truthy; asks again only after the previous answer. */
export async function until(probe, what, patience = PATIENCE) {
  const deadline = Date.now() + patience;
  let last;
  while (Date.now() < deadline) {
    last = await probe();
    if (last) return last;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`never happened: ${what}`);
}

/**
 * Processes that have to do with a directory: it stands in their command line, environment, working directory, or
 * (for those in namespaces, which see other paths) among their mounts. `[{pid, command}]`, without this process.
 */
export function processesOf(directory) {
  const found = [];
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    // What is mounted here, every process of this namespace sees.
    const elsewhere = linkOf(name, 'ns/mnt') !== linkOf('self', 'ns/mnt');
    const texts = ['cmdline', 'environ', ...(elsewhere ? ['mountinfo'] : [])].map((file) => readProc(name, file));
    texts.push(linkOf(name, 'cwd'));
    const command = texts[0].replaceAll('\0', ' ').trim();
    // Without a command line it is a zombie: it runs no more.
    if (command && texts.some((text) => text.includes(directory))) found.push({ pid: Number(name), command });
  }
  return found;
}

/** A file of a process below /proc; empty when the process is gone. */
export function readProc(pid, file) {
  try {
    return fs.readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

function linkOf(pid, file) {
  try {
    return fs.readlinkSync(`/proc/${pid}/${file}`);
  } catch {
    return '';
  }
}
