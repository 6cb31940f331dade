/** What the engine itself has on record of a session: its SQLite database, in the newest sandbox's directory. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/**
 * `{users: [{id, text}], messages: Map(id → {completed, error}), parts: Map(id → part)}` of the session's conversation,
 * sub-agents' included; null when no sandbox of it is there.
 */
export function engineRecord(home, session) {
  const file = newestDatabase(path.join(home, 'host', 'sandboxes'), session);
  if (!file) return null;
  // From a copy: looking must not lock, checkpoint or change the engine's own file.
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'errand-chaos-db-'));
  try {
    const target = path.join(copy, 'opencode.db');
    for (const suffix of ['', '-wal']) if (fs.existsSync(file + suffix)) fs.copyFileSync(file + suffix, target + suffix);
    return read(target);
  } finally {
    fs.rmSync(copy, { recursive: true, force: true });
  }
}

/** The workspace of the session's newest sandbox. */
export function workspace(home, session) {
  const file = newestDatabase(path.join(home, 'host', 'sandboxes'), session);
  return file && path.join(file, '../../../../workspace');
}

function newestDatabase(sandboxes, session) {
  const generation = (name) => Number(name.split('-').at(-1));
  return fs
    .readdirSync(sandboxes)
    .filter((name) => name.startsWith(`sbx-${session}-`))
    .sort((a, b) => generation(b) - generation(a))
    .map((name) => path.join(sandboxes, name, 'state', 'data', 'opencode', 'opencode.db'))
    .find((file) => fs.existsSync(file));
}

function read(file) {
  const db = new DatabaseSync(file);
  try {
    const data = (table) => db.prepare(`SELECT * FROM ${table} ORDER BY id`).all().map((row) => ({ ...JSON.parse(row.data), id: row.id, message: row.message_id, session: row.session_id }));
    const roots = new Set(db.prepare('SELECT id FROM session WHERE parent_id IS NULL').all().map((row) => row.id));
    const messages = data('message');
    const parts = data('part');
    const textOf = (id) => parts.filter((part) => part.message === id && part.type === 'text').map((part) => part.text).join('');
    const assistant = new Map(messages.filter((message) => message.role === 'assistant').map((message) => [message.id, { completed: message.time?.completed, error: message.error, root: roots.has(message.session) }]));
    return {
      roots: roots.size,
      users: messages.filter((message) => message.role === 'user' && roots.has(message.session)).map(({ id }) => ({ id, text: textOf(id) })),
      messages: assistant,
      parts: new Map(parts.filter((part) => assistant.has(part.message)).map((part) => [part.id, part])),
    };
  } finally {
    db.close();
  }
}
