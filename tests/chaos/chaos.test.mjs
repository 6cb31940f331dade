/** A short chaos run: some faults of every family on the real system, and nothing lost, twice, hanging or left behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { table } from './report.mjs';
import { chaos } from './run.mjs';

test('after a dozen faults of all kinds nothing is lost, duplicated, stuck or orphaned', async (t) => {
  const result = await chaos({ faults: 13, seed: 3, sessions: 3, minutes: 1 });
  t.diagnostic(table(result));
  for (const diagnosis of result.diagnoses ?? []) t.diagnostic(JSON.stringify(diagnosis, null, 1));
  assert.equal(result.faults.length, 13, table(result));
  assert.deepEqual(result.counts, { lost: 0, duplicated: 0, stuck: 0, orphans: 0 }, table(result));
});
