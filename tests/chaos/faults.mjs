/**
 * The faults. Each kind is `{kind, weight, strike(world)}`; `world` is `{installation, people, random}`, and `strike`
 * resolves when the fault is over, to `{sessions, detail}`: whom it could hit (`null`: everybody) and what it did.
 * It resolves to `null` when there was nothing to strike.
 */
import { IN_SANDBOX, pause, signal } from './installation.mjs';
import { DISK, LOSS } from './judge.mjs';

/** How long a fault lasts, in milliseconds; some last longer. */
const LASTS = [300, 4000];
const LASTS_LONG = [8000, 16_000];
const MODES = [
  [3, 'cut'],
  [3, 'stall'],
  [2, 'slow'],
  [2, 'half-open'],
  [2, 'ghost'],
];

const lasting = (random) => random.between(...(random.chance(0.08) ? LASTS_LONG : LASTS));

/** Kills a part of the installation; it is started again after a while. */
const killPart = (name, weight) => ({
  kind: `kill ${name}`,
  weight,
  async strike({ installation, random }) {
    const down = random.between(0, 2500);
    await installation.killPart(name, down);
    return { sessions: null, detail: `down for ${down} ms` };
  },
});

const killWorkerd = {
  kind: 'kill workerd alone',
  weight: 2,
  async strike({ installation }) {
    await installation.killWorkerd();
    return { sessions: null, detail: 'until it answers again' };
  },
};

const pausePart = (name, weight) => ({
  kind: `pause ${name}`,
  weight,
  async strike({ installation, random }) {
    const ms = lasting(random);
    await installation.pausePart(name, ms);
    return { sessions: null, detail: `for ${ms} ms` };
  },
});

/** Processes that were struck: what a kill needs a moment for is not struck again meanwhile. */
const struck = new Set();

/** A session that has such a process now, and the process. */
function target({ installation, people, random }, role) {
  const order = people.map((person) => [random.next(), person]).sort(([a], [b]) => a - b);
  for (const [, { id }] of order) {
    const found = installation.sandboxProcesses(id, role).filter(({ pid }) => !struck.has(pid));
    if (found.length > 0) return { id, process: random.one(found) };
  }
  return null;
}

const killInSandbox = (role, weight) => ({
  kind: `kill ${role}`,
  weight,
  async strike(world) {
    const hit = target(world, role);
    if (!hit || !signal(hit.process.pid, 'SIGKILL')) return null;
    struck.add(hit.process.pid);
    return { sessions: [hit.id], detail: `process ${hit.process.pid}` };
  },
});

const pauseInSandbox = (role, weight) => ({
  kind: `pause ${role}`,
  weight,
  async strike(world) {
    const hit = target(world, role);
    if (!hit) return null;
    const ms = lasting(world.random);
    await world.installation.pauseProcesses(() => [hit.process], ms);
    return { sessions: [hit.id], detail: `process ${hit.process.pid} for ${ms} ms` };
  },
});

/** Disturbs one hop: all of its connections, or those of one session. */
const disturb = (hop, proxy, kind, weight) => ({
  kind: `disturb ${hop}`,
  weight,
  async strike({ installation, people, random }) {
    const mode = random.weighted(MODES);
    const ms = lasting(random);
    const one = kind === 'runner' && random.chance(0.5) ? random.one(people).id : null;
    const wanted = (link) => (!kind || link.kind === kind) && (!one || link.session === one);
    const links = installation.proxies[proxy].links.filter(wanted);
    // A link of a runner is there for long; the other hops' connections come and go, and come during the fault.
    if (kind === 'runner' && links.length === 0) return null;
    const { hit, end } = installation.proxies[proxy].disturb(mode, wanted);
    await pause(ms);
    end();
    return { sessions: one ? [one] : null, detail: `${mode}, ${hit} connections, ${ms} ms` };
  },
});

/** A viewer's own trouble touches nobody's turn. */
const viewersTrouble = {
  kind: 'disturb viewers',
  weight: 3,
  async strike({ installation, people, random }) {
    const mode = random.weighted(MODES);
    const ms = lasting(random);
    const { hit, end } = installation.proxies.viewers.disturb(mode, (link) => link.kind === 'viewer');
    if (random.chance(0.5)) random.one(random.one(people).viewers).drop();
    await pause(ms);
    end();
    return { sessions: [], detail: `${mode}, ${hit} connections, ${ms} ms` };
  },
};

/** The sandbox is gone with its files: the session goes on from its last snapshot. */
const loseSandbox = {
  kind: LOSS,
  weight: 2,
  async strike({ installation, people, random }) {
    const { id } = random.one(people);
    return (await installation.loseSandbox(id)) ? { sessions: [id], detail: 'removed with its files' } : null;
  },
};

const fullDisk = {
  kind: DISK,
  weight: 4,
  async strike({ installation, random }) {
    if (!installation.ownDisk) return null;
    const ms = lasting(random);
    const makeRoom = installation.fillDisk();
    await pause(ms);
    makeRoom();
    return { sessions: null, detail: `for ${ms} ms` };
  },
};

/** Far ahead mostly, a little back now and then, as clocks are set; it stays so. */
const clockJump = {
  kind: 'clock jump',
  weight: 3,
  async strike({ installation: { clock }, random }) {
    if (!clock.env) return null;
    const ms = random.chance(0.7) ? random.between(5000, 90_000) : -random.between(500, 8000);
    clock.jump(ms);
    return { sessions: null, detail: `by ${ms} ms` };
  },
};

export const FAULTS = [
  killPart('worker', 4),
  killWorkerd,
  killPart('host', 4),
  killPart('model', 3),
  ...Object.keys(IN_SANDBOX).map((role) => killInSandbox(role, { runner: 6, engine: 6 }[role] ?? 3)),
  pausePart('worker', 3),
  pausePart('host', 2),
  pausePart('model', 2),
  ...['keeper', 'runner', 'engine'].map((role) => pauseInSandbox(role, role === 'keeper' ? 1 : 4)),
  disturb('runner link', 'runners', 'runner', 6),
  disturb('model calls of the sandbox', 'runners', 'llm', 3),
  disturb('model calls of the Worker', 'model', null, 2),
  disturb('sandbox contract', 'host', null, 4),
  viewersTrouble,
  loseSandbox,
  fullDisk,
  clockJump,
];
