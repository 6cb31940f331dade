/** Supervised parts: restart, stop, and what a killed supervisor leaves behind; locks and stamps beside them. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { tryLock } from '../lib/lock.mjs';
import { ROOT } from '../lib/paths.mjs';
import { groupRuns, killGroup, startTime } from '../lib/process.mjs';
import { endLeftovers, Part } from '../lib/supervisor.mjs';

let home;
before(() => {
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'errand-test-'));
});
after(() => fs.rmSync(home, { recursive: true, force: true }));

async function eventually(what, done) {
  const until = Date.now() + 15_000;
  while (!done()) {
    assert.ok(Date.now() < until, `waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A part with a child of its own, which ignores the request to end. */
function stubborn(name) {
  const script = `trap '' TERM; sh -c "trap '' TERM; while :; do sleep 1; done" & echo up; while :; do sleep 1; done`;
  return new Part({ name, home, stopAfterMs: 300, command: () => ({ file: 'sh', args: ['-c', script], env: process.env }) });
}

test('a part that ends is started again', async () => {
  const part = stubborn('restarted');
  part.start();
  const first = part.child.pid;
  killGroup(first, 'SIGKILL');
  await eventually('the second start', () => part.child.pid !== first && startTime(part.child.pid) !== null);
  await part.stop();
  assert.equal(groupRuns(part.child.pid), false);
  assert.equal(fs.existsSync(part.record), false);
});

test('stopping ends the whole group, also one that does not listen', async () => {
  const part = stubborn('stopped');
  part.start();
  await eventually('its output', () => part.logTail().includes('up'));
  const { pid } = part.child;
  await part.stop();
  assert.equal(groupRuns(pid), false);
});

test('what a killed supervisor left is ended by the next one, and a stranger with its number is not', async () => {
  const part = stubborn('left');
  part.start();
  await eventually('its output', () => part.logTail().includes('up'));
  const { pid } = part.child;
  part.stopping = true;
  const stranger = path.join(home, 'run', 'stranger.json');
  fs.writeFileSync(stranger, JSON.stringify({ pid: process.pid, start: 'another time' }));
  assert.deepEqual(await endLeftovers(home), ['left']);
  assert.equal(groupRuns(pid), false);
  assert.equal(fs.existsSync(stranger), false);
});

test('a lock belongs to one living process', async () => {
  const file = path.join(home, 'a.lock');
  const lock = tryLock(file, { port: 1 });
  assert.equal(tryLock(file).owner.port, 1);
  lock.release();
  const dead = spawn('true');
  await new Promise((resolve) => dead.once('exit', resolve));
  fs.writeFileSync(file, JSON.stringify({ pid: dead.pid, start: '1' }));
  const again = tryLock(file);
  assert.equal(again.owner, undefined, 'its owner is gone');
  again.release();
});

test('npm start says in one sentence what is wrong with its surroundings', async () => {
  const start = (env) => {
    const { status, stderr } = spawnSync(process.execPath, [path.join(ROOT, 'scripts', 'start.mjs')], {
      env: { ...process.env, ERRAND_HOME: home, ...env },
      encoding: 'utf8',
    });
    return { status, lines: stderr.trim().split('\n') };
  };
  assert.deepEqual(start({ ERRAND_PORT: 'x' }), { status: 1, lines: ['errand: ERRAND_PORT must be a number between 1 and 65535, not "x".'] });
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const port = String(server.address().port);
  assert.deepEqual(start({ ERRAND_PORT: port }), {
    status: 1,
    lines: [`errand: Port ${port} is taken by another program; choose another with ERRAND_PORT.`],
  });
  server.close();
  const lock = tryLock(path.join(home, 'run', 'start.lock'), { port: 4321 });
  const second = start({ ERRAND_PORT: port });
  lock.release();
  assert.equal(second.status, 1);
  assert.match(second.lines.join('\n'), /^errand: Errand already runs from .* \(process \d+\): http:\/\/localhost:4321$/);
});
