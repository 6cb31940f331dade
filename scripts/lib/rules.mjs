/** The rules of the map that a search can check: who may depend on what, and where things may stand. */
import fs from 'node:fs';
import path from 'node:path';

import { ROOT } from './paths.mjs';
import { run } from './process.mjs';

const PURE_CRATES = ['errand-access', 'errand-protocol', 'errand-session'];
const IMPURE = /^(worker|worker-sys|wasm-bindgen|js-sys|web-sys|tokio|reqwest|hyper) v/;
const SQL = /"\s*(SELECT|INSERT|UPDATE|DELETE\s+FROM|CREATE\s+(UNIQUE\s+)?(TABLE|INDEX))\b/;
const BINDING = /\benv(?:\(\))?\s*\.\s*(var|secret|d1|bucket|durable_object|kv|queue|service)\(/;

/** All checks, each `{name, problems()}`; a problem is one line of text. */
export const RULES = [
  { name: 'access, protocol and session know no platform, no runtime and no clock', problems: impureDependencies },
  { name: 'only src/config reads environment bindings', problems: () => linesIn('src', BINDING, (file) => file === 'src/config.rs' || file.startsWith('src/config/')) },
  { name: 'SQL stands only in store.rs and src/d1', problems: () => [...linesIn('src', SQL, mayHoldSql), ...linesIn('crates', SQL, mayHoldSql)] },
];

async function impureDependencies() {
  const problems = [];
  for (const crate of PURE_CRATES) {
    const args = ['tree', '-p', crate, '-e', 'normal', '--prefix', 'none', '--target', 'all'];
    const { output } = await run('cargo', args, { cwd: ROOT, what: 'cargo tree' });
    const found = output.split('\n').filter((line) => IMPURE.test(line));
    problems.push(...found.map((line) => `${crate} depends on ${line}`));
    problems.push(...linesIn(crate.replace('errand-', 'crates/') + '/src', /\b(SystemTime|Instant)::now\b/, () => false));
  }
  return problems;
}

function mayHoldSql(file) {
  return file.startsWith('src/d1/') || /(^|\/)(store|schema)(\.rs|\/)/.test(file) || /(^|\/)tests(\/|\.rs$)/.test(file);
}

/** Lines below `dir` that match, outside the files that may hold them and outside of tests at a file's end. */
function linesIn(dir, pattern, allowed) {
  const found = [];
  for (const file of rustFiles(path.join(ROOT, dir))) {
    const name = path.relative(ROOT, file);
    if (allowed(name)) continue;
    const [code] = fs.readFileSync(file, 'utf8').split(/^#\[cfg\(test\)\]$/m);
    code.split('\n').forEach((line, index) => {
      if (pattern.test(line) && !/^\s*\/\//.test(line)) found.push(`${name}:${index + 1}: ${line.trim()}`);
    });
  }
  return found;
}

function rustFiles(dir) {
  return fs.readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.rs'))
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}
