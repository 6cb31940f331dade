/**
 * `npm test`: everything that must hold before a change lands, on a fresh clone too. Goes through all stages even
 * when one fails, prints the end of a failing stage's output, and ends with the line `N passed, N failed`.
 */
import './lib/require-node.mjs';

import { elapsed, report, say, step } from './lib/log.mjs';
import { endRunningOnSignals, tail } from './lib/process.mjs';
import { STAGES } from './lib/stages.mjs';
import { setup } from './setup.mjs';

const HELP = `npm test [-- --only name,name]   runs all stages, or the named ones and what they need:

${STAGES.map((stage) => `  ${stage.name.padEnd(14)}${stage.title}`).join('\n')}`;

/** The stages that the command line asks for, in their order; null when it asks for an unknown one. */
function chosen(args) {
  const at = args.findIndex((arg) => arg === '--only' || arg.startsWith('--only='));
  if (at < 0) return STAGES;
  const list = args[at].includes('=') ? args[at].split('=')[1] : (args[at + 1] ?? '');
  const names = new Set(list.split(',').filter(Boolean));
  if (names.size === 0 || [...names].some((name) => !STAGES.some((stage) => stage.name === name))) return null;
  for (const stage of STAGES.filter(({ name }) => names.has(name))) stage.needs?.forEach((need) => names.add(need));
  return STAGES.filter((stage) => names.has(stage.name));
}

/** Runs one stage; a stage that cannot run counts as one failure. */
async function runStage(stage, tools, broken) {
  const missing = stage.needs?.find((need) => broken.has(need));
  if (missing) return { passed: 0, failed: 1, output: `not run: the stage "${missing}" failed` };
  try {
    return await step(stage.title, (progress) => stage.run({ tools, progress }), (result) => result.failed > 0);
  } catch (error) {
    return { passed: 0, failed: 1, output: [error.detail, error.message ?? error].filter(Boolean).join('\n') };
  }
}

async function main() {
  const args = process.argv.slice(2);
  if (args.includes('--help')) return say(HELP);
  const stages = chosen(args);
  if (!stages) {
    say(HELP);
    process.exitCode = 2;
    return;
  }
  endRunningOnSignals();
  const has = (name) => stages.some((stage) => stage.name === name);
  const tools = await setup({ browser: has('browser'), api: has('api') });
  const lines = [];
  const broken = new Set();
  const total = { passed: 0, failed: 0 };
  for (const stage of stages) {
    const start = Date.now();
    const { passed, failed, output } = await runStage(stage, tools, broken);
    total.passed += passed;
    total.failed += failed;
    lines.push(`  ${failed > 0 ? '✗' : '✓'} ${stage.name.padEnd(14)}${String(passed).padStart(5)} passed ${String(failed).padStart(3)} failed   ${elapsed(start)}`);
    if (failed > 0) {
      broken.add(stage.name);
      say(`\n── ${stage.name} failed ──\n${tail(output, 120)}\n──`);
    }
  }
  say(`\n${lines.join('\n')}\n\n${total.passed} passed, ${total.failed} failed`);
  process.exitCode = total.failed > 0 ? 1 : 0;
}

main().catch((error) => {
  report(error);
  say('0 passed, 1 failed');
  process.exitCode = 1;
});
