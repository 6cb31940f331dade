/** The measures, one after the other; started by main.mjs on a Node that is new enough. */
import os from 'node:os';
import path from 'node:path';

import { Output } from './lib/output.mjs';
import { attach } from './measures/attach.mjs';
import { durable } from './measures/durable.mjs';
import { llm } from './measures/llm.mjs';
import { load } from './measures/load.mjs';
import { relay } from './measures/relay.mjs';
import { sessions } from './measures/sessions.mjs';
import { start } from './measures/start.mjs';
import { worker } from './measures/worker.mjs';

/** Group → what it prints (as prefixes) and how. */
const GROUPS = {
  worker: { prints: ['worker_', 'bare_cold'], take: worker },
  relay: { prints: ['relay_', 'bare_'], take: relay },
  durable: { prints: ['durable_rows', 'durable_kb'], take: durable },
  attach: { prints: ['attach_', 'transcript_', 'durable_events'], take: attach },
  start: { prints: ['start_', 'engine_start', 'first_token', 'runner_rss', 'host_rss'], take: start },
  sessions: { prints: ['session_', 'list_', 'workerd_'], take: sessions },
  llm: { prints: ['llm_'], take: llm },
  load: { prints: ['load_'], take: load },
};

const args = JSON.parse(process.argv[2]);
const out = new Output({ quiet: args.json });
const options = {
  quick: args.quick,
  full: args.full,
  engines: Number(args.engines ?? 0),
  buildDir: args.build && path.resolve(args.build),
};

/** The groups that `--only` names, by their own name or by a figure's. */
function chosen(only) {
  if (!only) return Object.keys(GROUPS);
  const groups = only.split(',').map((name) => {
    const found = Object.keys(GROUPS).find((group) => name === group || GROUPS[group].prints.some((prefix) => name.startsWith(prefix)));
    if (!found) out.failed(name, `there are ${Object.keys(GROUPS).join(', ')}, and the figures that they print`);
    return found;
  });
  return Object.keys(GROUPS).filter((group) => groups.includes(group));
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));

for (const group of chosen(args.only)) {
  out.progress(`${group} …`);
  try {
    await GROUPS[group].take({ out, options });
  } catch (error) {
    out.failed(group, error);
  }
}
const note = `on ${os.cpus().length} cores, the bench's own share (about 2) included; more means that others worked here too`;
out.figure('machine_load', os.loadavg()[0], 'load', 1, note);
out.summary();
process.exit(out.failures.length > 0 ? 1 : 0);
