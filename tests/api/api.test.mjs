/**
 * The API against its document: whatever one sends, there is no 5xx, and no answer that the document does not have.
 * `ERRAND_FUZZ_SECONDS` and `ERRAND_FUZZ_SEED` make it longer and tell it again (`npm run fuzz`).
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { fuzz } from './fuzz.mjs';
import { startWorld } from './world.mjs';

const SECONDS = Number(process.env.ERRAND_FUZZ_SECONDS ?? 50);
const SEED = Number(process.env.ERRAND_FUZZ_SEED ?? 1);

let world;
before(async () => {
  world = await startWorld();
});
after(() => world.stop());

/** A sandbox makes them, or somebody whose sign-in they end (hooks.py). */
const BY_OTHERS = ['getSnapshot', 'putSnapshot', 'getEnvironment', 'callModel', 'gitRefs', 'gitPack', 'signOut', 'endSignIns', 'endSignIn', 'switchOrg'];
/** The share of the time for each, and who they are. */
const CALLERS = [
  ['the owner', 0.6, () => world.owner.token],
  ['a viewer', 0.2, () => world.viewer.token],
  ['nobody', 0.2, () => undefined],
];

for (const [name, share, token] of CALLERS) {
  test(`${name} gets no answer that the document does not have`, async (t) => {
    const { url } = world.worker;
    const seconds = Math.ceil(SECONDS * share);
    const { ok, output, answers } = await fuzz({ url, ids: world.ids, token: token(), sandbox: token() && world.sandbox, seconds, seed: SEED });
    t.diagnostic(summary(answers, token === CALLERS[0][2]));
    world.assertNoPanics();
    assert.ok(ok, output);
    if (token()) assert.deepEqual(refused(answers), [], 'the credential was good to the end');
  });
}

/** Operations for people that took nobody for this person. */
function refused(answers) {
  return Object.keys(answers).filter((name) => answers[name][401] && !BY_OTHERS.includes(name));
}

/** How many requests there were, and of who may do all which operations never did what they are there for. */
function summary(answers, mayDoAll) {
  const all = Object.values(answers).flatMap((statuses) => Object.values(statuses));
  const requests = `${all.reduce((sum, number) => sum + number, 0)} requests`;
  if (!mayDoAll) return requests;
  const failed = Object.keys(answers).filter((name) => !Object.keys(answers[name]).some((status) => status < 400));
  return `${requests}; never done: ${failed.sort().join(', ') || 'none'}`;
}
