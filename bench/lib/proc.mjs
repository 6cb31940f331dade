/** What the kernel says of processes: CPU time, memory, bytes written. Linux only; elsewhere these throw. */
import fs from 'node:fs';

const read = (pid, file) => fs.readFileSync(`/proc/${pid}/${file}`, 'utf8');

/** CPU seconds that all threads of a process have used. */
export function cpuSeconds(pid) {
  const ns = fs
    .readdirSync(`/proc/${pid}/task`)
    .reduce((sum, thread) => sum + Number(read(pid, `task/${thread}/schedstat`).split(' ')[0]), 0);
  return ns / 1e9;
}

/** Resident memory, bytes. */
export function rssBytes(pid) {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(read(pid, 'status'))[1]) * 1024;
}

/** Bytes that a process caused to be written to disk. */
export function writtenBytes(pid) {
  return Number(/^write_bytes: (\d+)/m.exec(read(pid, 'io'))[1]);
}

/** Processes below `root` (itself excluded), whose program is called `name`. */
export function descendants(root, name) {
  const children = new Map();
  for (const pid of allPids()) {
    const stat = statOf(pid);
    if (!stat) continue;
    children.set(stat.parent, [...(children.get(stat.parent) ?? []), { pid, name: stat.name }]);
  }
  const found = [];
  const queue = [root];
  while (queue.length > 0) {
    for (const child of children.get(queue.shift()) ?? []) {
      queue.push(child.pid);
      if (child.name === name) found.push(child.pid);
    }
  }
  return found;
}

/** The only process called `name` below `root`. */
export function descendant(root, name) {
  const found = descendants(root, name);
  if (found.length !== 1) throw new Error(`${found.length} processes named ${name} below ${root}, not one`);
  return found[0];
}

/** The process called `name` that was started with the environment entry `entry`. */
export function processWith(name, entry) {
  const found = allPids().filter((pid) => statOf(pid)?.name === name && environment(pid).includes(entry));
  if (found.length !== 1) throw new Error(`${found.length} processes named ${name} with ${entry}, not one`);
  return found[0];
}

function environment(pid) {
  try {
    return read(pid, 'environ').split('\0');
  } catch {
    return []; // It ended meanwhile, or is another user's.
  }
}

function allPids() {
  return fs.readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).map(Number);
}

function statOf(pid) {
  try {
    const stat = read(pid, 'stat');
    const end = stat.lastIndexOf(')');
    return { name: stat.slice(stat.indexOf('(') + 1, end), parent: Number(stat.slice(end + 2).split(' ')[1]) };
  } catch {
    return null; // It ended meanwhile.
  }
}
