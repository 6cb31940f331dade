/**
 * `npm run simulate`: builds the simulation (`crates/simulation`) and tells its stories on all cores. Prints seeds per
 * second and each finding with a shrunk trace; exits with 1 when there was one.
 */
import './lib/require-node.mjs';

import { spawn } from 'node:child_process';

import { say } from './lib/log.mjs';
import { ROOT } from './lib/paths.mjs';

const HELP = `npm run simulate -- [options]

  --seeds N      tell N stories (10,000)
  --from S       beginning with seed S (0)
  --seed X       tell one story, with its trace; shrunk when it goes wrong
  --whole        that one unshrunk
  --threads T    on so many threads (all cores)`;

/** Runs the simulation with our terminal; resolves to its exit code. */
function simulate(args) {
  const cargo = ['run', '--quiet', '--profile', 'simulation', '-p', 'errand-simulation', '--', ...args];
  return new Promise((resolve, reject) => {
    const child = spawn('cargo', cargo, { cwd: ROOT, stdio: 'inherit' });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 130));
  });
}

const args = process.argv.slice(2);
if (args.includes('--help')) say(HELP);
else process.exitCode = await simulate(args);
