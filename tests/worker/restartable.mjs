/**
 * The built Worker in a process of its own that tests kill and start again, as `npm start` runs it
 * (`scripts/worker.mjs`): its storage is kept, its address stays the same.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { freePort } from '../../scripts/lib/config.mjs';
import { Program } from '../lib/programs.mjs';
import { BUILD, clientOf, defaultVars } from './harness.mjs';

const SCRIPT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'scripts', 'worker.mjs');

/** Starts it. `kill()` ends every process of it at once, `start()` starts it again; the rest is as in `startWorker`. */
export async function startRestartable({ vars = {} } = {}) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'errand-worker-'));
  const port = await freePort();
  const options = { port, home, vars: { ...defaultVars(), ...vars }, buildDir: BUILD, clientDir: path.join(home, 'no-client') };
  const program = new Program({
    name: 'the Worker',
    command: () => ({ file: process.execPath, args: [SCRIPT, '--stdin'], env: process.env, input: `${JSON.stringify(options)}\n` }),
    ready: /worker listening on (\S+)/,
    logFile: path.join(home, 'worker.log'),
  });
  await program.start();
  const client = clientOf(`http://127.0.0.1:${port}`);
  return {
    ...client,
    start: () => program.start(),
    /** What it has printed since it was first started. */
    output: () => program.output,
    async kill() {
      client.hangUp();
      await program.end('SIGKILL');
    },
    async stop() {
      await this.kill();
      fs.rmSync(home, { recursive: true, force: true });
    },
  };
}
