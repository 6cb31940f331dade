/**
 * What the bench prints: one JSON object per line on stdout, progress and the closing table on stderr. Also owns the
 * bars, so that the table can say which figure misses its own.
 */
import { rounded } from './stats.mjs';

/** Name → `[least|most, value]`; a figure without a bar is for comparison only. */
const BARS = {
  relay_throughput_1: ['least', 40_000],
  relay_throughput_10: ['least', 60_000],
  relay_throughput_100: ['least', 30_000],
  relay_latency_p50_1: ['most', 0.25],
  relay_latency_p99_1: ['most', 1.0],
  relay_latency_p50_10: ['most', 0.4],
  relay_latency_p99_10: ['most', 1.5],
  relay_latency_p99_100: ['most', 16],
  relay_cpu: ['most', 0.19],
  relay_cpu_vs_bare: ['most', 1.4],
  relay_cpu_100: ['most', 0.7],
  durable_rows_per_1000_deltas: ['most', 30],
  durable_kb_per_1000_deltas: ['most', 250],
  attach_10k_events: ['most', 10],
  attach_10k_events_kb: ['most', 200],
  attach_10k_events_all: ['most', 400],
  session_create_p50: ['most', 10],
  session_create_p99: ['most', 30],
  session_create_per_s: ['least', 150],
  list_1000_sessions_p50: ['most', 3],
  list_1000_sessions_p99: ['most', 12],
  list_1000_sessions_per_s: ['least', 800],
  list_10000_sessions_p50: ['most', 3],
  list_10000_sessions_p99: ['most', 12],
  list_10000_sessions_per_s: ['least', 800],
  worker_gzip_bytes: ['most', 700 * 1024],
  worker_cold_start: ['most', 120],
  first_token_beyond_engine: ['most', 300],
  runner_rss: ['most', 15],
  workerd_rss_per_idle_session: ['most', 150],
};

/** Collects and prints figures. `quiet` leaves stdout's JSON alone. */
export class Output {
  constructor({ quiet }) {
    this.quiet = quiet;
    this.rows = [];
    this.failures = [];
  }

  /** One figure. `n` is how many samples or units it stands on. */
  figure(name, value, unit, n, note) {
    const row = { name, value: rounded(value), unit, n, ...(note && { note }) };
    this.rows.push(row);
    process.stdout.write(`${JSON.stringify(row)}\n`);
  }

  /** A figure of this run, for those that compare. */
  value(name) {
    return this.rows.find((row) => row.name === name)?.value;
  }

  /** A measure that could not be taken. */
  failed(measure, error) {
    this.failures.push(measure);
    process.stderr.write(`bench: ${measure} could not be measured: ${error?.stack ?? error}\n`);
  }

  progress(text) {
    if (!this.quiet) process.stderr.write(`  ${text}\n`);
  }

  /** All figures beside their bars. */
  summary() {
    if (this.quiet) return;
    const lines = this.rows.map((row) => {
      const [sense, bar] = BARS[row.name] ?? [];
      const met = sense === 'least' ? row.value >= bar : row.value <= bar;
      const beside = sense ? `${sense === 'least' ? '>=' : '<='} ${bar}` : '';
      const mark = sense ? (met ? 'met' : 'MISSED') : '';
      return `${row.name.padEnd(34)}${String(row.value).padStart(10)} ${row.unit.padEnd(12)}${beside.padEnd(12)}${mark}`;
    });
    process.stderr.write(`\n${lines.join('\n')}\n`);
  }
}
