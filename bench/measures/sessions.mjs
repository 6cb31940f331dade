/** Making sessions, listing them, and what an idle one costs in memory. */
import { Api } from '../lib/api.mjs';
import { rssBytes } from '../lib/proc.mjs';
import { removeHome, startErrand } from '../lib/processes.mjs';
import { StandInHost } from '../lib/stand-in-host.mjs';
import { percentile } from '../lib/stats.mjs';

const CLIENTS = 8;
const IDLE_MS = 75_000;

/** `session_create_*`, `list_*_sessions_*`, `workerd_rss_per_*_session`. */
export async function sessions({ out, options }) {
  const host = await StandInHost.start();
  const worker = await startErrand({ hostUrl: host.url, buildDir: options.buildDir });
  const api = await Api.signIn(worker.url);
  const bench = new Sessions(api, out);
  try {
    await bench.create(20); // Warm.
    const before = rssBytes(worker.workerd);
    await bench.created(options.quick ? 30 : 300);
    await bench.createdTogether(options.quick ? 70 : 680);
    await bench.idle(worker.workerd, before, bench.made - 20, options.quick);
    await bench.listed('list_1000_sessions', options.quick);
    if (options.full) {
      out.progress('creating 10,000 sessions …');
      await bench.createMany(10_000 - bench.made);
      await bench.listed('list_10000_sessions', options.quick);
    }
  } finally {
    api.close();
    await worker.stop();
    await host.stop();
    removeHome(worker.home);
  }
}

class Sessions {
  constructor(api, out) {
    this.api = api;
    this.out = out;
    this.made = 0;
  }

  async one() {
    this.made += 1;
    await this.api.request('POST', '/api/sessions', { title: `Session ${this.made} of the bench` });
  }

  async create(count) {
    return timed(count, 1, () => this.one());
  }

  async createMany(count) {
    return timed(count, CLIENTS, () => this.one());
  }

  async created(count) {
    const { times } = await this.create(count);
    const note = 'one after the other, no prompt';
    this.out.figure('session_create_p50', percentile(times, 50), 'ms', count, note);
    this.out.figure('session_create_p99', percentile(times, 99), 'ms', count, note);
  }

  async createdTogether(count) {
    const { seconds } = await this.createMany(count);
    this.out.figure('session_create_per_s', count / seconds, 'sessions/s', count, `${CLIENTS} at a time`);
  }

  async idle(workerd, before, count, quick) {
    await new Promise((resolve) => setTimeout(resolve, 2000)); // Lets the registry's and the log's last writes pass.
    const each = () => (rssBytes(workerd) - before) / 1024 / count;
    this.out.figure('workerd_rss_per_fresh_session', each(), 'KB', count, 'growth of RSS by sessions made just before');
    if (quick) return;
    this.out.progress('an idle minute, after which workerd evicts objects');
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    this.out.figure('workerd_rss_per_idle_session', each(), 'KB', count, 'the same after 75 idle seconds');
  }

  async listed(name, quick) {
    const count = quick ? 50 : 400;
    const list = async () => {
      const { sessions: page } = await this.api.json('GET', '/api/sessions?limit=50');
      if (page.length !== 50) throw new Error(`a page of ${page.length} sessions`);
    };
    await timed(10, 1, list); // Warm.
    const { times } = await timed(count, 1, list);
    const note = `50 of ${this.made}`;
    this.out.figure(`${name}_p50`, percentile(times, 50), 'ms', count, note);
    this.out.figure(`${name}_p99`, percentile(times, 99), 'ms', count, note);
    const { seconds } = await timed(count * 2, CLIENTS, list);
    this.out.figure(`${name}_per_s`, (count * 2) / seconds, 'requests/s', count * 2, `${note}, ${CLIENTS} at a time`);
  }
}

/** Calls `work` `count` times from `clients` clients: each call's milliseconds, and the seconds of all. */
async function timed(count, clients, work) {
  const times = [];
  const start = performance.now();
  let left = count;
  const client = async () => {
    while (left > 0) {
      left -= 1;
      const began = performance.now();
      await work();
      times.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return { times, seconds: (performance.now() - start) / 1000 };
}
