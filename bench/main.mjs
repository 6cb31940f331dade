/**
 * `npm run bench`: drives the product from outside, through its public protocols, and prints one JSON object per line:
 * `{name, value, unit, n, note?}`. Exits non-zero when a measure could not be taken.
 */
import '../scripts/lib/require-node.mjs';

import { spawn } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { ROOT } from '../scripts/lib/paths.mjs';
import { modernNode } from '../scripts/lib/tools.mjs';

const HELP = `npm run bench -- [options]   prints one JSON object per line: {name, value, unit, n, note?}

  --only a,b     only these groups: worker, relay, durable, attach, start, sessions, llm, load (or any figure's name)
  --quick        short runs, for a smoke test; the figures mean little
  --full         also lists among 10,000 sessions
  --engines N    real engines that work beside the load (0.3 to 0.5 GB each)
  --json         nothing but the JSON
  --build DIR    measure the Worker built there, instead of building this clone's`;

const { values: args } = parseArgs({
  options: {
    help: { type: 'boolean' },
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    engines: { type: 'string' },
    json: { type: 'boolean', default: false },
    build: { type: 'string' },
  },
});

/** Runs a program with our stdout kept for figures; resolves to its exit code. */
function passThrough(file, argv, stdio) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, argv, { stdio });
    const pass = (signal) => child.kill(signal);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, pass);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(name, pass);
      resolve(signal ? 1 : code);
    });
  });
}

async function main() {
  if (args.help) return process.stdout.write(`${HELP}\n`);
  if (!args.build) {
    const code = await passThrough(process.execPath, [path.join(ROOT, 'scripts', 'build.mjs')], ['ignore', args.json ? 'ignore' : 2, 2]);
    if (code !== 0) throw new Error('the build failed');
  }
  // miniflare and node:sqlite need a newer Node than Errand's own minimum.
  const argv = [path.join(ROOT, 'bench', 'run.mjs'), JSON.stringify(args)];
  process.exitCode = await passThrough(await modernNode(), ['--disable-warning=ExperimentalWarning', ...argv], ['ignore', 1, 2]);
}

main().catch((error) => {
  process.stderr.write(`bench: ${error?.message ?? error}\n`);
  process.exitCode = 1;
});
