/**
 * Load (issue "a session", item 6): many sessions that stream at once, one session with very many viewers, viewers who
 * stop reading, viewers of idle sessions, a very long history; what each costs in memory, and what is left of it after
 * an idle minute. Runners that speak the real protocol stand in for the engines; `--engines N` runs real ones beside.
 */
import { Api } from '../lib/api.mjs';
import { Engines } from '../lib/engines.mjs';
import { cpuSeconds, rssBytes } from '../lib/proc.mjs';
import { startErrand } from '../lib/processes.mjs';
import { RelayRun } from '../lib/relay-run.mjs';
import { StandInHost } from '../lib/stand-in-host.mjs';
import { percentile } from '../lib/stats.mjs';
import { streamingSession, viewersOf } from '../lib/streaming-session.mjs';
import { history } from './history.mjs';
import { idleViewers } from './idle-viewers.mjs';
import { stalledViewers } from './stalled-viewers.mjs';

const SESSIONS = 50;
const VIEWERS_EACH = 3;
const RATE_EACH = 8;
const CROWD = 500;
const CROWD_RATE = 20;
const PART = 100;
const IDLE_MS = 75_000;
const MEGABYTE = 2 ** 20;

/** All of `load_*`. */
export async function load({ out, options }) {
  const engines = options.engines > 0 ? await Engines.start(options.engines, options, out) : null;
  try {
    await streaming({ out, options, engines });
  } finally {
    await engines?.stop();
  }
  for (const measure of [stalledViewers, idleViewers, history]) await measure({ out, options });
}

async function streaming({ out, options, engines }) {
  const host = await StandInHost.start();
  const worker = await startErrand({ hostUrl: host.url, buildDir: options.buildDir });
  const api = await Api.signIn(worker.url);
  const seconds = options.quick ? 5 : 20;
  const rss = (name, note) => out.figure(name, rssBytes(worker.workerd) / MEGABYTE, 'MB', 1, note);
  try {
    rss('load_rss_before', 'workerd, before the first session');
    await manySessions({ out, api, host, worker, seconds, rss });
    if (engines) await engines.figures(out);
    await manyViewers({ out, api, host, worker, seconds, rss });
    if (options.quick) return;
    out.progress('load: an idle minute');
    const before = cpuSeconds(worker.workerd);
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    rss('load_rss_idle_minute', 'workerd, all sessions closed, after 75 idle seconds');
    out.figure('load_cpu_idle_minute', cpuSeconds(worker.workerd) - before, 's', 1, 'CPU of workerd in these 75 s');
  } finally {
    api.close();
    await worker.stop();
    await host.stop();
  }
}

async function manySessions({ out, api, host, worker, seconds, rss }) {
  out.progress(`load: ${SESSIONS} sessions, ${VIEWERS_EACH} viewers each, ${SESSIONS * RATE_EACH} deltas/s in all`);
  const streams = [];
  for (let i = 0; i < SESSIONS; i += 1) streams.push(await opened(api, host, VIEWERS_EACH));
  const what = `${SESSIONS} sessions with ${VIEWERS_EACH} viewers, ${RATE_EACH} deltas/s each`;
  await measured({ out, prefix: 'load', worker, streams, rate: RATE_EACH, seconds, what });
  rss('load_rss_streaming', `workerd, ${what}`);
  await closed(api, streams);
}

async function manyViewers({ out, api, host, worker, seconds, rss }) {
  out.progress(`load: one session, ${CROWD} viewers, ${CROWD_RATE} deltas/s`);
  const stream = await opened(api, host, CROWD);
  const what = `one session with ${CROWD} viewers, ${CROWD_RATE} deltas/s`;
  await measured({ out, prefix: 'load_crowd', worker, streams: [stream], rate: CROWD_RATE, seconds, what });
  rss('load_crowd_rss', `workerd, ${what}`);
  await closed(api, [stream]);
}

async function opened(api, host, viewers) {
  const session = await streamingSession({ api, host });
  const run = await RelayRun.open({ link: session.link, viewers: viewersOf(api, session, viewers), perPart: PART });
  return { session, run };
}

/** All streams at once, each at `rate`; fails unless every viewer has every delta. */
async function measured({ out, prefix, worker, streams, rate, seconds, what }) {
  await Promise.all(streams.map(({ run }) => run.paced(rate, 1))); // Warm.
  const before = cpuSeconds(worker.workerd);
  const latencies = (await Promise.all(streams.map(({ run }) => run.paced(rate, seconds)))).flat();
  const cpu = (cpuSeconds(worker.workerd) - before) / seconds;
  for (const { session } of streams) {
    if (session.runner.failure) throw session.runner.failure;
    if (session.runner.resends > 0) throw new Error('the agent missed deltas');
  }
  out.figure(`${prefix}_delivered`, latencies.length / seconds, 'deltas/s', latencies.length, `${what}; complete at every viewer`);
  for (const p of [50, 99]) out.figure(`${prefix}_latency_p${p}`, percentile(latencies, p), 'ms', latencies.length, what);
  out.figure(`${prefix}_cpu`, cpu * 100, '% of core', 1, `workerd, ${what}`);
}

async function closed(api, streams) {
  for (const { session, run } of streams) {
    run.close();
    await session.runner.stop();
    await api.request('DELETE', `/api/sessions/${session.id}`);
  }
}
