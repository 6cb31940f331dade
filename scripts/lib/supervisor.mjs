/**
 * Keeps the parts of an installation running: each is a process group of its own with its log file and a record
 * (pid, start time) on disk, is started again with back-off when it ends, and is stopped as a group. A record
 * that a killed supervisor left behind lets the next one find and end what is left of the group.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { warn } from './log.mjs';
import { groupRuns, killGroup, startTime } from './process.mjs';

const LOG_LIMIT = 5_000_000;
const BACKOFF_MS = [200, 500, 1000, 2000, 5000, 10_000];
/** A part that ran for so long starts its back-off anew. */
const STEADY_MS = 30_000;

/** One supervised part. `command()` returns `{file, args, env?, input?}` and is asked again before each start. */
export class Part {
  constructor({ name, home, command, stopAfterMs = 8000 }) {
    this.name = name;
    this.command = command;
    this.stopAfterMs = stopAfterMs;
    this.logFile = path.join(home, 'logs', `${name}.log`);
    this.record = path.join(home, 'run', `${name}.json`);
    this.failures = 0;
    this.stopping = false;
    this.exited = Promise.resolve();
  }

  /** Starts it, and starts it again whenever it ends, until [`Part.stop`]. */
  start() {
    if (this.stopping) return;
    fs.mkdirSync(path.dirname(this.logFile), { recursive: true });
    fs.mkdirSync(path.dirname(this.record), { recursive: true });
    rotate(this.logFile);
    const { file, args, env, input } = this.command();
    const log = fs.openSync(this.logFile, 'a', 0o600);
    const startedAt = Date.now();
    const child = spawn(file, args, { env, detached: true, stdio: [input ? 'pipe' : 'ignore', log, log] });
    fs.closeSync(log);
    this.child = child;
    // stdin stays open: its end tells the child that nobody supervises it any more.
    child.stdin?.on('error', () => {}).write(input);
    if (child.pid) fs.writeFileSync(this.record, JSON.stringify({ pid: child.pid, start: startTime(child.pid) }));
    this.exited = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, signal) => resolve(signal ?? `exit ${code}`));
    }).then((how) => this.ended(how, startedAt));
  }

  ended(how, startedAt) {
    if (this.child.pid) killGroup(this.child.pid, 'SIGKILL');
    fs.rmSync(this.record, { force: true });
    if (this.stopping) return;
    this.failures = Date.now() - startedAt > STEADY_MS ? 1 : this.failures + 1;
    const delay = BACKOFF_MS[Math.min(this.failures, BACKOFF_MS.length) - 1];
    warn(`${this.name} ended (${how}); starting it again in ${delay / 1000} s. Its log: ${this.logFile}`);
    this.restart = setTimeout(() => this.start(), delay);
  }

  /** Asks it to end, then ends the whole group; resolves when nothing of it runs. */
  async stop(signal = 'SIGTERM') {
    this.stopping = true;
    clearTimeout(this.restart);
    if (!this.child?.pid) return;
    if (!killGroup(this.child.pid, signal)) return;
    const force = setTimeout(() => killGroup(this.child.pid, 'SIGKILL'), this.stopAfterMs);
    await this.exited;
    clearTimeout(force);
    await groupGone(this.child.pid);
  }

  /** Ends the group at once, without a wait. */
  kill() {
    this.stopping = true;
    clearTimeout(this.restart);
    if (this.child?.pid) killGroup(this.child.pid, 'SIGKILL');
    fs.rmSync(this.record, { force: true });
  }

  /** The end of its log, for a failure's message. */
  logTail(lines = 30) {
    try {
      return fs.readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
    } catch {
      return '';
    }
  }
}

/** Ends what a supervisor that was killed left running in `home`; returns the names of those parts. */
export async function endLeftovers(home) {
  const dir = path.join(home, 'run');
  const names = fs.existsSync(dir) ? fs.readdirSync(dir).filter((name) => name.endsWith('.json')) : [];
  const ended = [];
  for (const name of names) {
    const file = path.join(dir, name);
    if (await endRecorded(file)) ended.push(path.basename(name, '.json'));
    fs.rmSync(file, { force: true });
  }
  return ended;
}

async function endRecorded(file) {
  let record;
  try {
    record = JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch {
    return false;
  }
  const now = startTime(record.pid);
  // Another process has the number: the group is long gone. A dead leader's number stays with its group's members.
  if (now !== null && now !== record.start) return false;
  // At once: asked to end, a host would stop sandboxes that the next one can go on with.
  if (!killGroup(record.pid, 'SIGKILL')) return false;
  await groupGone(record.pid);
  return true;
}

async function groupGone(pgid) {
  const until = Date.now() + 3000;
  while (Date.now() < until) {
    if (!groupRuns(pgid)) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

function rotate(file) {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  if (stat && stat.size > LOG_LIMIT) fs.renameSync(file, `${file}.1`);
}
