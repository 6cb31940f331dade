/**
 * Runs the built Worker in workerd, bound to 127.0.0.1, with D1, R2 and the Durable Objects kept below one
 * directory. `npm start`, the tests and the bench all start it through [`startWorker`]. Needs Node ≥ 22.12.
 */
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';

import { report, say, Sentence } from './lib/log.mjs';
import { applyMigrations, noteMigrations, pendingMigrations } from './lib/migrations.mjs';
import { homeDir, ROOT } from './lib/paths.mjs';

/** Binding → class of the Durable Objects; the same as in wrangler.toml. */
const DURABLE_OBJECTS = {
  SESSION_AGENT: 'SessionAgent',
  SESSION_REGISTRY: 'SessionRegistry',
  EVENT_BUS: 'EventBus',
  LEDGER: 'Ledger',
};
/** Paths that the Worker answers (`!`: does not); everything else is a file of the client, or its index.html. */
const WORKER_FIRST = ['!/api/openapi.json', '/api/*', '/auth/*', '/health', '/runner/*', '/llm/*', '/git/*'];
const COMPATIBILITY_DATE = '2026-11-01';
const COMPATIBILITY_FLAGS = ['enable_request_signal'];

/**
 * Starts the Worker and resolves once it accepts requests (its `/health` may still say 503).
 *
 * - `port`: on 127.0.0.1; 0 picks a free one
 * - `home`: state goes to `<home>/data`
 * - `vars`: text bindings
 * - `buildDir`, `clientDir`, `migrationsDir`: other than the clone's own
 *
 * Resolves to `{url, miniflare, stop()}`; `miniflare` gives tests the bindings and eviction.
 */
export async function startWorker({
  port,
  home,
  vars,
  buildDir = path.join(ROOT, 'build'),
  clientDir = path.join(ROOT, 'client', 'dist'),
  migrationsDir = path.join(ROOT, 'migrations'),
}) {
  const worker = {
    name: 'errand',
    rootPath: buildDir,
    modules: workerModules(buildDir),
    compatibilityDate: COMPATIBILITY_DATE,
    compatibilityFlags: COMPATIBILITY_FLAGS,
    bindings: vars,
    d1Databases: { DB: 'errand' },
    r2Buckets: { FILES: 'errand-files' },
    durableObjects: Object.fromEntries(
      Object.entries(DURABLE_OBJECTS).map(([binding, className]) => [binding, { className, useSQLite: true }]),
    ),
    ...(fs.existsSync(clientDir) && { assets: staticAssets(clientDir) }),
  };
  const start = (at) =>
    new Miniflare(
      convertV4MiniflareOptions({
        host: '127.0.0.1',
        port: at,
        cf: false,
        log: new Log(LogLevel.WARN),
        logRequests: false,
        resourcePersistencePath: path.join(home, 'data'),
        workers: [worker],
      }),
    );
  // Nobody may ask a Worker whose tables are not there yet: out of sight first, when something is to be applied.
  if (pendingMigrations(home, migrationsDir)) {
    const hidden = start(0);
    try {
      await applyMigrations(await hidden.getD1Database('DB', 'errand'), migrationsDir);
    } finally {
      await hidden.dispose();
    }
    noteMigrations(home, migrationsDir);
  }
  const miniflare = start(port);
  try {
    const url = await miniflare.ready;
    return { url: url.origin, miniflare, stop: () => miniflare.dispose() };
  } catch (error) {
    await miniflare.dispose().catch(() => {});
    throw error;
  }
}

function workerModules(buildDir) {
  const entry = path.join(buildDir, 'index.js');
  if (!fs.existsSync(entry)) throw new Sentence(`The Worker is not built (no ${entry}): run node scripts/build.mjs.`);
  const wasm = fs.readdirSync(buildDir).filter((name) => name.endsWith('.wasm'));
  return [{ type: 'ESModule', path: 'index.js' }, ...wasm.map((name) => ({ type: 'CompiledWasm', path: name }))];
}

function staticAssets(directory) {
  return {
    directory,
    run_worker_first: WORKER_FIRST,
    routerConfig: { has_user_worker: true },
    assetConfig: { not_found_handling: 'single-page-application' },
  };
}

const HELP = `node scripts/worker.mjs [--port N] [--home DIR] [--var NAME=VALUE]…   (Node >= 22.12)
node scripts/worker.mjs --stdin     the options of startWorker as one line of JSON on stdin; ends when stdin does
Runs the built Worker until SIGINT, SIGTERM or SIGHUP.`;

/** Options from the command line, or from stdin, where secrets show in no process list. */
async function options(args, lines) {
  if (lines) {
    const { value } = await lines[Symbol.asyncIterator]().next();
    return JSON.parse(value);
  }
  const vars = Object.fromEntries((args.var ?? []).map((text) => text.split(/=(.*)/s).slice(0, 2)));
  return { port: Number(args.port ?? 8787), home: args.home ? path.resolve(args.home) : homeDir(), vars };
}

async function main() {
  const { values } = parseArgs({
    options: {
      help: { type: 'boolean' },
      stdin: { type: 'boolean' },
      port: { type: 'string' },
      home: { type: 'string' },
      var: { type: 'string', multiple: true },
    },
  });
  if (values.help) return say(HELP);
  const lines = values.stdin && readline.createInterface({ input: process.stdin });
  const worker = await startWorker(await options(values, lines));
  say(`worker listening on ${worker.url}`);
  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    await worker.stop();
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);
  // Whoever holds the other end of stdin is gone: nobody would stop this Worker any more.
  if (lines) process.stdin.on('end', stop).resume();
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main().catch((error) => {
    report(error);
    process.exit(1);
  });
}
