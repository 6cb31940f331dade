/**
 * Applies D1 migrations to a local database, with the bookkeeping that `wrangler d1 migrations apply` uses, so that
 * both can be used on one database. Each file is applied in one transaction, together with its record.
 */
import fs from 'node:fs';
import path from 'node:path';

const TABLE = `CREATE TABLE IF NOT EXISTS d1_migrations(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT UNIQUE,
  applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)`;

/** Applies the `.sql` files of `dir` that `db` (a D1 binding) has not seen, by name; returns their names. */
export async function applyMigrations(db, dir) {
  await db.prepare(TABLE).run();
  const { results } = await db.prepare('SELECT name FROM d1_migrations').all();
  const applied = new Set(results.map((row) => row.name));
  const missing = migrationFiles(dir).filter((name) => !applied.has(name));
  for (const name of missing) {
    const statements = splitSql(fs.readFileSync(path.join(dir, name), 'utf8'));
    try {
      await db.batch([
        ...statements.map((statement) => db.prepare(statement)),
        db.prepare('INSERT INTO d1_migrations (name) VALUES (?)').bind(name),
      ]);
    } catch (error) {
      throw new Error(`migration ${name} failed: ${error.message}`, { cause: error });
    }
  }
  return missing;
}

/**
 * Whether `dir` has migrations that a database below `home` may lack. A note beside the database answers, so that a
 * start with nothing new need not ask it; without the note the answer is yes.
 */
export function pendingMigrations(home, dir) {
  const note = noteFile(home);
  return !fs.existsSync(note) || fs.readFileSync(note, 'utf8') !== JSON.stringify(migrationFiles(dir));
}

/** Notes that all migrations of `dir` are applied. */
export function noteMigrations(home, dir) {
  fs.writeFileSync(noteFile(home), JSON.stringify(migrationFiles(dir)));
}

function noteFile(home) {
  return path.join(home, 'data', 'd1', 'applied.json');
}

function migrationFiles(dir) {
  return fs.existsSync(dir) ? fs.readdirSync(dir).filter((name) => name.endsWith('.sql')).sort() : [];
}

// One token of SQL: a comment, a quoted text or name, a word, or any single character.
const TOKEN = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|\w+|[\s\S]/g;

/** The statements of an SQL text: split at semicolons outside quotes, comments and `BEGIN … END` bodies. */
export function splitSql(text) {
  const statements = [];
  let current = '';
  let depth = 0;
  for (const [token] of text.matchAll(TOKEN)) {
    if (token.startsWith('--') || token.startsWith('/*')) {
      current += ' ';
      continue;
    }
    const word = token.toUpperCase();
    if (depth > 0 ? word === 'CASE' : word === 'BEGIN') depth += 1;
    else if (depth > 0 && word === 'END') depth -= 1;
    if (token === ';' && depth === 0) {
      if (current.trim()) statements.push(current.trim());
      current = '';
    } else {
      current += token;
    }
  }
  if (current.trim()) statements.push(current.trim());
  return statements;
}
