/**
 * Where things are: the clone, the cache outside it, the installation's state. Reads the environment once per
 * call and touches nothing on disk.
 */
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The clone. */
export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Cargo's output; a developer's own CARGO_TARGET_DIR is respected. */
export function targetDir() {
  return path.resolve(ROOT, process.env.CARGO_TARGET_DIR || 'target');
}

/** Stamps of finished steps; they belong to the clone, not to the target directory that clones may share. */
export function stampDir() {
  return path.join(ROOT, 'target', 'errand-stamps');
}

/** Tools that several clones share, each in a directory with its version in the name. */
export function toolsDir() {
  const cache =
    process.env.ERRAND_CACHE ||
    path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'errand');
  return path.join(path.resolve(cache), 'tools');
}

/** All state of an installation. */
export function homeDir() {
  return path.resolve(ROOT, process.env.ERRAND_HOME || '.errand');
}

/** A binary that `build.mjs` made. */
export function nativeBinary(name) {
  return path.join(targetDir(), 'debug', name);
}
