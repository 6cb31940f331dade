/** When which fault strikes, as the seed decides; several at once now and then. Keeps the record of what was done. */
import { FAULTS } from './faults.mjs';
import { pause } from './installation.mjs';
import { Random } from './random.mjs';

/** Pause between faults, and the share of those that come together. */
const CALM = [100, 2500];
const TOGETHER = 0.3;
/** So often another fault is looked for, when one finds nothing to strike. */
const TRIES = 20;

/**
 * Strikes `count` times, or until `deadline`. Resolves to the record: `{at, until, kind, sessions, detail}` in the order
 * in which the faults began, by the Worker's clock; `sessions` is null when all could be hit.
 */
export async function strikeAll({ installation, people, seed, count, deadline, kinds, onFault }) {
  const random = Random.for(seed, 'faults');
  const possible = FAULTS.filter(({ kind }) => !kinds || kinds.some((name) => kind.includes(name)));
  const record = [];
  while (record.length < count && Date.now() < deadline) {
    const together = random.chance(TOGETHER) ? random.between(2, 4) : 1;
    const batch = [];
    for (let n = 0; n < Math.min(together, count - record.length); n += 1) {
      batch.push(strike({ installation, people, random, possible }));
    }
    for (const fault of (await Promise.all(batch)).filter(Boolean)) {
      record.push(fault);
      onFault?.(fault, record.length);
    }
    await pause(random.between(...CALM));
  }
  return record.sort((a, b) => a.at - b.at);
}

async function strike({ possible, ...world }) {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const fault = world.random.weighted(possible.map((one) => [one.weight, one]));
    const at = world.installation.clock.now();
    const outcome = await fault.strike(world);
    if (outcome) return { at, until: world.installation.clock.now(), kind: fault.kind, ...outcome };
    await pause(200);
  }
  return null;
}
