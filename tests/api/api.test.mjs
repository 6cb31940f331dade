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

/** The share of the time for each, and who they are. */
const CALLERS = [
  ['the owner', 0.6, () => world.owner.token],
  ['a viewer', 0.2, () => world.viewer.token],
  ['nobody', 0.2, () => undefined],
];

for (const [name, share, token] of CALLERS) {
  test(`${name} gets no answer that the document does not have`, async () => {
    const { url } = world.worker;
    const { ok, output } = await fuzz({ url, ids: world.ids, token: token(), seconds: Math.ceil(SECONDS * share), seed: SEED });
    world.worker.assertNoPanics();
    assert.ok(ok, output);
  });
}
