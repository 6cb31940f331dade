/**
 * What a SessionAgent has stored, in its SQLite file below a home. While the Worker runs we read from a copy, so that
 * its own database is neither locked nor checkpointed by our looking; we write only when it is stopped.
 */
import fs from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

import { freshHome, removeHome } from './processes.mjs';

/** `{rows, wal}` of the session's database: rows in all tables, bytes of the write-ahead log. */
export function stored(home, session) {
  const copy = freshHome('db');
  try {
    for (const file of agentFiles(home)) {
      const rows = rowsOf(copyOf(file, copy), session);
      if (rows !== null) return { rows, wal: fs.statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0 };
    }
  } finally {
    removeHome(copy);
  }
  throw new Error(`no database of ${session} below ${home}`);
}

/** Makes the log of a session `length` events long by repeating what it has; the Worker must be stopped. */
export function lengthen(home, session, length) {
  for (const file of agentFiles(home)) {
    const db = new DatabaseSync(file);
    try {
      const core = coreOf(db);
      if (core?.spec.id !== session) continue;
      const repeat = `
        WITH RECURSIVE n(seq) AS (SELECT ${core.headSeq + 1} UNION ALL SELECT seq + 1 FROM n WHERE seq < ${length})
        INSERT INTO events (seq, at, body)
        SELECT n.seq, at, body FROM n JOIN events ON events.seq = 1 + (n.seq - 1) % ${core.headSeq}`;
      db.exec(repeat);
      db.prepare('UPDATE core SET body = ?').run(JSON.stringify({ ...core, headSeq: length }));
      return;
    } finally {
      db.close();
    }
  }
  throw new Error(`no database of ${session} below ${home}`);
}

function coreOf(db) {
  const known = db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'core'").get();
  return known && JSON.parse(db.prepare('SELECT body FROM core').get().body);
}

function agentFiles(home) {
  const data = path.join(home, 'data');
  return fs
    .readdirSync(data, { recursive: true })
    .filter((name) => name.includes('SessionAgent') && name.endsWith('.sqlite') && !name.endsWith('metadata.sqlite'))
    .map((name) => path.join(data, name));
}

function copyOf(file, dir) {
  const target = path.join(dir, path.basename(file));
  for (const suffix of ['', '-wal']) if (fs.existsSync(file + suffix)) fs.copyFileSync(file + suffix, target + suffix);
  return target;
}

function rowsOf(file, session) {
  const db = new DatabaseSync(file);
  try {
    const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all().map((row) => row.name);
    const own = tables.filter((name) => !name.startsWith('_cf') && !name.startsWith('sqlite_'));
    if (!own.includes('core') || !db.prepare('SELECT body FROM core').get()?.body.includes(session)) return null;
    return own.reduce((sum, name) => sum + db.prepare(`SELECT count(*) AS n FROM "${name}"`).get().n, 0);
  } finally {
    db.close();
  }
}
