/**
 * Adds to a package-lock.json the optional platform packages that the registry at hand does not carry, so that
 * `npm ci` accepts the lock everywhere and other platforms still get the right version. Run it after changing
 * dependencies: `node scripts/complete-lock.mjs [package-lock.json …]`.
 */
import fs from 'node:fs';

const OS = { darwin: 'darwin', linux: 'linux', win32: 'win32', windows: 'win32', freebsd: 'freebsd', openbsd: 'openbsd', netbsd: 'netbsd', android: 'android', sunos: 'sunos', aix: 'aix', openharmony: 'openharmony' };
const CPU = { x64: 'x64', 64: 'x64', arm64: 'arm64', arm: 'arm', ia32: 'ia32', ppc64: 'ppc64', s390x: 's390x', riscv64: 'riscv64', loong64: 'loong64', wasm32: 'wasm32' };

for (const file of process.argv.length > 2 ? process.argv.slice(2) : ['package-lock.json', 'client/package-lock.json']) {
  if (fs.existsSync(file)) complete(file);
}

function complete(file) {
  const lock = JSON.parse(fs.readFileSync(file, 'utf8'));
  const added = [];
  for (const [at, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const exact = /^\d+\.\d+\.\d+[\w.-]*$/.test(version);
      if (!exact || found(lock.packages, at, name)) continue;
      lock.packages[`node_modules/${name}`] = platformEntry(name, version, entry.dev);
      added.push(name);
    }
  }
  if (added.length === 0) return;
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
  fs.writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
  process.stdout.write(`${file}: added ${added.join(', ')}\n`);
}

function found(packages, at, name) {
  return packages[`node_modules/${name}`] || packages[`${at}/node_modules/${name}`];
}

function platformEntry(name, version, dev) {
  const words = name.split(/[-/]/);
  const os = words.map((word) => OS[word]).find(Boolean);
  const cpu = words.map((word) => CPU[word]).find(Boolean);
  return { version, ...(cpu && { cpu: [cpu] }), ...(dev && { dev }), optional: true, ...(os && { os: [os] }) };
}
