/**
 * Child processes: running one to its end with its output kept, finding programs, and knowing a process again
 * later (pid and start time). Every child leads its own process group, so that a group signal ends all of it.
 */
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { Sentence } from './log.mjs';

const KEEP_OUTPUT = 400_000;
const running = new Set();

/**
 * Runs a program to its end and returns its output (stdout and stderr as they came). Rejects with a [`Sentence`]
 * that carries the output's tail when it fails. `progress` gets the last line as it appears.
 */
export function run(command, args, { cwd, env, progress, what, check = true } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: env ? { ...process.env, ...env } : process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    running.add(child);
    let output = '';
    const take = (chunk) => {
      output = (output + chunk).slice(-KEEP_OUTPUT);
      const line = chunk.trimEnd().split(/[\r\n]/).pop();
      if (line && progress) progress(line);
    };
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', take);
    child.on('error', (error) => {
      running.delete(child);
      reject(new Sentence(`${what ?? command} could not be started: ${error.message}`));
    });
    child.on('close', (code, signal) => {
      running.delete(child);
      if (code === 0 || !check) resolve({ code, output });
      else reject(new Sentence(`${what ?? command} failed (${signal ?? `exit ${code}`}).`, tail(output)));
    });
  });
}

/** Ends every program that [`run`] still waits for. */
export function killRunning(signal = 'SIGTERM') {
  for (const child of running) killGroup(child.pid, signal);
}

/** For commands that only run programs: a signal to us ends those too, then us. */
export function endRunningOnSignals() {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      killRunning();
      process.exit(130);
    });
  }
}

/** Signals a process group; false when there is none any more. */
export function killGroup(pgid, signal) {
  try {
    process.kill(-pgid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Whether anything of a process group still runs; what has ended and only waits to be reaped does not. */
export function groupRuns(pgid) {
  if (!killGroup(pgid, 0)) return false;
  if (process.platform !== 'linux') return true;
  return fs.readdirSync('/proc').some((name) => {
    const fields = /^\d+$/.test(name) ? statFields(name) : null;
    return fields !== null && fields[0] !== 'Z' && Number(fields[2]) === pgid;
  });
}

/** `/proc/PID/stat` from the state on (the command before it may hold anything); null when there is no such process. */
function statFields(pid) {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

/** The last lines of an output. */
export function tail(text, lines = 60) {
  return text.trimEnd().split('\n').slice(-lines).join('\n');
}

/** Full path of a program on PATH, or null. */
export function which(name) {
  for (const dir of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(dir, name);
    try {
      fs.accessSync(file, fs.constants.X_OK);
      if (fs.statSync(file).isFile()) return file;
    } catch {
      // Not here; the next directory.
    }
  }
  return null;
}

/** A text that another process with the same pid would not have: its start time. Null when it does not run. */
export function startTime(pid) {
  if (process.platform === 'linux') {
    const fields = statFields(pid);
    return fields === null || fields[0] === 'Z' ? null : fields[19];
  }
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || null;
  } catch {
    return null;
  }
}
