/**
 * `npm run fuzz`: sends the Worker requests that its document allows and forbids, for as long as one likes, and says what
 * it should not have answered. The same as the stage `api` of `npm test`, with other numbers.
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

const HELP = `npm run fuzz -- [options]

  --seconds N   how long in all (300)
  --seed S      decides the requests; a whole number (the time)
  --no-build    what is built already`;

function options() {
  const { values } = parseArgs({
    allowNegative: true,
    options: {
      help: { type: 'boolean' },
      seconds: { type: 'string', default: '300' },
      seed: { type: 'string', default: String(Math.floor(Date.now() / 1000) % 1_000_000) },
      build: { type: 'boolean', default: true },
    },
  });
  if (values.help) return null;
  for (const name of ['seconds', 'seed']) {
    if (!/^\d+$/.test(values[name])) throw new Error(`--${name} must be a whole number`);
  }
  return values;
}

async function main() {
  const chosen = options();
  if (!chosen) return say(HELP);
  endRunningOnSignals();
  const tools = await setup({ api: true });
  if (chosen.build) await build(tools);
  say(`seed ${chosen.seed}, ${chosen.seconds} seconds`);
  const env = { ...process.env, ERRAND_FUZZ_SECONDS: chosen.seconds, ERRAND_FUZZ_SEED: chosen.seed, ERRAND_SCHEMATHESIS: tools.schemathesis };
  const argv = ['--test', '--test-reporter=spec', path.join(ROOT, 'tests', 'api', 'api.test.mjs')];
  const child = spawn(tools.node, argv, { stdio: ['ignore', 1, 2], env });
  process.exitCode = await new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ? 1 : code)));
}

main().catch((error) => {
  report(error);
  process.exitCode = 1;
});
