/**
 * A lock that dies with its owner: a file with the owner's pid and start time. Used where two clones or two
 * starts could otherwise write the same thing.
 */
import fs from 'node:fs';
import path from 'node:path';

import { startTime } from './process.mjs';

/** Takes the lock or returns its living owner's record. `extra` is kept in the record. */
export function tryLock(file, extra = {}) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const record = JSON.stringify({ pid: process.pid, start: startTime(process.pid), ...extra });
  // Written beside and linked: whoever sees the file sees all of it.
  const draft = `${file}.${process.pid}`;
  fs.writeFileSync(draft, record);
  try {
    for (;;) {
      try {
        fs.linkSync(draft, file);
        return { release: () => fs.rmSync(file, { force: true }) };
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
      const owner = readOwner(file);
      if (owner && startTime(owner.pid) === owner.start) return { owner };
      fs.rmSync(file, { force: true });
    }
  } finally {
    fs.rmSync(draft, { force: true });
  }
}

/** Runs `work` while holding the lock, waiting for another owner first; `waiting(owner)` is called once a second meanwhile. */
export async function withLock(file, waiting, work) {
  let lock = tryLock(file);
  while (lock.owner) {
    waiting(lock.owner);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    lock = tryLock(file);
  }
  try {
    return await work();
  } finally {
    lock.release();
  }
}

function readOwner(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}
