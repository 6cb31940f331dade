/**
 * Brings a fresh clone to the point where it can be built: checks the toolchain, installs npm packages, the wasm
 * target and the pinned tools. Everything that is already there costs no look at a registry.
 */
import './lib/require-node.mjs';

import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import { report, say, Sentence, step, warn } from './lib/log.mjs';
import { withLock } from './lib/lock.mjs';
import { ROOT, stampDir } from './lib/paths.mjs';
import { endRunningOnSignals, run, which } from './lib/process.mjs';
import { contentHash, unlessStamped } from './lib/stamp.mjs';
import { builtRipgrep, modernNode, opencode, schemathesis, wasmBindgen, workerBuild, workerBuildMissing } from './lib/tools.mjs';

/**
 * Sets everything up and returns the paths of the tools:
 * `{node, workerBuild, wasmBindgen, opencode, ripgrep, bubblewrap|null, chromium|null, schemathesis|null}`.
 * `browser: true` also provides Chromium, which only tests and bench need, `api: true` schemathesis, which only tests need.
 */
export async function setup({ browser = false, api = false } = {}) {
  requirePrograms();
  const lock = path.join(stampDir(), 'setup.lock');
  return withLock(lock, (owner) => say(`  waiting for the set-up of process ${owner.pid} in this clone …`), async () => {
    await npmPackages('.', 'npm packages');
    if (fs.existsSync(path.join(ROOT, 'client', 'package.json'))) await npmPackages('client', "the client's npm packages");
    await systemLibraries();
    await wasmTarget();
    return {
      node: await modernNode(),
      workerBuild: await workerBuild(),
      wasmBindgen: await wasmBindgen(),
      opencode: await opencode(),
      ripgrep: await ripgrep(),
      bubblewrap: await bubblewrap(),
      chromium: browser ? await chromium() : null,
      schemathesis: api ? await apiTests() : null,
    };
  });
}

function requirePrograms() {
  if (!which('cargo') || !which('rustc')) {
    throw new Sentence('Rust is not installed (no cargo on the PATH): get it from https://rustup.rs.');
  }
  if (!which('git')) throw new Sentence('git is not installed (not on the PATH): install it with your package manager.');
  if (!which('npm')) throw new Sentence('npm is not on the PATH; it comes with Node.');
}

/** What compiling Rust, and worker-build with its OpenSSL, needs of the system; installed where that needs no question. */
async function systemLibraries() {
  const linker = () => ['cc', 'gcc', 'clang'].some(which);
  if (!linker() && !((await aptInstall('build-essential')) && linker())) {
    throw new Sentence('A C compiler is missing (no cc on the PATH), which Rust needs for linking: on Debian or Ubuntu, apt install build-essential; on macOS, xcode-select --install.');
  }
  if (process.platform !== 'linux' || !workerBuildMissing() || (await opensslHeaders())) return;
  if ((await aptInstall('libssl-dev', 'pkg-config')) && (await opensslHeaders())) return;
  throw new Sentence("OpenSSL's headers are missing, which compiling worker-build needs once: on Debian or Ubuntu, apt install libssl-dev pkg-config; on Fedora, dnf install openssl-devel.");
}

async function opensslHeaders() {
  if (process.env.OPENSSL_DIR || process.env.OPENSSL_INCLUDE_DIR) return true;
  return Boolean(which('pkg-config')) && (await run('pkg-config', ['--exists', 'openssl'], { check: false })).code === 0;
}

async function npmPackages(dir, name) {
  const cwd = path.join(ROOT, dir);
  const hash = contentHash([path.join(dir, 'package.json'), path.join(dir, 'package-lock.json')]);
  const label = dir === '.' ? 'npm-root' : `npm-${dir}`;
  await unlessStamped(label, hash, [path.join(cwd, 'node_modules', '.package-lock.json')], () =>
    step(`install ${name}`, (progress) =>
      run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel', 'error'], { cwd, progress, what: `npm ci in ${dir}` }),
    ),
  );
}

async function wasmTarget() {
  const has = async () => {
    const { code, output } = await run('rustc', ['--print', 'sysroot'], { cwd: ROOT, check: false });
    const sysroot = output.trim().split('\n').pop();
    return code === 0 && fs.existsSync(path.join(sysroot, 'lib', 'rustlib', 'wasm32-unknown-unknown'));
  };
  if (await has()) return;
  if (!which('rustup')) {
    throw new Sentence('The Rust target wasm32-unknown-unknown is missing and there is no rustup to add it: get Rust from https://rustup.rs.');
  }
  await step('install the Rust toolchain and its wasm target', async (progress) => {
    // Without arguments: what rust-toolchain.toml asks for. Older rustups install it by being asked for it.
    const { code } = await run('rustup', ['toolchain', 'install'], { cwd: ROOT, progress, check: false });
    if (code !== 0) await run('rustup', ['show'], { cwd: ROOT, progress, check: false });
    await run('rustup', ['target', 'add', 'wasm32-unknown-unknown'], { cwd: ROOT, progress, what: 'rustup target add' });
  });
}

/** ripgrep: the engine searches with it and would otherwise fetch it from GitHub. */
async function ripgrep() {
  const found = which('rg');
  if (found) return found;
  if (await aptInstall('ripgrep')) return which('rg');
  return builtRipgrep();
}

async function bubblewrap() {
  if (process.platform !== 'linux') return null;
  const found = which('bwrap');
  if (found) return found;
  if (await aptInstall('bubblewrap')) return which('bwrap');
  warn('bubblewrap is missing, so code in a sandbox can read your files. To get it: sudo apt install bubblewrap (or dnf, pacman, apk).');
  return null;
}

async function chromium() {
  if (process.env.CHROME_PATH) {
    if (fs.existsSync(process.env.CHROME_PATH)) return process.env.CHROME_PATH;
    throw new Sentence(`CHROME_PATH is set to ${process.env.CHROME_PATH}, which does not exist.`);
  }
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const found = names.map(which).find(Boolean);
  if (found) return found;
  const mac = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome';
  if (process.platform === 'darwin' && fs.existsSync(mac)) return mac;
  if (await aptInstall('chromium')) return which('chromium');
  throw new Sentence('The browser tests need Chromium or Chrome: install one, or set CHROME_PATH to it.');
}

/** What the tests of the API run: schemathesis, and curl for the commands of the README. */
async function apiTests() {
  if (!which('curl') && !((await aptInstall('curl')) && which('curl'))) {
    throw new Sentence("The tests of the README's commands need curl: install it with your package manager.");
  }
  return schemathesis(await python());
}

/** A Python that can make environments, and its version. */
async function python() {
  const found = async () => {
    if (!which('python3')) return null;
    const code = 'import sys, venv, ensurepip; assert sys.version_info >= (3, 10); print("%d.%d" % sys.version_info[:2])';
    const { code: exit, output } = await run('python3', ['-c', code], { check: false });
    return exit === 0 ? { python: which('python3'), version: output.trim() } : null;
  };
  const there = (await found()) ?? ((await aptInstall('python3-venv')) && (await found()));
  if (there) return there;
  throw new Sentence('The tests of the API need Python 3.10 or later with venv: on Debian or Ubuntu, apt install python3-venv.');
}

/** Installs Debian packages where that needs no question: as root, with apt. False when it could not. */
async function aptInstall(...names) {
  if (process.getuid?.() !== 0 || !which('apt-get')) return false;
  return step(`install ${names.join(' ')} (apt)`, async (progress) => {
    const apt = (args) =>
      run('apt-get', ['-o', 'DPkg::Lock::Timeout=120', ...args], {
        env: { DEBIAN_FRONTEND: 'noninteractive' },
        progress,
        check: false,
      });
    const install = ['install', '-y', '--no-install-recommends', ...names];
    if ((await apt(install)).code === 0) return true;
    await apt(['update']);
    return (await apt(install)).code === 0;
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  endRunningOnSignals();
  if (process.argv.includes('--help')) {
    say('node scripts/setup.mjs [--browser]   installs what building (and, with --browser, testing) needs');
  } else {
    try {
      const tools = await setup({ browser: process.argv.includes('--browser') });
      say(JSON.stringify(tools, null, 2));
    } catch (error) {
      report(error);
      process.exitCode = 1;
    }
  }
}
