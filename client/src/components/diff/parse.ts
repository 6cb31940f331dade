/** Reads unified diffs, as git and the engine write them. Pure. */

/** One line of a diff, with its number on both sides. */
export interface DiffLine {
  readonly kind: "same" | "add" | "del" | "gap";
  readonly text: string;
  readonly before?: number;
  readonly after?: number;
  /** Where, inside the text, it differs from the line that it replaces or that replaces it. */
  readonly mark?: readonly [number, number];
}

/** The lines of all hunks, `gap` between them; file headers are left out. */
export function parseDiff(patch: string): readonly DiffLine[] {
  const lines: DiffLine[] = [];
  let before = 0;
  let after = 0;
  let left = { before: 0, after: 0 };
  for (const raw of patch.replace(/\n$/, "").split("\n")) {
    const hunk = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(.*)$/.exec(raw);
    if (hunk) {
      before = Number(hunk[1]);
      after = Number(hunk[3]);
      left = { before: Number(hunk[2] ?? 1), after: Number(hunk[4] ?? 1) };
      if (lines.length > 0 || before > 1) lines.push({ kind: "gap", text: (hunk[5] ?? "").trim() });
      continue;
    }
    // Counting the hunk's lines tells a removed line "-- x" from the next file's header "--- x".
    if (left.before <= 0 && left.after <= 0) continue;
    const text = raw.slice(1);
    if (raw.startsWith("+")) {
      lines.push({ kind: "add", text, after: after++ });
      left.after -= 1;
    } else if (raw.startsWith("-")) {
      lines.push({ kind: "del", text, before: before++ });
      left.before -= 1;
    } else if (!raw.startsWith("\\")) {
      lines.push({ kind: "same", text, before: before++, after: after++ });
      left = { before: left.before - 1, after: left.after - 1 };
    }
  }
  return marked(lines);
}

/** Lines added and removed. */
export function diffCounts(lines: readonly DiffLine[]): { added: number; removed: number } {
  return {
    added: lines.filter((line) => line.kind === "add").length,
    removed: lines.filter((line) => line.kind === "del").length,
  };
}

/** Marks what changed inside lines, where as many lines are added as were removed just before. */
function marked(lines: readonly DiffLine[]): readonly DiffLine[] {
  const result = [...lines];
  let at = 0;
  while (at < lines.length) {
    const dels = runLength(lines, at, "del");
    const adds = runLength(lines, at + dels, "add");
    if (dels > 0 && dels === adds) {
      for (let i = 0; i < dels; i += 1) markPair(result, at + i, at + dels + i);
    }
    at += Math.max(dels + adds, 1);
  }
  return result;
}

function runLength(lines: readonly DiffLine[], from: number, kind: DiffLine["kind"]): number {
  let to = from;
  while (lines[to]?.kind === kind) to += 1;
  return to - from;
}

function markPair(lines: DiffLine[], delAt: number, addAt: number): void {
  const del = lines[delAt];
  const add = lines[addAt];
  if (!del || !add) return;
  const shorter = Math.min(del.text.length, add.text.length);
  let head = 0;
  while (head < shorter && del.text[head] === add.text[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && del.text.at(-1 - tail) === add.text.at(-1 - tail)) tail += 1;
  // Lines with little in common are simply other lines.
  if (head + tail < shorter * 0.4) return;
  lines[delAt] = { ...del, mark: [head, del.text.length - tail] };
  lines[addAt] = { ...add, mark: [head, add.text.length - tail] };
}
