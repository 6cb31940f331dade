/** Runs schemathesis against a Worker, with the API's document. */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { ROOT } from '../../scripts/lib/paths.mjs';
import { run } from '../../scripts/lib/process.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
/** The document. */
export const DOCUMENT = path.join(ROOT, 'client', 'public', 'api', 'openapi.json');

/**
 * Sends requests for so many seconds, with these tokens of a person and a sandbox, or without any. Resolves to `{ok, output, answers}`, where `answers`
 * has for each operation how often it was answered with which status. The same seed makes the same requests, as far as
 * time allows.
 */
export async function fuzz({ url, ids, token, sandbox, seconds, seed, only = [] }) {
  const work = path.join(ROOT, 'target', 'schemathesis');
  fs.mkdirSync(work, { recursive: true });
  const answers = path.join(work, `answers-${process.pid}.json`);
  const args = [
    '-m', 'schemathesis.cli', '--no-color', '--config-file', path.join(HERE, 'schemathesis.toml'),
    'run', DOCUMENT, '--url', url, '--seed', String(seed), '--max-time', String(seconds), '--phases', 'coverage,fuzzing',
    // That it takes a credential is what the pass without one looks at.
    ...(token ? ['--exclude-checks', 'ignored_auth'] : []),
    ...only.flatMap((name) => ['--include-operation-id', name]),
  ];
  const env = {
    SCHEMATHESIS_HOOKS: 'hooks', PYTHONPATH: HERE, PYTHONDONTWRITEBYTECODE: '1',
    ERRAND_FUZZ_URL: url, ERRAND_FUZZ_IDS: JSON.stringify(ids), ERRAND_FUZZ_TOKEN: token ?? '',
    ERRAND_FUZZ_SANDBOX: sandbox ?? '', ERRAND_FUZZ_ANSWERS: answers,
  };
  const { code, output } = await run(python(), args, { cwd: work, env, check: false });
  if (!fs.existsSync(answers)) return { ok: false, output, answers: {} };
  const read = JSON.parse(fs.readFileSync(answers, 'utf8'));
  fs.rmSync(answers);
  return { ok: code === 0, output, answers: read };
}

function python() {
  const file = process.env.ERRAND_SCHEMATHESIS;
  if (!file) throw new Error('ERRAND_SCHEMATHESIS must be the Python that has schemathesis; npm test sets it.');
  return file;
}
