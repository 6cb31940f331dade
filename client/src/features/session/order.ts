/** The order of waiting prompts, as the session machine keeps it (crates/session/src/queue.rs). Pure. */
import type { Place } from "@/protocol/Place";
import type { Prompt } from "@/protocol/Prompt";

/** The queue with one more: a prompt that is to steer stands before those that are not, while a turn runs. */
export function enqueued<T>(queue: readonly T[], item: T, promptOf: (item: T) => Prompt, turnRuns: boolean): readonly T[] {
  const steers = (other: T) => promptOf(other).mode === "steer";
  if (!turnRuns || !steers(item)) return [...queue, item];
  const first = queue.findIndex((other) => !steers(other));
  return queue.toSpliced(first < 0 ? queue.length : first, 0, item);
}

/** The queue with one at another place; unchanged when it, or what it should stand before, no longer waits. */
export function moved<T>(queue: readonly T[], idOf: (item: T) => string, id: string, to: Place): readonly T[] {
  const item = queue.find((other) => idOf(other) === id);
  if (item === undefined) return queue;
  const others = queue.filter((other) => other !== item);
  if (to === "first") return [item, ...others];
  if (to === "last") return [...others, item];
  if (to.before === id) return queue;
  const at = others.findIndex((other) => idOf(other) === to.before);
  return at < 0 ? queue : others.toSpliced(at, 0, item);
}

/** The place by which the prompt gets to index `at` of the queue; nothing when it stands there already. */
export function placeAt(ids: readonly string[], id: string, at: number): Place | undefined {
  if (!ids.includes(id) || ids[at] === id) return undefined;
  const others = ids.filter((other) => other !== id);
  if (at <= 0) return "first";
  const next = others[at];
  return next === undefined ? "last" : { before: next };
}
