/** Each migration on a database of the version before it, with rows in it. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { splitSql } from '../../scripts/lib/migrations.mjs';

const DIR = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'migrations');

/** A database with the migrations up to and including `last`. */
function databaseAt(last) {
  const db = new DatabaseSync(':memory:');
  const apply = (name) => splitSql(fs.readFileSync(path.join(DIR, name), 'utf8')).forEach((statement) => db.exec(statement));
  const files = fs.readdirSync(DIR).filter((name) => name.endsWith('.sql')).sort();
  files.filter((name) => name <= last).forEach(apply);
  return { db, apply };
}

test('0003 adds provider keys, one for each subject and provider', () => {
  const { db, apply } = databaseAt('0002_accounts.sql');
  db.exec("INSERT INTO users VALUES ('usr_1', 'ada', 'Ada', 'ada@x.invalid', 1)");
  db.exec("INSERT INTO orgs VALUES ('org_1', 'ada', 1)");
  apply('0003_model_keys.sql');
  const put = (id, subject) => db.prepare("INSERT INTO model_keys (id, org_id, subject, provider, sealed, models, created_by, created_at) VALUES (?, 'org_1', ?, 'openai', 's1.x', '[]', 'usr_1', 1)").run(id, subject);
  put('mky_1', 'usr_1');
  put('mky_2', 'org');
  assert.throws(() => put('mky_3', 'org'), /UNIQUE/);
  assert.equal(db.prepare('SELECT count(*) AS n FROM users').get().n, 1);
});

test('0002 keeps people, orgs and sign-ins, and the old Worker can still write them', () => {
  const { db, apply } = databaseAt('0001_init.sql');
  const rows = `INSERT INTO users VALUES ('usr_1', 'ada', 'Ada', 'ada@x.invalid', 1);
    INSERT INTO orgs VALUES ('org_1', 'ada', 1);
    INSERT INTO members VALUES ('org_1', 'usr_1', 'owner', 1);
    INSERT INTO auth_sessions (token_hash, user_id, org_id, created_at, expires_at) VALUES ('h1', 'usr_1', 'org_1', 1, 2)`;
  rows.split(';').forEach((row) => db.exec(row));
  apply('0002_accounts.sql');
  const [signIn] = db.prepare('SELECT * FROM auth_sessions').all();
  assert.deepEqual({ ...signIn }, { token_hash: 'h1', user_id: 'usr_1', org_id: 'org_1', created_at: 1, expires_at: 2, device: '', address: null, used_at: null });
  db.exec("INSERT INTO auth_sessions (token_hash, user_id, org_id, created_at, expires_at) VALUES ('h2', 'usr_1', 'org_1', 1, 2)");
  assert.equal(db.prepare('SELECT count(*) AS n FROM auth_sessions JOIN members USING (org_id, user_id)').get().n, 2);
});

test('0005 keeps what is there, and a credential belongs to one org and host', () => {
  const { db, apply } = databaseAt('0005');
  db.exec("INSERT INTO users VALUES ('usr_1', 'ada', 'Ada', 'ada@x.invalid', 1)");
  db.exec("INSERT INTO orgs VALUES ('org_1', 'ada', 1)");
  apply('0005_git.sql');
  assert.equal(db.prepare('SELECT count(*) AS n FROM orgs').get().n, 1);
  const put = "INSERT INTO git_credentials VALUES ('org_1', 'github.com', 'x', 's1.a.b', '[]', 1, 'usr_1', NULL)";
  db.exec(put);
  assert.throws(() => db.exec(put), /UNIQUE/);
});

test('0006 keeps API keys, and the old Worker can still write them', () => {
  const { db, apply } = databaseAt('0006');
  const insert = (id) => db.exec(`INSERT INTO api_keys (id, org_id, user_id, key_hash, prefix, name, scopes, created_at) VALUES ('${id}', 'org_1', 'usr_1', 'hash of ${id}', 'er_1', 'a', '[]', 1)`);
  db.exec("INSERT INTO users VALUES ('usr_1', 'ada', 'Ada', 'ada@x.invalid', 1)");
  db.exec("INSERT INTO orgs VALUES ('org_1', 'ada', 1)");
  insert('key_1');
  apply('0006_sharing.sql');
  insert('key_2');
  assert.deepEqual(db.prepare('SELECT id, made_by FROM api_keys ORDER BY id').all().map((row) => ({ ...row })), [{ id: 'key_1', made_by: null }, { id: 'key_2', made_by: null }]);
});

test('0007 keeps the audit log, and the old Worker can still write it', () => {
  const { db, apply } = databaseAt('0007');
  const insert = (id) => db.exec(`INSERT INTO audit (id, org_id, at, user_id, user_name, credential, action, target, outcome, address, request_id) VALUES ('${id}', 'org_1', 1, 'usr_1', 'Ada', 'sgn_1', 'sign-in', '', 'ok', NULL, 'req_1')`);
  insert('1');
  apply('0007_audit_details.sql');
  insert('2');
  assert.deepEqual(db.prepare('SELECT id, user_name, details FROM audit ORDER BY id').all().map((row) => ({ ...row })), [{ id: '1', user_name: 'Ada', details: '{}' }, { id: '2', user_name: 'Ada', details: '{}' }]);
});

test('0004 adds repositories and secrets beside what there is', () => {
  const { db, apply } = databaseAt('0004');
  db.exec("INSERT INTO users VALUES ('usr_1', 'ada', 'Ada', 'ada@x.invalid', 1)");
  db.exec("INSERT INTO orgs VALUES ('org_1', 'ada', 1)");
  apply('0004_secrets.sql');
  db.exec("INSERT INTO repositories VALUES ('org_1', 'git.example/a/b', 'https://git.example/a/b', '{}', NULL, '[]', 1, 1, 'usr_1')");
  const secret = (scope) => db.exec(`INSERT INTO secrets VALUES ('org_1', '${scope}', 'org_1', 'A', 's1.x', 1, 'usr_1')`);
  secret('org');
  assert.throws(() => secret('org'), /UNIQUE/);
  assert.throws(() => secret('world'), /CHECK/);
  assert.equal(db.prepare('SELECT count(*) AS n FROM users').get().n, 1);
});

test('0008 keeps the sessions, and those that run are found by it', () => {
  const { db, apply } = databaseAt('0008');
  db.exec("INSERT INTO users VALUES ('usr_1', 'ada', 'Ada', 'ada@x.invalid', 1)");
  db.exec("INSERT INTO orgs VALUES ('org_1', 'ada', 1)");
  const insert = (id, phase) => db.exec(`INSERT INTO sessions (id, org_id, owner_id, title, phase, head_seq, created_at, updated_at, summary) VALUES ('${id}', 'org_1', 'usr_1', 't', '${phase}', 1, 1, 1, '{}')`);
  insert('ses_1', 'running');
  apply('0008_running_sessions.sql');
  insert('ses_2', 'paused');
  const found = "SELECT id FROM sessions WHERE phase = 'running' AND org_id <> 'org_2' ORDER BY updated_at, id LIMIT 30";
  assert.deepEqual(db.prepare(found).all().map(({ id }) => id), ['ses_1']);
  assert.match(db.prepare(`EXPLAIN QUERY PLAN ${found}`).all()[0].detail, /sessions_running/);
});
