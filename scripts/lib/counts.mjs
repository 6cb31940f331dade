/** Reads how many tests passed and failed from what the runners print. */

const ANSI = /\x1b\[[0-9;]*m/g;

/** `cargo test`: one line per test binary. */
export function cargoCounts(output) {
  return sum(output, /^test result: \w+\. (\d+) passed; (\d+) failed;/gm);
}

/** `node --test` with the spec reporter; a cancelled test is a failed one. */
export function nodeCounts(output) {
  const number = (name) => sum(output, new RegExp(`^[ℹ#] ${name} (\\d+)$`, 'gm')).passed;
  return { passed: number('pass'), failed: number('fail') + number('cancelled') };
}

/** `vitest run`: `Tests  1 failed | 12 passed (13)`. */
export function vitestCounts(output) {
  const line = output.replace(ANSI, '').match(/^\s*Tests\s+(.*)$/m)?.[1] ?? '';
  const number = (name) => Number(line.match(new RegExp(`(\\d+) ${name}`))?.[1] ?? 0);
  return { passed: number('passed'), failed: number('failed') };
}

function sum(output, pattern) {
  const total = { passed: 0, failed: 0 };
  for (const match of output.replace(ANSI, '').matchAll(pattern)) {
    total.passed += Number(match[1]);
    total.failed += Number(match[2] ?? 0);
  }
  return total;
}
