/** Runs chaos with the options given as JSON and prints what came of it; scripts/chaos.mjs starts this. */
import fs from 'node:fs';
import path from 'node:path';

import { ROOT } from '../../scripts/lib/paths.mjs';
import { table } from './report.mjs';
import { chaos } from './run.mjs';

const options = JSON.parse(process.argv[2]);
const note = (text) => process.stderr.write(`  ${new Date().toISOString().slice(11, 19)} ${text}\n`);

const result = await chaos({ ...options, note });
const file = path.join(ROOT, 'target', 'chaos', `seed-${options.seed}.json`);
fs.mkdirSync(path.dirname(file), { recursive: true });
fs.writeFileSync(file, JSON.stringify(result, null, 1));
const summary = { options, counts: result.counts, recovery: result.recovery, turns: result.turns, findings: result.findings };
const text = options.json ? JSON.stringify(summary) : `${table(result)}\n\n  everything: ${path.relative(process.cwd(), file)}`;
const sound = Object.values(result.counts).every((count) => count === 0);
// A connection to something that was killed may never end by itself.
process.stdout.write(`${text}\n`, () => process.exit(sound ? 0 : 1));
