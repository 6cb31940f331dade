/**
 * The stages of `npm test`, in order. Each is `{name, title, needs?, run({tools, progress})}`; `run` resolves to
 * `{passed, failed, output}` or rejects. A stage that only checks something counts as one test.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { build } from '../build.mjs';
import { cargoCounts, nodeCounts, vitestCounts } from './counts.mjs';
import { ROOT } from './paths.mjs';
import { run } from './process.mjs';
import { RULES } from './rules.mjs';

const DENY = ['--', '-D', 'warnings'];

export const STAGES = [
  { name: 'format', title: 'Rust is formatted', run: check('cargo', ['fmt', '--all', '--check', '--', '--color', 'never']) },
  { name: 'rules', title: 'the rules of the map', run: rules },
  { name: 'clippy', title: 'clippy, native', run: check('cargo', ['clippy', '--workspace', '--all-targets', ...DENY]) },
  {
    name: 'clippy-wasm',
    title: 'clippy, WASM',
    run: check('cargo', ['clippy', '--lib', '--target', 'wasm32-unknown-unknown', ...DENY]),
  },
  { name: 'types', title: 'the generated TypeScript is up to date', run: generatedTypes },
  { name: 'client-check', title: 'the client: types and lint', run: clientChecks },
  { name: 'client', title: 'the client: unit tests', run: clientTests },
  { name: 'scripts', title: 'scripts and demo model', run: nodeTests(['scripts/tests', 'sandbox/demo-model'], { node: 'own' }) },
  { name: 'native', title: 'native tests', run: nativeTests },
  { name: 'build', title: 'build of everything', run: buildAll },
  { name: 'worker', title: 'the Worker in workerd', needs: ['build'], run: nodeTests(['tests/worker'], { atOnce: 2 }) },
  { name: 'api', title: 'the API against its document', needs: ['build'], run: nodeTests(['tests/api']) },
  { name: 'e2e', title: 'end to end, with the real engine', needs: ['build'], run: nodeTests(['tests/e2e']) },
  { name: 'chaos', title: 'faults on the real system', needs: ['build'], run: nodeTests(['tests/chaos']) },
  { name: 'browser', title: 'in the browser', needs: ['build'], run: nodeTests(['tests/browser'], { atOnce: 2 }) },
];

/** A program whose exit code is the result. */
function check(command, args) {
  return async ({ progress }) => {
    const { code, output } = await run(command, args, { cwd: ROOT, progress, check: false });
    return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, output };
  };
}

async function rules() {
  const result = { passed: 0, failed: 0, output: '' };
  for (const rule of RULES) {
    const problems = await rule.problems();
    result[problems.length === 0 ? 'passed' : 'failed'] += 1;
    if (problems.length > 0) result.output += `${rule.name}:\n  ${problems.join('\n  ')}\n`;
  }
  return result;
}

async function generatedTypes({ progress }) {
  const fresh = fs.mkdtempSync(path.join(os.tmpdir(), 'errand-types-'));
  try {
    const args = ['test', '-p', 'errand-protocol', '--features', 'ts', 'export_bindings'];
    await run('cargo', args, { cwd: ROOT, env: { TS_RS_EXPORT_DIR: fresh }, progress, what: 'generating the types' });
    const wanted = texts(fresh);
    const committed = texts(path.join(ROOT, 'client', 'src', 'protocol'));
    const names = new Set([...wanted.keys(), ...committed.keys()]);
    const stale = [...names].filter((name) => wanted.get(name) !== committed.get(name));
    const output = stale.map((name) => `client/src/protocol/${name} is stale; run cargo test -p errand-protocol --features ts`);
    return { passed: stale.length === 0 ? 1 : 0, failed: stale.length === 0 ? 0 : 1, output: output.join('\n') };
  } finally {
    fs.rmSync(fresh, { recursive: true, force: true });
  }
}

function texts(dir) {
  const files = fs.readdirSync(dir, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile());
  return new Map(files.map((entry) => {
    const file = path.join(entry.parentPath ?? entry.path, entry.name);
    return [path.relative(dir, file), fs.readFileSync(file, 'utf8')];
  }));
}

async function clientChecks({ progress }) {
  const total = { passed: 0, failed: 0, output: '' };
  for (const script of ['typecheck', 'lint']) {
    const { passed, failed, output } = await check('npm', ['--prefix', 'client', 'run', script])({ progress });
    total.passed += passed;
    total.failed += failed;
    if (failed > 0) total.output += output;
  }
  return total;
}

async function clientTests({ progress }) {
  const env = { NO_COLOR: '1', CI: '1' };
  const { code, output } = await run('npm', ['--prefix', 'client', 'run', 'test'], { cwd: ROOT, env, progress, check: false });
  return counted(vitestCounts(output), code, output);
}

async function nativeTests({ tools, progress }) {
  const env = { ERRAND_ENGINE: tools.opencode };
  const args = ['test', '--workspace', '--no-fail-fast'];
  const { code, output } = await run('cargo', args, { cwd: ROOT, env, progress, check: false });
  return counted(cargoCounts(output), code, output);
}

async function buildAll({ tools }) {
  await build(tools);
  return { passed: 1, failed: 0, output: '' };
}

/** All `*.test.mjs` below the directories, one file after the other if nothing else is said: each may start a whole installation. */
function nodeTests(dirs, { node = 'modern', atOnce = 1 } = {}) {
  return async ({ tools, progress }) => {
    const files = dirs.flatMap((dir) => testFiles(path.join(ROOT, dir)));
    if (files.length === 0) return { passed: 0, failed: 1, output: `no tests in ${dirs.join(', ')}` };
    const program = node === 'own' ? process.execPath : tools.node;
    // Forced: a socket whose other end was killed can keep Node at its exit for ever, long after the last test.
    const args = ['--test', '--test-force-exit', `--test-concurrency=${atOnce}`, '--test-reporter=spec', ...files];
    const env = {
      ERRAND_ENGINE: tools.opencode, CHROME_PATH: tools.chromium ?? '', ERRAND_SCHEMATHESIS: tools.schemathesis ?? '', NO_COLOR: '1',
    };
    const { code, output } = await run(program, args, { cwd: ROOT, env, progress, check: false });
    return counted(nodeCounts(output), code, output);
  };
}

function testFiles(dir) {
  if (!fs.existsSync(dir)) return [];
  return fs.readdirSync(dir, { recursive: true })
    .filter((name) => name.endsWith('.test.mjs') && !name.includes('node_modules'))
    .sort()
    .map((name) => path.join(dir, name));
}

/** A runner that fails without a failed test (a crash, a syntax error) is one failure. */
function counted({ passed, failed }, code, output) {
  return { passed, failed: code !== 0 && failed === 0 ? 1 : failed, output };
}
