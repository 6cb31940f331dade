/** The sample repository: a git repository with one commit, made from `sandbox/sample-repo` at the first start. */
import fs from 'node:fs';
import path from 'node:path';

import { ROOT } from './paths.mjs';
import { run } from './process.mjs';

/** Makes `<home>/sample` unless it is there; returns its path, or null when the clone has no sample. */
export async function sampleRepository(home) {
  const source = path.join(ROOT, 'sandbox', 'sample-repo');
  const target = path.join(home, 'sample');
  if (fs.existsSync(path.join(target, '.git'))) return target;
  if (!fs.existsSync(source)) return null;
  const draft = `${target}.${process.pid}`;
  fs.rmSync(draft, { recursive: true, force: true });
  fs.cpSync(source, draft, { recursive: true });
  const git = (...args) =>
    run('git', ['-c', 'user.name=Errand', '-c', 'user.email=sample@errand.invalid', '-c', 'commit.gpgsign=false', ...args], {
      cwd: draft,
      // A person's own git configuration (hooks, templates, signing) has no part in the sample.
      env: { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' },
      what: 'making the sample repository',
    });
  await git('init', '-q', '-b', 'main');
  await git('add', '-A');
  await git('commit', '-q', '-m', 'A small program with a failing test');
  fs.rmSync(target, { recursive: true, force: true });
  fs.renameSync(draft, target);
  return target;
}
