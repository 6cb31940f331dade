/** Runs the bare relay in workerd, the way scripts/worker.mjs runs Errand: options as JSON on stdin, ends with it. */
import path from 'node:path';
import readline from 'node:readline';

import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';

const lines = readline.createInterface({ input: process.stdin });
const { value } = await lines[Symbol.asyncIterator]().next();
const { port, home } = JSON.parse(value);
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    host: '127.0.0.1',
    port,
    cf: false,
    log: new Log(LogLevel.WARN),
    logRequests: false,
    resourcePersistencePath: path.join(home, 'data'),
    workers: [
      {
        name: 'bare-relay',
        rootPath: import.meta.dirname,
        modules: [{ type: 'ESModule', path: 'relay.mjs' }],
        compatibilityDate: '2026-11-01',
        durableObjects: {
          RELAY: { className: 'BareRelay', useSQLite: true },
          BOOKS: { className: 'BareBooks', useSQLite: true },
        },
      },
    ],
  }),
);
const url = await miniflare.ready;
process.stdout.write(`bare relay listening on ${url.origin}\n`);
const stop = async () => {
  await miniflare.dispose();
  process.exit(0);
};
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);
process.stdin.on('end', stop).resume();
