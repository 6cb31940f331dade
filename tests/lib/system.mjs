/**
 * The whole product on free ports, with all its state in a temporary directory: real workerd, real sandbox host,
 * real runner, real OpenCode, the demo model without pauses, the sample repository. What `npm start` runs, started
 * with the same command lines, but each part can be killed and started by the test.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { freePort, models, secrets } from '../../scripts/lib/config.mjs';
import { demoModelPart, hostPart, stopSandboxesNow, workerPart } from '../../scripts/lib/parts.mjs';
import { which } from '../../scripts/lib/process.mjs';
import { sampleRepository } from '../../scripts/lib/sample.mjs';
import { modernNode, opencode } from '../../scripts/lib/tools.mjs';
import { processesOf, Program, until } from './programs.mjs';
import { GIT_SERVER } from './repositories.mjs';
import { signIn } from './user.mjs';

/** What the Worker, and only the Worker, may know of the model's provider. */
export const PROVIDER_KEY = 'sk-the-key-of-the-provider';

/** Deadlines that are too long to wait for in a test. */
const TIMINGS = { reconnectGrace: 1000, reconnectAlive: 15_000, startBackoff: 200, callBackoff: 200 };

/**
 * Starts everything and resolves once `/health` is good.
 *
 * - `vars`: variables of the Worker, added to those of `npm start`
 * - `timings`: overrides of the session's deadlines
 * - `places`: so many sandboxes at once; without it as many as usual
 * - `permissions`: the engine's permission rules, e.g. `{bash: 'ask'}`
 * - `between({home, port, hostPort, demoPort})`: called before anything starts; may put something between the parts:
 *   resolves to the ports by which the Worker reaches host and model (`hostPort`, `demoPort`) and runners the Worker
 *   (`runnerPort`), more environment for the programs (`env`), and `release()`, called (synchronously) before `home` is
 *   removed
 */
export async function startSystem({ vars = {}, timings = {}, permissions, places, between } = {}) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'errand-e2e-'));
  const system = new System(home, await settings(home, { vars, timings, permissions, places, between }));
  process.on('exit', () => system.abandon());
  try {
    await system.startAll();
  } catch (error) {
    await system.stop().catch(() => {});
    throw error;
  }
  return system;
}

async function settings(home, { vars, timings, permissions, places, between }) {
  const { masterKey, hostSecret } = secrets(home);
  const [port, hostPort, demoPort] = [await freePort(), await freePort(), await freePort()];
  const seen = { runnerPort: port, hostPort, demoPort, ...(await between?.({ home, port, hostPort, demoPort })) };
  const tools = { node: await modernNode(), opencode: await opencode(), ripgrep: which('rg') };
  assert.ok(tools.ripgrep, 'ripgrep is needed on the PATH');
  const sample = await sampleRepository(home);
  const [demo] = models(`http://127.0.0.1:${seen.demoPort}`, {}).map((model) => ({ ...model, apiKey: PROVIDER_KEY }));
  const anthropic = { ...demo, provider: 'demo-messages', name: 'Demo model (Messages)', dialect: 'anthropic' };
  return {
    published: [`${GIT_SERVER}=127.0.0.1`],
    places,
    home, port, hostPort, demoPort, hostSecret, masterKey, tools, sample, env: seen.env ?? {}, release: seen.release ?? (() => {}),
    vars: {
      ENVIRONMENT: 'development',
      ORIGIN: `http://localhost:${port}`,
      MASTER_KEY: masterKey,
      SANDBOX_HOST_URL: `http://127.0.0.1:${seen.hostPort}`,
      SANDBOX_HOST_SECRET: hostSecret,
      RUNNER_URL: `ws://127.0.0.1:${seen.runnerPort}`,
      MODELS: JSON.stringify([demo, anthropic]),
      SAMPLE_REPO: sample,
      TIMINGS: JSON.stringify({ ...TIMINGS, ...timings }),
      ...(permissions && { PERMISSIONS: JSON.stringify(permissions) }),
      ...vars,
    },
  };
}

class System {
  constructor(home, context) {
    Object.assign(this, { home, context, sample: context.sample });
    /** For scripts. */
    this.url = `http://127.0.0.1:${context.port}`;
    /** For browsers: cookies and the origin check go by this name. */
    this.origin = context.vars.ORIGIN;
    const program = (part, ready, args = []) =>
      new Program({
        name: part.name,
        ready,
        logFile: part.logFile,
        command: () => {
          const command = part.command();
          return { ...command, args: [...command.args, ...args], env: { ...command.env, ...context.env } };
        },
      });
    this.demo = program(demoModelPart(context), /listening on (\S+)/, ['--key', PROVIDER_KEY, '--fast']);
    this.host = program(hostPart(context), /listening on (\S+)/);
    this.worker = program(workerPart(context), /listening on (\S+)/);
  }

  async startAll() {
    await Promise.all([this.demo.start(), this.host.start(), this.worker.start()]);
    await until(() => this.healthy(), 'a good /health');
  }

  async healthy() {
    const answer = await fetch(`${this.url}/health`).catch(() => null);
    return answer?.status === 200;
  }

  /** Stops everything as Ctrl-C at `npm start` does; the state stays. */
  async stopAll() {
    await this.worker.end('SIGTERM');
    await this.host.end('SIGTERM');
    await this.demo.end('SIGTERM');
  }

  /** For the end of a test run that was stopped in the middle: nothing may stay behind. */
  abandon() {
    if (!fs.existsSync(this.home)) return;
    stopSandboxesNow(this.context);
    this.context.release();
    fs.rmSync(this.home, { recursive: true, force: true });
  }

  /** Stops everything, checks that nothing is left running, and removes the state. */
  async stop() {
    await this.stopAll();
    const left = processesOf(this.home);
    this.abandon();
    assert.deepEqual(left, [], 'processes are left after the stop');
  }

  /** A person; another one for each login. */
  signIn(login = `u-${crypto.randomBytes(5).toString('hex')}`) {
    return signIn(this.url, login, this.context.vars.SIGN_IN_CODE);
  }

  /** Lets an answer of the demo model that waits at a gate go on. */
  async openGate(name) {
    const answer = await fetch(`http://127.0.0.1:${this.context.demoPort}/control/gates/${name}`, { method: 'POST' });
    assert.equal(answer.status, 200);
  }

  /** What the demo model was asked, oldest first. */
  async modelRequests() {
    return (await fetch(`http://127.0.0.1:${this.context.demoPort}/control/requests`)).json();
  }

  /** Processes inside the sandboxes of a session whose command line matches. */
  sandboxProcesses(session, pattern = /./) {
    return processesOf(`sbx-${session.id}`).filter(({ command }) => pattern.test(command));
  }

  /** The directory of a session's newest sandbox on this machine. */
  sandboxDir(session) {
    const base = path.join(this.home, 'host', 'sandboxes');
    const names = fs.readdirSync(base).filter((name) => name.startsWith(`sbx-${session.id}`));
    const generation = (name) => Number(name.split('-').at(-1));
    return path.join(base, names.sort((a, b) => generation(b) - generation(a))[0]);
  }
}
