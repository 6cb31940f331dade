/**
 * Pinned tools in the cache outside the clone. Each lives in a directory with its version in the name, appears
 * there by one rename, and is installed by one process at a time, so that several clones can share it.
 */
import fs from 'node:fs';
import path from 'node:path';

import { withLock } from './lock.mjs';
import { Sentence, step } from './log.mjs';
import { ROOT, toolsDir } from './paths.mjs';
import { run, which } from './process.mjs';

/** The versions that Errand is built and tested with. */
export const VERSIONS = {
  workerBuild: '0.8.7',
  /** Must equal the `wasm-bindgen` of Cargo.lock. */
  wasmBindgen: '0.2.130',
  opencode: '1.18.33',
  /** For wrangler and miniflare, when the running Node is older than they need. */
  node: process.platform === 'darwin' && process.arch === 'arm64' ? '22.23.2' : '22.23.3',
  ripgrep: '14.1.1',
  /** Its own dependencies: tests/api/constraints.txt. */
  schemathesis: '4.32.5',
};

const worksOnNode = [22, 12];

/** `worker-build`, which turns the crate into WASM and its JavaScript. */
export function workerBuild() {
  return cargoTool(`worker-build-${VERSIONS.workerBuild}`, 'worker-build', [
    'worker-build', '--version', VERSIONS.workerBuild, '--locked',
  ]);
}

/** Whether [`workerBuild`] would have to compile it, which needs OpenSSL's headers on Linux. */
export function workerBuildMissing() {
  return !fs.existsSync(path.join(toolsDir(), `worker-build-${VERSIONS.workerBuild}`, 'bin', 'worker-build'));
}

/** `wasm-bindgen`. Without --locked: the pinned lock of its release names a crate that mirrors lack. */
export function wasmBindgen() {
  return cargoTool(`wasm-bindgen-cli-${VERSIONS.wasmBindgen}`, 'wasm-bindgen', [
    'wasm-bindgen-cli', '--version', VERSIONS.wasmBindgen,
  ]);
}

/** The OpenCode binary for this platform. */
export function opencode() {
  const musl = process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime;
  const name = `opencode-${platformName()}${musl ? '-musl' : ''}`;
  return npmTool(`opencode-${VERSIONS.opencode}`, `${name}@${VERSIONS.opencode}`, `node_modules/${name}/bin/opencode`);
}

/** A Node that wrangler and miniflare run on: this one, or one from the cache. */
export async function modernNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > worksOnNode[0] || (major === worksOnNode[0] && minor >= worksOnNode[1])) return process.execPath;
  const name = `node${process.platform === 'darwin' && process.arch === 'arm64' ? '-bin' : ''}-${platformName()}`;
  return npmTool(`node-${VERSIONS.node}`, `${name}@${VERSIONS.node}`, `node_modules/${name}/bin/node`);
}

/** ripgrep built by cargo, for machines without a package of it. */
export function builtRipgrep() {
  return cargoTool(`ripgrep-${VERSIONS.ripgrep}`, 'rg', ['ripgrep', '--version', VERSIONS.ripgrep, '--locked']);
}

/** A Python that has schemathesis; `python` is one that can make environments, and `version` says which it is. */
export function schemathesis({ python, version }) {
  const constraints = path.join(ROOT, 'tests', 'api', 'constraints.txt');
  return inCache(`schemathesis-${VERSIONS.schemathesis}-python${version}`, path.join('bin', 'python'), async (draft, progress) => {
    await run(python, ['-m', 'venv', '--clear', draft], { progress, what: 'python -m venv' });
    const pip = ['-m', 'pip', 'install', '--no-input', '--disable-pip-version-check', '--constraint', constraints];
    await run(path.join(draft, 'bin', 'python'), [...pip, `schemathesis==${VERSIONS.schemathesis}`], {
      progress,
      what: 'pip install schemathesis',
    });
  });
}

function platformName() {
  const supported = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64'];
  const name = `${process.platform}-${process.arch}`;
  if (!supported.includes(name)) {
    throw new Sentence(`Errand does not run on ${name}; use Linux or macOS on x64 or arm64 (on Windows: WSL 2).`);
  }
  return name;
}

function cargoTool(dir, binary, args) {
  // Its own target directory: a CARGO_TARGET_DIR that is shared must not be locked for minutes.
  return inCache(dir, path.join('bin', binary), (draft, progress) =>
    run('cargo', ['install', '--root', draft, ...args], {
      // The clone's own toolchain: a machine may have no other.
      cwd: ROOT,
      env: { CARGO_TARGET_DIR: path.join(draft, 'target') },
      progress,
      what: `cargo install ${args[0]}`,
    }),
  );
}

function npmTool(dir, spec, binary) {
  return inCache(dir, binary, (draft, progress) => {
    fs.writeFileSync(path.join(draft, 'package.json'), '{"private":true}\n');
    const args = ['install', '--prefix', draft, '--save-exact', '--ignore-scripts', '--no-audit', '--no-fund', spec];
    return run('npm', args, { cwd: draft, progress, what: `npm install ${spec}` });
  });
}

async function inCache(dir, binary, install) {
  const final = path.join(toolsDir(), dir);
  const file = path.join(final, binary);
  if (fs.existsSync(file)) return file;
  if (!which('npm')) throw new Sentence('npm is not on the PATH; it comes with Node.');
  return step(`install ${dir}`, (progress) =>
    withLock(
      `${final}.lock`,
      (owner) => progress(`waiting for another set-up (pid ${owner.pid})`),
      async () => {
        if (fs.existsSync(file)) return file;
        const draft = `${final}.draft`;
        // What a broken-off installation left; nobody else works here while we hold the lock.
        fs.rmSync(draft, { recursive: true, force: true });
        fs.mkdirSync(draft, { recursive: true });
        try {
          await install(draft, progress);
          fs.rmSync(path.join(draft, 'target'), { recursive: true, force: true });
          fs.rmSync(final, { recursive: true, force: true });
          fs.renameSync(draft, final);
        } finally {
          fs.rmSync(draft, { recursive: true, force: true });
        }
        if (!fs.existsSync(file)) throw new Sentence(`${dir} was installed but has no ${binary}.`);
        return file;
      },
    ),
  );
}
