/**
 * `npm run chaos`: strikes the real system with faults while sessions work, and says what was lost, what happened
 * twice, what hangs and what was left behind. Exits non-zero unless all four are zero.
 */
import './lib/require-node.mjs';

import { spawn } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { build } from './build.mjs';
import { report, say } from './lib/log.mjs';
import { ROOT } from './lib/paths.mjs';
import { endRunningOnSignals } from './lib/process.mjs';
import { setup } from './setup.mjs';

const HELP = `npm run chaos -- [options]

  --faults N     how many (50)
  --seed S       decides scripts and faults; a whole number (the time)
  --sessions K   at work at once; each engine takes 0.3 to 0.5 GB (4)
  --minutes M    no fault later than this (60)
  --kinds a,b    only faults whose name holds one of these, e.g. kill, pause, disturb, disk
  --no-build     what is built already
  --json         one line of JSON instead of the table

Deadlines are shorter than the product's (tests/chaos/installation.mjs). The whole record of a run, logs of all
sessions included, goes to target/chaos/seed-S.json.`;

function options() {
  const { values } = parseArgs({
    allowNegative: true,
    options: {
      help: { type: 'boolean' },
      faults: { type: 'string', default: '50' },
      seed: { type: 'string', default: String(Math.floor(Date.now() / 1000) % 1_000_000) },
      sessions: { type: 'string', default: '4' },
      minutes: { type: 'string', default: '60' },
      kinds: { type: 'string' },
      build: { type: 'boolean', default: true },
      json: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  const whole = (name, least) => {
    const number = Number(values[name]);
    if (!Number.isInteger(number) || number < least) throw new Error(`--${name} must be a whole number from ${least} on`);
    return number;
  };
  return {
    faults: whole('faults', 0), seed: whole('seed', 0), sessions: whole('sessions', 1), minutes: whole('minutes', 1),
    kinds: values.kinds?.split(','), build: values.build, json: values.json,
  };
}

async function main() {
  const chosen = options();
  if (!chosen) return say(HELP);
  endRunningOnSignals();
  const tools = await setup();
  if (chosen.build) await build(tools);
  const argv = ['--disable-warning=ExperimentalWarning', path.join(ROOT, 'tests', 'chaos', 'main.mjs'), JSON.stringify(chosen)];
  // Signals of the terminal reach it too, and it ends what it started; others are passed on.
  const child = spawn(tools.node, argv, { stdio: ['ignore', 1, 2] });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.removeAllListeners(signal);
    process.on(signal, () => child.kill(signal));
  }
  process.exitCode = await new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ? 1 : code)));
}

main().catch((error) => {
  report(error);
  process.exitCode = 1;
});
