/**
 * The installation that chaos strikes: the whole product with a proxy on every hop, the sandboxes' files on a disk of
 * their own that can be filled, and each part started again when it was killed, as `npm start` would.
 */
import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

import { processesOf, readProc, until } from '../lib/programs.mjs';
import { startSystem } from '../lib/system.mjs';
import { Clock } from './clock.mjs';
import { Proxy } from './proxy.mjs';

/** The sandboxes' disk, when one can be made. */
const DISK = '3g';

/**
 * Deadlines, much shorter than the product's (crates/session/src/timings.rs), so that recoveries can be waited for.
 * The runner's own are fixed: it pings every 20 s and gives a silent connection up after 60 s.
 */
export const TIMINGS = {
  startStep: 45_000,
  longStartStep: 60_000,
  startBackoff: 300,
  reconnectGrace: 3000,
  reconnectAlive: 10_000,
  runnerSilence: 30_000,
  accept: 4000,
  turnSilence: 15_000,
  turnTotal: 180_000,
  abort: 4000,
  interaction: 60_000,
  idle: 5000,
  pausing: 10_000,
  callBackoff: 200,
  breakerWindow: 10_000,
};

/** Processes of a sandbox by their command lines. */
export const IN_SANDBOX = {
  keeper: /errand-host __keep/,
  egress: /errand-host __egress/,
  namespace: /^\S*bwrap /,
  runner: /^\S*errand-runner/,
  engine: /opencode\S* serve/,
  tool: /^(\/\S+\/)?(ba|da)?sh -c|^sleep /,
};

export class Installation {
  #turns = new Map();

  static async start() {
    const installation = new Installation();
    installation.strangers = new Set(everyProcess());
    const proxies = {};
    const temporary = process.env.TMPDIR;
    installation.system = await startSystem({
      timings: TIMINGS,
      between: async ({ home, port, hostPort, demoPort }) => {
        proxies.viewers = await Proxy.to(port);
        proxies.runners = await Proxy.to(port);
        proxies.host = await Proxy.to(hostPort);
        proxies.model = await Proxy.to(demoPort);
        const disk = path.join(home, 'host');
        installation.ownDisk = mount(disk) ? disk : null;
        // A killed workerd leaves its directory behind: below the home it goes with it.
        process.env.TMPDIR = path.join(home, 'tmp');
        fs.mkdirSync(process.env.TMPDIR);
        installation.clock = new Clock(process.env.TMPDIR);
        const { env } = installation.clock;
        const ports = { runnerPort: proxies.runners.port, hostPort: proxies.host.port, demoPort: proxies.model.port };
        return { ...ports, env, release: () => installation.ownDisk && spawnSync('umount', ['-l', disk]) };
      },
    }).finally(() => {
      if (temporary === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = temporary;
    });
    installation.proxies = proxies;
    /** For people: through the proxy. */
    installation.url = `http://127.0.0.1:${proxies.viewers.port}`;
    return installation;
  }

  get parts() {
    const { worker, host, demo } = this.system;
    return { worker, host, model: demo };
  }

  /** Kills a part and starts it again after `downMs`; one after the other when it is hit twice. */
  killPart(name, downMs) {
    return this.#inTurn(name, async () => {
      await this.parts[name].end('SIGKILL');
      await pause(downMs);
      await this.parts[name].start();
    });
  }

  /** Kills workerd under the program that runs it, which must bring it back. */
  killWorkerd() {
    return this.#inTurn('worker', async () => {
      for (const { pid } of this.partProcesses('worker', /workerd serve/)) signal(pid, 'SIGKILL');
      await until(() => this.system.healthy(), 'the return of workerd').catch((error) => this.problems.push(error.message));
    });
  }

  /** Kinds of faults that this machine does not allow. */
  get missing() {
    return [...(this.ownDisk ? [] : ['full disk (mounting one needs root)']), ...(this.clock.env ? [] : ['clock jump (needs Linux and cc)'])];
  }

  /** What the installation itself did not manage. */
  problems = [];

  /** Stops every process of a part for a while. */
  pausePart(name, ms) {
    return this.#inTurn(name, () => this.pauseProcesses(() => this.partProcesses(name), ms));
  }

  /** Processes of a part's group. */
  partProcesses(name, pattern = /./) {
    const { pid } = this.parts[name];
    return everyProcess()
      .filter((one) => groupOf(one) === pid)
      .map((one) => ({ pid: one, command: readProc(one, 'cmdline').replaceAll('\0', ' ').trim() }))
      .filter(({ command }) => pattern.test(command));
  }

  async pauseProcesses(find, ms) {
    const found = find();
    for (const { pid } of found) signal(pid, 'SIGSTOP');
    await pause(ms);
    for (const { pid } of found) signal(pid, 'SIGCONT');
    return found.length;
  }

  sandboxProcesses(session, role) {
    return processesOf(`sbx-${session}`).filter(({ command }) => IN_SANDBOX[role].test(command));
  }

  /** Removes a session's newest sandbox with all its files, as a provider does that loses a machine; false without one. */
  async loseSandbox(session) {
    const names = fs.readdirSync(path.join(this.system.home, 'host', 'sandboxes')).filter((name) => name.startsWith(`sbx-${session}-`));
    if (names.length === 0) return false;
    const newest = names.sort((a, b) => Number(a.split('-').at(-1)) - Number(b.split('-').at(-1))).at(-1);
    const { hostPort, hostSecret } = this.system.context;
    const headers = signed(hostSecret, this.clock.now(), 'DELETE', `/v1/sandboxes/${newest}`);
    const address = `http://127.0.0.1:${hostPort}/v1/sandboxes/${newest}`;
    const answer = await fetch(address, { method: 'DELETE', headers, signal: AbortSignal.timeout(30_000) }).catch(() => null);
    return answer?.status === 204;
  }

  /** Fills the sandboxes' disk; resolves to a function that makes room again. */
  fillDisk() {
    const filler = path.join(this.ownDisk, '.filler');
    const file = fs.openSync(filler, 'w');
    const block = Buffer.alloc(1024 * 1024);
    try {
      for (;;) fs.writeSync(file, block);
    } catch (error) {
      if (error.code !== 'ENOSPC') throw error;
    } finally {
      fs.closeSync(file);
    }
    return () => fs.rmSync(filler, { force: true });
  }

  /** After the last fault: everything runs again. */
  async settle() {
    await Promise.all(this.#turns.values());
    await until(() => this.system.healthy(), 'a good /health', 60_000);
  }

  /** Stops everything; what is left of it, by kind. */
  async stop() {
    for (const proxy of Object.values(this.proxies)) await proxy.stop();
    const { home } = this.system;
    await this.system.stopAll();
    // Who was there before may see our mounts, and is none of ours.
    const processes = processesOf(home).filter(({ pid }) => !this.strangers.has(pid));
    const left = { processes, mounts: mountsBelow(home).filter((at) => at !== this.ownDisk) };
    this.system.abandon();
    return { ...left, mounts: [...left.mounts, ...mountsBelow(home)] };
  }

  #inTurn(name, act) {
    const done = (this.#turns.get(name) ?? Promise.resolve()).then(act);
    this.#turns.set(name, done.catch(() => {}));
    return done;
  }
}

/** A request of the sandbox contract without a body, signed as the Worker signs it. */
function signed(secret, now, method, target) {
  const empty = crypto.createHash('sha256').update('').digest('hex');
  const text = `v1:${now}:${method}:${target}:${empty}`;
  const signature = crypto.createHmac('sha256', secret).update(text).digest('hex');
  return { 'x-errand-timestamp': String(now), 'x-errand-signature': `v1=${signature}` };
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves when `work` does, and after `ms` in any case. */
export function atMost(ms, work) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    work.finally(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Signals a process; false when it is gone. */
export function signal(pid, name) {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

function mount(directory) {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const options = ['-t', 'tmpfs', '-o', `size=${DISK},mode=700`, 'errand-chaos', directory];
  return process.getuid() === 0 && spawnSync('mount', options, { stdio: 'ignore' }).status === 0;
}

function mountsBelow(directory) {
  const lines = fs.readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return lines.map((line) => line.split(' ')[1]).filter((at) => at?.startsWith(directory));
}

function everyProcess() {
  return fs.readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).map(Number);
}

function groupOf(pid) {
  const stat = readProc(pid, 'stat');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]);
}
