/**
 * `npm start`: sets up, builds, and runs an installation on this machine — demo model, sandbox host, Worker — until
 * it is told to stop; then nothing of it is left running. All state is below ERRAND_HOME.
 */
import './lib/require-node.mjs';

import path from 'node:path';

import { build } from './build.mjs';
import { configuredPort, freePort, models, portTaken, secrets, signInCode } from './lib/config.mjs';
import { tryLock } from './lib/lock.mjs';
import { report, say, Sentence, step } from './lib/log.mjs';
import { homeDir } from './lib/paths.mjs';
import { killRunning } from './lib/process.mjs';
import { sampleRepository } from './lib/sample.mjs';
import { demoModelPart, hostPart, stopSandboxesNow, workerPart } from './lib/parts.mjs';
import { endLeftovers } from './lib/supervisor.mjs';
import { setup } from './setup.mjs';

const HELP = `npm start   builds what changed, runs Errand, prints its URL; Ctrl-C stops all of it.

  ERRAND_PORT             port on 127.0.0.1 (8787)
  ERRAND_HOME             directory of all state (.errand)
  ERRAND_CACHE            build tools shared by clones (~/.cache/errand)
  ERRAND_HOST_PORT        port of the sandbox host on 127.0.0.1 (any free one)
  ERRAND_PUBLISH          services near this machine that sandboxes may reach, and by which name:
                          name[:port]=address[:port], separated by commas
  ERRAND_SANDBOX_DISK_MIB disk that the files of one sandbox may take (20480; 0: as much as there is)
  ERRAND_GIT_HOSTS        git hosts that are reached with a credential: a JSON list, src/config/git.rs
  ERRAND_MODEL_BASE_URL   an OpenAI- or Anthropic-compatible endpoint, instead of the demo model
  ERRAND_MODEL_API_KEY    its key
  ERRAND_MODEL            its model: "name" or "provider/name"
  ERRAND_MODEL_DIALECT    openai or anthropic (by the address otherwise)`;

const HEALTH_WAIT_MS = 60_000;
/** A Worker that is not whole yet says 503; one that answers 500 so often cannot read its configuration. */
const MISCONFIGURED = 10;
/** So many ends of one part before the first answer mean that it will not come up. */
const HOPELESS = 4;

const installation = { parts: [], lock: null, stopping: null, home: homeDir(), code: null };

async function main() {
  if (process.argv.includes('--help')) return say(HELP);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => onSignal());
  process.on('exit', () => installation.lock?.release());
  stopWithNpm();
  const { home } = installation;
  const port = configuredPort();
  // Checked before anything long begins; the demo model's address is known only later.
  models('http://127.0.0.1');
  claim(home, port);
  const left = await endLeftovers(home);
  if (left.length > 0) say(`  ended what an earlier start had left running: ${left.join(', ')}`);
  if (await portTaken(port)) {
    throw new Sentence(`Port ${port} is taken by another program; choose another with ERRAND_PORT.`);
  }
  const tools = await setup();
  await build(tools);
  await runParts(await settings(home, port, tools));
  say(`Errand is ready: http://localhost:${port}   sign-in code: ${installation.code}`);
}

/** When npm that started us is killed without a word, nobody could stop us any more by stopping it. */
function stopWithNpm() {
  if (process.env.npm_lifecycle_event !== 'start') return;
  const npm = process.ppid;
  setInterval(() => process.ppid !== npm && !installation.stopping && onSignal(), 1000).unref();
}

/** One installation per ERRAND_HOME. */
function claim(home, port) {
  const lock = tryLock(path.join(home, 'run', 'start.lock'), { port });
  if (lock.owner) {
    throw new Sentence(`Errand already runs from ${home} (process ${lock.owner.pid}): http://localhost:${lock.owner.port}`);
  }
  installation.lock = lock;
}

/** Everything that the parts need to know of each other. */
async function settings(home, port, tools) {
  const { masterKey, hostSecret } = secrets(home);
  installation.code = signInCode(masterKey);
  const demoPort = await freePort();
  const hostPort = Number(process.env.ERRAND_HOST_PORT) || (await freePort());
  const sample = await sampleRepository(home);
  const vars = {
    ENVIRONMENT: 'development',
    ORIGIN: `http://localhost:${port}`,
    MASTER_KEY: masterKey,
    SANDBOX_HOST_URL: `http://127.0.0.1:${hostPort}`,
    SANDBOX_HOST_SECRET: hostSecret,
    RUNNER_URL: `ws://127.0.0.1:${port}`,
    MODELS: JSON.stringify(models(`http://127.0.0.1:${demoPort}`)),
    SAMPLE_REPO: sample ?? '',
    SIGN_IN_CODE: installation.code,
    ...(process.env.ERRAND_GIT_HOSTS && { GIT_HOSTS: process.env.ERRAND_GIT_HOSTS }),
  };
  const published = (process.env.ERRAND_PUBLISH ?? '').split(',').filter(Boolean);
  const sandboxDisk = process.env.ERRAND_SANDBOX_DISK_MIB;
  return { home, port, demoPort, hostPort, hostSecret, tools, vars, published, sandboxDisk };
}

async function runParts(context) {
  if (installation.stopping) return;
  installation.context = context;
  installation.parts = [demoModelPart(context), hostPart(context), workerPart(context)];
  await step('start', async (progress) => {
    for (const part of installation.parts) part.start();
    await healthy(context.port, progress);
  });
}

async function healthy(port, progress) {
  const until = Date.now() + HEALTH_WAIT_MS;
  let last = 'no answer';
  let wrong = 0;
  while (Date.now() < until && !installation.stopping) {
    const broken = installation.parts.find((part) => part.failures >= HOPELESS);
    if (broken) throw new Sentence(`The ${broken.name} does not start; its log is ${broken.logFile}.`, broken.logTail());
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(5000) });
      if (answer.status === 200) return;
      wrong = answer.status === 500 ? wrong + 1 : 0;
      if (wrong >= MISCONFIGURED) throw misconfigured();
      last = `${answer.status} ${await answer.text()}`;
    } catch (error) {
      if (error instanceof Sentence) throw error;
      last = error.cause?.code ?? error.message;
    }
    progress(`waiting for /health: ${last.slice(0, 200)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  if (installation.stopping) await installation.stopping;
  throw new Sentence(`Errand did not become ready within ${HEALTH_WAIT_MS / 1000} s (${last}). Logs: ${path.join(installation.home, 'logs')}`);
}

/** With what the Worker says of it, which is in its log. */
function misconfigured() {
  const worker = installation.parts.at(-1);
  const said = worker.logTail().split('\n').filter((line) => line.includes('configuration: ')).at(-1);
  const words = /configuration: ([^"]*)/.exec(said ?? '')?.[1] ?? 'its log says why';
  return new Sentence(`The installation is not configured right: ${words} (${worker.logFile}).`);
}

/** The first signal stops in order, the second at once. */
function onSignal() {
  if (!installation.stopping) {
    say('\nStopping …');
    installation.stopping = stopAll().then(() => {
      say('Stopped.');
      process.exit(0);
    });
    return;
  }
  killRunning('SIGKILL');
  for (const part of installation.parts) part.kill();
  if (installation.context) stopSandboxesNow(installation.context);
  process.exit(130);
}

/** The Worker first: it must not answer the end of a sandbox by starting another. */
async function stopAll() {
  killRunning();
  const [demo, host, worker] = installation.parts;
  await worker?.stop();
  await host?.stop();
  await demo?.stop();
}

main().catch(async (error) => {
  if (installation.stopping) return installation.stopping;
  report(error);
  await stopAll();
  process.exit(1);
});
