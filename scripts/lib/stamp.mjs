/** Skips work whose inputs did not change: a hash over the contents of files and directories, kept as a stamp. */
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

import { ROOT, stampDir } from './paths.mjs';

const SKIP = new Set(['node_modules', 'dist', 'target', '.git', '.DS_Store', 'coverage']);

/** Hash of everything below `inputs` (paths in the clone; missing ones count as absent) and of `extra` texts. */
export function contentHash(inputs, extra = []) {
  const hash = crypto.createHash('sha256');
  for (const text of extra) hash.update(`${text}\0`);
  for (const input of inputs) addPath(hash, path.resolve(ROOT, input));
  return hash.digest('hex');
}

function addPath(hash, file) {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  const name = path.relative(ROOT, file);
  if (!stat) {
    hash.update(`absent ${name}\0`);
  } else if (stat.isDirectory()) {
    for (const entry of fs.readdirSync(file).sort()) {
      if (!SKIP.has(entry) && !entry.endsWith('.tsbuildinfo')) addPath(hash, path.join(file, entry));
    }
  } else if (stat.isFile()) {
    hash.update(`file ${name} ${stat.size}\0`).update(fs.readFileSync(file));
  } else if (stat.isSymbolicLink()) {
    hash.update(`link ${name} ${fs.readlinkSync(file)}\0`);
  }
}

/** Runs `work` unless the stamp `name` holds `hash` and all `outputs` exist; returns whether it ran. */
export async function unlessStamped(name, hash, outputs, work) {
  const stamp = path.join(stampDir(), name);
  const current = fs.existsSync(stamp) ? fs.readFileSync(stamp, 'utf8') : '';
  if (current === hash && outputs.every((file) => fs.existsSync(file))) return false;
  fs.rmSync(stamp, { force: true });
  await work();
  fs.mkdirSync(stampDir(), { recursive: true });
  fs.writeFileSync(stamp, hash);
  return true;
}
