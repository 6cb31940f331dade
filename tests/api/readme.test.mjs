/** What the README tells people to type does what it says. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { ROOT } from '../../scripts/lib/paths.mjs';
import { PATIENCE } from '../worker/harness.mjs';
import { startWorld } from './world.mjs';

/** `jq -r .name`, for machines without jq. */
const JQ = `#!/usr/bin/env node
const [flag, name] = process.argv.slice(2);
if (flag !== '-r' || !/^[.][a-z]+$/.test(name)) process.exit(2);
console.log(JSON.parse(require('node:fs').readFileSync(0, 'utf8'))[name.slice(1)]);
`;

let world;
let home;
before(async () => {
  world = await startWorld();
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'errand-readme-'));
  fs.writeFileSync(path.join(home, 'jq'), JQ, { mode: 0o755 });
});
after(async () => {
  await world.stop();
  fs.rmSync(home, { recursive: true, force: true });
});

/** The commands below a heading, for this Worker instead of the one that the README speaks of. */
function commands(heading) {
  const text = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8');
  const block = text.split(`## ${heading}\n`)[1]?.match(/```sh\n([^`]+)```/)?.[1];
  assert.ok(block?.includes('localhost:8787'), `the README has commands below "${heading}"`);
  return block
    .replaceAll('localhost:8787', new URL(world.worker.url).host)
    .replaceAll('SESSION_ID', world.ids.ses[1])
    .replaceAll('"login":"ada"', '"login":"owner"')
    .replaceAll(/\\\n\s*/g, '')
    .trim()
    .split('\n');
}

/** Runs commands until `enough` holds of what they print, or they end. */
function shell(lines, enough = () => false) {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', lines.join('\n')], {
    env: { ...process.env, PATH: `${home}:${process.env.PATH}` },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  const end = () => process.kill(-child.pid, 'SIGKILL');
  const late = setTimeout(end, PATIENCE);
  const take = (chunk) => {
    output += chunk;
    if (enough(output)) end();
  };
  child.stdout.setEncoding('utf8').on('data', take);
  child.stderr.setEncoding('utf8').on('data', take);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(late);
      resolve({ code, output });
    });
  });
}

test('a script signs in, makes a session and reads its log', async () => {
  const [signIn, make, read, ...more] = commands('Use it from a script');
  assert.deepEqual(more, [], 'three commands, each looked at here');
  const made = await shell([signIn, make]);
  assert.equal(made.code, 0, made.output);
  const session = JSON.parse(made.output);
  assert.match(session.id, /^ses_/);
  assert.equal(session.repo.url, '/path/to/a/repository');
  const log = await shell([signIn, read], (output) => output.includes('session.created'));
  assert.match(log.output, /^id: 1$/m);
  assert.match(log.output, /^data: \{"seq":1,.*"type":"session\.created"/m);
});
