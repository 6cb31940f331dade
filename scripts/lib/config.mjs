/** The configuration of an installation: the environment, checked, and the secrets that are made once and kept. */
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import { Sentence } from './log.mjs';

/** The port that `ERRAND_PORT` names, 8787 otherwise. */
export function configuredPort(env = process.env) {
  const text = env.ERRAND_PORT ?? '8787';
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65535) {
    throw new Sentence(`ERRAND_PORT must be a number between 1 and 65535, not "${text}".`);
  }
  return port;
}

/**
 * The models that sessions may use, as the Worker's `MODELS` binding wants them: the one that the environment
 * configures comes first, the demo model is always there.
 */
export function models(demoUrl, env = process.env) {
  const demo = {
    provider: 'demo', model: 'demo', name: 'Demo model', demo: true, dialect: 'openai',
    baseUrl: `${demoUrl}/v1`, apiKey: '', context: 128_000, output: 8192,
  };
  const own = configuredModel(env);
  return own ? [own, demo] : [demo];
}

function configuredModel(env) {
  const { ERRAND_MODEL_BASE_URL: baseUrl, ERRAND_MODEL_API_KEY: apiKey, ERRAND_MODEL: name } = env;
  if (!baseUrl && !name) return null;
  if (!baseUrl || !name) {
    throw new Sentence('A model of your own needs both ERRAND_MODEL_BASE_URL and ERRAND_MODEL (and mostly ERRAND_MODEL_API_KEY).');
  }
  if (!URL.canParse(baseUrl) || !/^https?:$/.test(new URL(baseUrl).protocol)) {
    throw new Sentence(`ERRAND_MODEL_BASE_URL must be an http(s) address, not "${baseUrl}".`);
  }
  const dialect = env.ERRAND_MODEL_DIALECT ?? (new URL(baseUrl).hostname.endsWith('anthropic.com') ? 'anthropic' : 'openai');
  if (!['openai', 'anthropic'].includes(dialect)) {
    throw new Sentence(`ERRAND_MODEL_DIALECT must be openai or anthropic, not "${dialect}".`);
  }
  const slash = name.indexOf('/');
  const provider = slash > 0 ? name.slice(0, slash) : 'custom';
  const model = slash > 0 ? name.slice(slash + 1) : name;
  if (provider === 'demo') throw new Sentence('ERRAND_MODEL must not use the provider name "demo".');
  return {
    provider, model, name: model, demo: false, dialect,
    baseUrl: baseUrl.replace(/\/+$/, ''), apiKey: apiKey ?? '', context: 128_000, output: 8192,
  };
}

/** The installation's secrets, made at the first start: `{masterKey, hostSecret}`, 64 hex digits each. */
export function secrets(home) {
  const file = path.join(home, 'secrets.json');
  if (fs.existsSync(file)) {
    try {
      const kept = JSON.parse(fs.readFileSync(file, 'utf8'));
      if (kept.masterKey && kept.hostSecret) return kept;
    } catch {
      // Falls through: an unreadable file must not be replaced silently, stored data depends on it.
    }
    throw new Sentence(`${file} is damaged; restore it, or remove ${home} to begin anew.`);
  }
  const made = { masterKey: crypto.randomBytes(32).toString('hex'), hostSecret: crypto.randomBytes(32).toString('hex') };
  fs.mkdirSync(home, { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  fs.writeFileSync(draft, JSON.stringify(made), { mode: 0o600 });
  fs.renameSync(draft, file);
  return made;
}

/**
 * What signing in asks for besides a name, eight letters and digits: of what runs on this machine, only who sees the
 * terminal knows it. A sandbox reaches the port too.
 */
export function signInCode(masterKey) {
  const digest = crypto.createHmac('sha256', masterKey).update('sign-in code').digest();
  // None that look like others.
  const letters = 'abcdefghjkmnpqrstuvwxyz23456789';
  const code = Array.from(digest.subarray(0, 8), (byte) => letters[byte % letters.length]).join('');
  return `${code.slice(0, 4)}-${code.slice(4)}`;
}

/** Whether anything listens on the port, on the IPv4 or the IPv6 loopback (a browser tries both for localhost). */
export async function portTaken(port) {
  return (await bindFails(port, '127.0.0.1')) || (await bindFails(port, '::1'));
}

function bindFails(port, host) {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', (error) => resolve(error.code === 'EADDRINUSE' || error.code === 'EACCES'));
    server.listen(port, host, () => server.close(() => resolve(false)));
  });
}

/** A port on 127.0.0.1 that is free now. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
