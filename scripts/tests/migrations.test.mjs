/** Splitting of migration files, and the note that saves a start the look into the database. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { noteMigrations, pendingMigrations, splitSql } from '../lib/migrations.mjs';
import { ROOT } from '../lib/paths.mjs';

test('statements are split at semicolons outside quotes, comments and trigger bodies', () => {
  const text = `-- a; comment 'with a quote
    CREATE TABLE t(a TEXT DEFAULT ';', "b;" INTEGER); /* ; */
    CREATE TRIGGER tr AFTER INSERT ON t BEGIN
      UPDATE t SET a = CASE WHEN a = 'it''s; x' THEN 1 ELSE 2 END; DELETE FROM t;
    END;
    INSERT INTO t VALUES ('end', 3)`;
  const statements = splitSql(text);
  assert.equal(statements.length, 3);
  assert.match(statements[0], /^CREATE TABLE t\(a TEXT DEFAULT ';', "b;" INTEGER\)$/);
  assert.match(statements[1], /^CREATE TRIGGER[\s\S]*DELETE FROM t;\s+END$/);
  assert.equal(statements[2], "INSERT INTO t VALUES ('end', 3)");
});

test('the migrations of this clone can be split', () => {
  const dir = path.join(ROOT, 'migrations');
  for (const name of fs.readdirSync(dir).filter((file) => file.endsWith('.sql'))) {
    const statements = splitSql(fs.readFileSync(path.join(dir, name), 'utf8'));
    assert.ok(statements.length > 0 && statements.every((statement) => /^[A-Z]+ /i.test(statement)), name);
  }
});

test('a new migration is pending until it is noted', () => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'errand-test-'));
  try {
    const dir = path.join(home, 'migrations');
    fs.mkdirSync(dir);
    fs.mkdirSync(path.join(home, 'data', 'd1'), { recursive: true });
    assert.equal(pendingMigrations(home, dir), true);
    noteMigrations(home, dir);
    assert.equal(pendingMigrations(home, dir), false);
    fs.writeFileSync(path.join(dir, '0001_x.sql'), 'SELECT 1');
    assert.equal(pendingMigrations(home, dir), true);
  } finally {
    fs.rmSync(home, { recursive: true });
  }
});
