/**
 * From creating a session to its first token, with all real parts as `npm start` runs them: sandbox host, runner,
 * OpenCode and the demo model. Also the memory of the host and of the runner.
 */
import { Api } from '../lib/api.mjs';
import { Following } from '../lib/following.mjs';
import { startInstallation } from '../lib/installation.mjs';
import { processWith, rssBytes } from '../lib/proc.mjs';
import { median } from '../lib/stats.mjs';

const PROMPT = 'Say in one sentence what this repository is.';
const STEPS = ['requested', 'booting', 'cloning', 'setup', 'engine', 'ready', 'turn', 'message', 'part', 'delta'];

/** `start_to_first_token`, `first_token_*`, `runner_rss`, `host_rss`. */
export async function start({ out, options }) {
  const installation = await startInstallation(options);
  try {
    const api = await Api.signIn(installation.url);
    await measured({ out, api, installation, repeats: options.quick ? 1 : 3 });
    api.close();
  } finally {
    await installation.stop();
  }
}

async function measured({ out, api, installation, repeats }) {
  const repo = { url: installation.sample };
  const cold = [];
  const warm = [];
  for (let i = 0; i < repeats; i += 1) {
    out.progress(`a session from nothing to its first token, ${i + 1} of ${repeats}`);
    const began = Date.now();
    const session = await api.json('POST', '/api/sessions', { repo, prompt: PROMPT });
    cold.push(await firstToken(api, session.id, began));
    warm.push(await nextToken(api, session.id));
    if (i === 0) memory(out, installation, session.id);
    await api.json('DELETE', `/api/sessions/${session.id}`);
  }
  figures(out, cold, warm);
}

function figures(out, cold, warm) {
  const middle = cold.find((run) => run.marks.delta === median(cold.map((one) => one.marks.delta)));
  const waterfall = STEPS.filter((step) => step in middle.marks).map((step) => `${step} ${middle.marks[step]}`);
  out.figure('start_to_first_token', middle.marks.delta, 'ms', cold.length, `ms after the request: ${waterfall.join(', ')}`);
  const engine = cold.map((run) => run.marks.ready - run.marks.engine);
  out.figure('engine_start', median(engine), 'ms', cold.length, 'from the step "engine" to ready');
  const beyond = cold.map((run) => run.marks.delta - (run.marks.ready - run.marks.engine));
  out.figure('first_token_beyond_engine', median(beyond), 'ms', cold.length, 'start_to_first_token without engine_start');
  out.figure('first_token_warm', median(warm), 'ms', warm.length, 'from a second prompt, in a sandbox that runs, to its first delta');
}

/** Follows a new session; resolves to the milliseconds after `began` at which each step was first seen. */
async function firstToken(api, session, began) {
  const viewer = new Following(api, session);
  const marks = {};
  const mark = (step, at) => {
    marks[step] ??= Math.round(at - began);
  };
  viewer.onEvent = (event) => {
    const at = Date.parse(event.at);
    if (event.type === 'sandbox.step') mark(event.step, at);
    if (event.type === 'sandbox.ready') mark('ready', at);
    if (event.type === 'turn.started') mark('turn', at);
    if (event.type === 'message.started') mark('message', at);
    if (event.type === 'part.started') mark('part', at);
  };
  const [delta] = await Promise.all([viewer.delta(), viewer.turnEnd()]);
  mark('delta', delta);
  viewer.close();
  return { marks };
}

/** From another prompt to its first delta. */
async function nextToken(api, session) {
  const viewer = new Following(api, session);
  await viewer.attached;
  const began = Date.now();
  const both = Promise.all([viewer.delta(), viewer.turnEnd()]);
  await Promise.race([both, api.json('POST', `/api/sessions/${session}/prompts`, { text: PROMPT })]);
  const [delta] = await both;
  viewer.close();
  return delta - began;
}

function memory(out, installation, session) {
  const megabytes = (of) => rssBytes(of) / 2 ** 20;
  out.figure('host_rss', megabytes(installation.hostPid), 'MB', 1, 'one sandbox, as npm start builds it');
  const runner = processWith('errand-runner', `ERRAND_SESSION=${session}`);
  out.figure('runner_rss', megabytes(runner), 'MB', 1, 'after two turns, as npm start builds it');
}
