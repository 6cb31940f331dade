/** The API's document, as `npm start` serves it: a file of the client's, which the Worker is not asked for. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { startWorker } from '../../scripts/worker.mjs';
import { assertError, BUILD, clientOf, defaultVars } from './harness.mjs';

const PUBLIC = path.resolve(import.meta.dirname, '..', '..', 'client', 'public');

let worker;
let client;
let home;
before(async () => {
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'errand-openapi-'));
  worker = await startWorker({ port: 0, home, vars: defaultVars(), buildDir: BUILD, clientDir: PUBLIC });
  client = clientOf(worker.url);
});
after(async () => {
  await worker.stop();
  fs.rmSync(home, { recursive: true, force: true });
});

test('GET /api/openapi.json is the document, for everybody', async () => {
  const answer = await client.fetch('/api/openapi.json');
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type'), /^application\/json/);
  assert.equal(answer.headers.get('access-control-allow-origin'), '*');
  const document = await answer.json();
  assert.equal(document.openapi, '3.1.0');
  assert.deepEqual(document, JSON.parse(fs.readFileSync(path.join(PUBLIC, 'api', 'openapi.json'), 'utf8')));
});

test('every other address below /api is still the Worker\'s', async () => {
  await assertError(await client.fetch('/api/openapi.yaml'), 404, 'not_found');
  await assertError(await client.fetch('/api/openapi.json/'), 404, 'not_found');
  assert.equal((await client.fetch('/api/config')).status, 200);
});

test('it is only read', async () => {
  const { api } = await client.signIn();
  for (const method of ['POST', 'PUT', 'DELETE']) {
    const answer = await api('/api/openapi.json', { method });
    assert.equal(answer.status, 405, method);
  }
});
