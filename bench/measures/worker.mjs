/** The Worker itself: how large it is, and how long from starting workerd to its first answer. */
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';

import { freePort } from '../../scripts/lib/config.mjs';
import { ROOT } from '../../scripts/lib/paths.mjs';
import { freshHome, removeHome, startBare, startErrand } from '../lib/processes.mjs';
import { StandInHost } from '../lib/stand-in-host.mjs';
import { median } from '../lib/stats.mjs';

/** `worker_gzip_bytes`, `worker_cold_start`, `bare_cold_start`. */
export async function worker({ out, options }) {
  const buildDir = options.buildDir ?? path.join(ROOT, 'build');
  const files = fs.readdirSync(buildDir).filter((name) => name === 'index.js' || name.endsWith('.wasm'));
  const sizes = files.map((name) => zlib.gzipSync(fs.readFileSync(path.join(buildDir, name)), { level: 9 }).length);
  out.figure('worker_gzip_bytes', sizes.reduce((sum, size) => sum + size, 0), 'bytes', files.length, files.join(' + '));

  const host = await StandInHost.start();
  const repeats = options.quick ? 1 : 5;
  try {
    const ours = (env, port) => startErrand({ hostUrl: host.url, buildDir: options.buildDir, env, port });
    const bare = (env, port) => startBare({ env, port });
    for (const [name, start, at] of [['worker', ours, '/api/config'], ['bare', bare, '/']]) {
      const times = [];
      for (let i = 0; i < repeats; i += 1) times.push(await coldStart(start, at));
      out.figure(`${name}_cold_start`, median(times), 'ms', repeats, `from spawning workerd to the first 200 of ${at}`);
    }
  } finally {
    await host.stop();
  }
}

/** miniflare starts workerd; a wrapper in its place notes when, then becomes workerd. */
async function coldStart(start, at) {
  const dir = freshHome('cold');
  const stamp = path.join(dir, 'spawned');
  const wrapper = path.join(dir, 'workerd');
  const workerd = (await import('workerd')).default.default;
  fs.writeFileSync(wrapper, `#!/bin/sh\ndate +%s%N > '${stamp}'\nexec '${workerd}' "$@"\n`, { mode: 0o755 });
  const port = await freePort();
  const starting = start({ MINIFLARE_WORKERD_PATH: wrapper }, port);
  starting.catch(() => {}); // Reported where it is awaited.
  try {
    const answered = await firstAnswer(`http://127.0.0.1:${port}${at}`);
    return answered - Number(fs.readFileSync(stamp, 'utf8')) / 1e6;
  } finally {
    const target = await starting;
    await target.stop();
    removeHome(target.home);
    removeHome(dir);
  }
}

/** Time (ms since 1970) at which `url` first answered 200. */
async function firstAnswer(url) {
  const until = Date.now() + 30_000;
  while (Date.now() < until) {
    const answer = await fetch(url).catch(() => null);
    await answer?.arrayBuffer();
    if (answer?.status === 200) return performance.timeOrigin + performance.now();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  throw new Error(`${url} did not answer within 30 s`);
}
