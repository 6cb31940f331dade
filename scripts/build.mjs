/**
 * Builds what an installation runs: the Worker (WASM), the native binaries and the client. Each part is skipped
 * when nothing that goes into it changed since it was last built in this clone.
 */
import './lib/require-node.mjs';

import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import { report, say, step } from './lib/log.mjs';
import { withLock } from './lib/lock.mjs';
import { nativeBinary, ROOT, stampDir } from './lib/paths.mjs';
import { endRunningOnSignals, run } from './lib/process.mjs';
import { contentHash, unlessStamped } from './lib/stamp.mjs';
import { VERSIONS } from './lib/tools.mjs';
import { setup } from './setup.mjs';

const RUST = ['Cargo.toml', 'Cargo.lock', 'rust-toolchain.toml', '.cargo', 'crates'];

/** Builds everything; `tools` is what `setup()` returned. */
export async function build(tools) {
  const lock = path.join(stampDir(), 'build.lock');
  await withLock(lock, (owner) => say(`  waiting for the build of process ${owner.pid} in this clone …`), async () => {
    await buildNative();
    await buildWorker(tools);
    await buildClient();
  });
}

/** The runner and the sandbox host. */
export async function buildNative() {
  const outputs = [nativeBinary('errand-runner'), nativeBinary('errand-host')];
  const hash = contentHash([...RUST, 'runner', 'sandbox/host'], outputs);
  await unlessStamped('native', hash, outputs, () =>
    step('build the runner and the sandbox host', (progress) =>
      run('cargo', ['build', '--bins', '-p', 'errand-runner', '-p', 'errand-host'], {
        cwd: ROOT,
        progress,
        what: 'cargo build',
      }),
    ),
  );
}

/** The Worker, into `build/`. The three overrides keep worker-build from fetching tools from elsewhere. */
export async function buildWorker(tools) {
  const wasm = path.join(ROOT, 'build', 'index_bg.wasm');
  const outputs = [path.join(ROOT, 'build', 'index.js'), wasm];
  const hash = contentHash([...RUST, 'src', 'package-lock.json'], [VERSIONS.workerBuild, VERSIONS.wasmBindgen]);
  const bin = (name) => path.join(ROOT, 'node_modules', '.bin', name);
  await unlessStamped('worker', hash, outputs, () =>
    step('build the Worker (Rust to WASM)', async (progress) => {
      await run(tools.workerBuild, ['--release'], {
        cwd: ROOT,
        env: { WASM_BINDGEN_BIN: tools.wasmBindgen, WASM_OPT_BIN: bin('wasm-opt'), ESBUILD_BIN: bin('esbuild') },
        progress,
        what: 'worker-build',
      });
      // The names of functions are a ninth of what is sent to Cloudflare; wasm-bindgen needs them until here.
      const smaller = ['-Os', '--dae-optimizing', '--memory-packing', '--strip-debug', '--strip-producers'];
      await run(bin('wasm-opt'), ['-all', ...smaller, wasm, '-o', wasm], { cwd: ROOT, what: 'wasm-opt' });
    }),
  );
}

/** The web client, into `client/dist/`. */
export async function buildClient() {
  if (!fs.existsSync(path.join(ROOT, 'client', 'package.json'))) return;
  const outputs = [path.join(ROOT, 'client', 'dist', 'index.html')];
  await unlessStamped('client', contentHash(['client']), outputs, () =>
    step('build the client', (progress) =>
      run('npm', ['--prefix', 'client', 'run', 'build'], { cwd: ROOT, progress, what: "the client's build" }),
    ),
  );
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  endRunningOnSignals();
  const parts = { worker: buildWorker, native: buildNative, client: buildClient };
  const chosen = process.argv.slice(2);
  if (chosen.includes('--help') || chosen.some((name) => !(name in parts))) {
    say('node scripts/build.mjs [worker] [native] [client]   builds the named parts, or all; unchanged parts are skipped');
    process.exitCode = chosen.includes('--help') ? 0 : 2;
  } else {
    try {
      const tools = await setup();
      if (chosen.length === 0) await build(tools);
      for (const name of chosen) await parts[name](tools);
    } catch (error) {
      report(error);
      process.exitCode = 1;
    }
  }
}
