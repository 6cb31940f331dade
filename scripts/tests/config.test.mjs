/** The environment, checked; secrets that are made once; counts read from test runners. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { configuredPort, models, secrets } from '../lib/config.mjs';
import { cargoCounts, nodeCounts, vitestCounts } from '../lib/counts.mjs';

const DEMO = 'http://127.0.0.1:1';

test('a port is a number between 1 and 65535', () => {
  assert.equal(configuredPort({}), 8787);
  assert.equal(configuredPort({ ERRAND_PORT: '9000' }), 9000);
  for (const bad of ['0', '65536', 'x', '', '80a', '-1', '1e3']) {
    assert.throws(() => configuredPort({ ERRAND_PORT: bad }), /ERRAND_PORT must be/, bad);
  }
});

test('the demo model is always there and a configured one comes first', () => {
  assert.deepEqual(models(DEMO, {}).map((model) => `${model.provider}/${model.model}`), ['demo/demo']);
  const [own, demo] = models(DEMO, {
    ERRAND_MODEL_BASE_URL: 'https://api.example.com/v1/',
    ERRAND_MODEL: 'acme/big/model',
    ERRAND_MODEL_API_KEY: 'k',
  });
  assert.deepEqual([own.provider, own.model, own.baseUrl, own.apiKey, own.dialect, own.demo], ['acme', 'big/model', 'https://api.example.com/v1', 'k', 'openai', false]);
  assert.deepEqual([demo.provider, demo.baseUrl, demo.demo], ['demo', `${DEMO}/v1`, true]);
  const [claude] = models(DEMO, { ERRAND_MODEL_BASE_URL: 'https://api.anthropic.com/v1', ERRAND_MODEL: 'm' });
  assert.deepEqual([claude.provider, claude.dialect], ['custom', 'anthropic']);
});

test('half a model configuration, or a wrong one, is refused in words', () => {
  const base = { ERRAND_MODEL_BASE_URL: 'https://h', ERRAND_MODEL: 'm' };
  assert.throws(() => models(DEMO, { ERRAND_MODEL: 'm' }), /needs both/);
  assert.throws(() => models(DEMO, { ERRAND_MODEL_BASE_URL: 'https://h' }), /needs both/);
  assert.throws(() => models(DEMO, { ...base, ERRAND_MODEL_BASE_URL: 'file:///x' }), /must be an http/);
  assert.throws(() => models(DEMO, { ...base, ERRAND_MODEL_DIALECT: 'x' }), /openai or anthropic/);
  assert.throws(() => models(DEMO, { ...base, ERRAND_MODEL: 'demo/x' }), /must not use/);
});

test('secrets are made once, for us alone, and never replaced when they are damaged', () => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'errand-test-'));
  try {
    const made = secrets(home);
    assert.match(made.masterKey, /^[0-9a-f]{64}$/);
    assert.notEqual(made.masterKey, made.hostSecret);
    assert.deepEqual(secrets(home), made);
    const file = path.join(home, 'secrets.json');
    assert.equal(fs.statSync(file).mode & 0o077, 0);
    fs.writeFileSync(file, '{');
    assert.throws(() => secrets(home), /is damaged/);
  } finally {
    fs.rmSync(home, { recursive: true });
  }
});

test('counts are read from the output of each test runner', () => {
  const cargo = 'test result: ok. 22 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.06s\n';
  assert.deepEqual(cargoCounts(`${cargo}x\n${cargo.replace('22', '3').replace('ok. 3 passed; 0', 'FAILED. 3 passed; 2')}`), { passed: 25, failed: 2 });
  assert.deepEqual(nodeCounts('ℹ tests 9\nℹ pass 7\nℹ fail 1\nℹ cancelled 1\n'), { passed: 7, failed: 2 });
  assert.deepEqual(vitestCounts(' Test Files  2 passed (2)\n      \x1b[2mTests\x1b[22m  1 failed | 12 passed (13)\n'), { passed: 12, failed: 1 });
});
