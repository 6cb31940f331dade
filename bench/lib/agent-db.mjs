/**
 * What a SessionAgent has stored, read from its SQLite file below a home: from a copy, so that the Worker's own
 * database is neither locked nor checkpointed by our looking.
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
