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
  llm_first_byte_added_p50: ['most', 3],
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
  load_100k_first_screen: ['most', 10],
  load_100k_first_screen_kb: ['most', 200],
  load_100k_vs_small: ['most', 1.3],
  load_idle_wakeups: ['most', 0],
  load_stalled_cut: ['least', 12],
  runner_rss: ['most', 15],
  workerd_rss_per_idle_session: ['most', 150],
};

/**
 * What the bare relay reached on the machine on which the bars were set (performance.md). A bar that is a time or a rate
 * of relaying is missed by any Worker on a slower or busy machine; how far it stands from the bare relay's figure of
 * the same run is what the Worker itself can do about it.
 */
const BARE = {
  relay_throughput_1: ['bare_throughput_1', 54_400],
  relay_throughput_10: ['bare_throughput_10', 11_200],
  relay_throughput_100: ['bare_throughput_100', 1220],
  relay_latency_p50_1: ['bare_latency_p50_1', 0.07],
  relay_latency_p99_1: ['bare_latency_p99_1', 0.3],
  relay_latency_p50_10: ['bare_latency_p50_10', 0.19],
  relay_latency_p99_10: ['bare_latency_p99_10', 0.4],
  relay_latency_p99_100: ['bare_latency_p99_100', 4.5],
  relay_cpu: ['bare_cpu', 0.14],
  relay_cpu_100: ['bare_cpu_100', 1.34],
  worker_cold_start: ['bare_cold_start', 39],
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

  /** All figures beside their bars, and beside the bare relay of this run. */
  summary() {
    if (this.quiet) return;
    const head = line('', 'here', '', 'bar', '', 'bare here', 'x bare', 'its bar');
    process.stderr.write(`\n${[head, ...this.rows.map((row) => this.line(row))].join('\n')}\n`);
    process.stderr.write('"x bare": the figure as a multiple of the bare relay\'s; "its bar": the same of the bar, on the machine where it was set.\n');
  }

  line({ name, value, unit }) {
    const [sense, bar] = BARS[name] ?? [];
    const beats = (figure, limit) => (sense === 'least' ? figure >= limit : figure <= limit);
    const beside = sense ? `${sense === 'least' ? '>=' : '<='} ${bar}` : '';
    let mark = sense ? (beats(value, bar) ? 'met' : 'MISSED') : '';
    const [bareName, bareThere] = BARE[name] ?? [];
    const bare = this.value(bareName);
    if (!bare) return line(name, value, unit, beside, mark, '', '', '');
    const [times, barTimes] = [value / bare, bar / bareThere];
    if (mark === 'MISSED' && beats(times, barTimes)) mark = 'met x bare';
    return line(name, value, unit, beside, mark, bare, rounded(times), rounded(barTimes));
  }
}

function line(name, value, unit, beside, mark, bare, times, barTimes) {
  const right = (text, width) => String(text).padStart(width);
  const left = `${name.padEnd(32)}${right(value, 9)} ${unit.padEnd(11)}${beside.padEnd(10)}${mark.padEnd(11)}`;
  return `${left}${right(bare, 10)}${right(times, 8)}${right(barTimes, 9)}`.trimEnd();
}
