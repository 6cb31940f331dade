/** The wall clock of Worker, host and model, which jumps when told to; sandboxes keep the real one. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('./clock.c', import.meta.url));

export class Clock {
  /** How far it is ahead of the real one, in milliseconds. */
  offset = 0;

  /** A clock whose files are in `directory`; one that cannot jump where no C compiler is or programs cannot be preloaded. */
  constructor(directory) {
    this.file = path.join(directory, 'clock');
    this.#write();
    const library = path.join(directory, 'clock.so');
    const made = process.platform === 'linux' && spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, SOURCE]).status === 0;
    /** For the environment of the programs that are to follow it. */
    this.env = made ? { LD_PRELOAD: library, ERRAND_CHAOS_CLOCK: this.file } : null;
  }

  now() {
    return Date.now() + this.offset;
  }

  jump(ms) {
    this.offset += ms;
    this.#write();
  }

  #write() {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(this.offset));
    // In place: the programs have the file mapped.
    const file = fs.openSync(this.file, fs.existsSync(this.file) ? 'r+' : 'w');
    fs.writeSync(file, bytes, 0, 8, 0);
    fs.closeSync(file);
  }
}
