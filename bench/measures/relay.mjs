/** Relaying: latency, CPU and throughput of deltas from the runner's socket to the viewers', beside the bare relay. */
import { once } from 'node:events';

import WebSocket from 'ws';

import { Api } from '../lib/api.mjs';
import { cpuSeconds } from '../lib/proc.mjs';
import { startBare, startErrand } from '../lib/processes.mjs';
import { RelayRun } from '../lib/relay-run.mjs';
import { StandInHost } from '../lib/stand-in-host.mjs';
import { median, percentile } from '../lib/stats.mjs';
import { streamingSession, viewersOf } from '../lib/streaming-session.mjs';

const VIEWERS = [1, 10, 100];
const RATE = 200;
/** A part of the paced runs is an answer of some pages; of the flood, half as long as previews go (256 KiB). */
const PACED_PART = 1000;
const FLOOD_PART = 4000;
const NOTE = 'runner and viewers in one process, one clock';

/** All of `relay_*` and `bare_*`. */
export async function relay({ out, options }) {
  for (const [prefix, open] of [['bare', openBare], ['relay', openErrand]]) {
    const target = await open(options);
    try {
      await measured(prefix, target, out, options);
    } finally {
      await target.stop();
    }
  }
  const [ours, bare] = [out.value('relay_cpu'), out.value('bare_cpu')];
  out.figure('relay_cpu_vs_bare', ours / bare, 'ratio', 1, '10 viewers, 200 deltas/s');
}

async function measured(prefix, target, out, { quick }) {
  const seconds = quick ? 1 : 6;
  const repeats = quick ? 1 : 3;
  for (const count of VIEWERS) {
    out.progress(`${prefix}: 200 deltas/s, ${count} viewers`);
    const runs = await target.with(count, PACED_PART, (run) => repeated(repeats, () => paced(run, target, seconds)));
    const n = RATE * seconds * repeats;
    for (const p of [50, 99]) {
      const value = median(runs.map((one) => percentile(one.latencies, p)));
      out.figure(`${prefix}_latency_p${p}_${count}`, value, 'ms', n * count, `200 deltas/s; ${NOTE}`);
    }
    const cpu = median(runs.map((one) => one.cpu));
    out.figure(count === 10 ? `${prefix}_cpu` : `${prefix}_cpu_${count}`, cpu, 's/1000', n, `200 deltas/s, ${count} viewers`);
  }
  for (const count of VIEWERS) {
    out.progress(`${prefix}: as fast as it goes, ${count} viewers`);
    const runs = await target.with(count, FLOOD_PART, (run) => repeated(repeats, () => flood(run, target, quick ? 1 : 4)));
    const note = `complete at every viewer, in parts of ${FLOOD_PART} deltas of 32 characters; ${NOTE}`;
    out.figure(`${prefix}_throughput_${count}`, median(runs.map((one) => one.rate)), 'deltas/s', repeats, note);
    const cpu = median(runs.map((one) => one.cpu));
    out.figure(`${prefix}_throughput_cpu_${count}`, cpu, 's/1000', repeats, 'CPU of workerd at that rate; its inverse is what one core can do');
  }
}

async function paced(run, target, seconds) {
  await run.paced(RATE, 0.5); // Warm: code compiled, sockets known.
  const before = cpuSeconds(target.workerd);
  const latencies = await run.paced(RATE, seconds);
  return { latencies, cpu: ((cpuSeconds(target.workerd) - before) / (RATE * seconds)) * 1000 };
}

async function flood(run, target, seconds) {
  const before = cpuSeconds(target.workerd);
  const { rate, deltas } = await run.flood(seconds);
  return { rate, cpu: ((cpuSeconds(target.workerd) - before) / deltas) * 1000 };
}

async function repeated(times, work) {
  const results = [];
  for (let i = 0; i < times; i += 1) results.push(await work());
  return results;
}

/** Errand with a stand-in host: `{workerd, with(viewers, perPart, work), stop()}`. */
async function openErrand({ buildDir }) {
  const host = await StandInHost.start();
  const worker = await startErrand({ hostUrl: host.url, buildDir });
  const api = await Api.signIn(worker.url);
  return {
    workerd: worker.workerd,
    async with(count, perPart, work) {
      const session = await streamingSession({ api, host });
      const run = await RelayRun.open({ link: session.link, viewers: viewersOf(api, session, count), perPart });
      const result = await work(run);
      run.close();
      if (session.runner.failure) throw session.runner.failure;
      if (session.runner.resends > 0) throw new Error(`the agent missed deltas ${session.runner.resends} times`);
      await session.runner.stop();
      await api.json('DELETE', `/api/sessions/${session.id}`);
      return result;
    },
    async stop() {
      api.close();
      await worker.stop();
      await host.stop();
    },
  };
}

async function openBare() {
  const worker = await startBare();
  const url = worker.url.replace('http', 'ws');
  return {
    workerd: worker.workerd,
    async with(count, perPart, work) {
      const socket = new WebSocket(`${url}/sender`, { perMessageDeflate: false });
      await once(socket, 'open');
      // The same traffic as ours, so that both carry the same bytes.
      const send = (type, partId, text) => socket.send(JSON.stringify({ type, partId, text }));
      const link = { socket, begin: (id) => send('begin', id, ''), end: (id, text) => send('end', id, text) };
      const viewers = { count, url: `${url}/viewer`, greeted: false };
      const run = await RelayRun.open({ link, viewers, perPart });
      const result = await work(run);
      run.close();
      socket.close();
      await once(socket, 'close');
      return result;
    },
    stop: () => worker.stop(),
  };
}
