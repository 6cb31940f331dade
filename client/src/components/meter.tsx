/** How far something is used up: a bar with a mark where the warning comes, and the words for it. */
import { cx } from "@/lib/cx";

/** Where people are warned. */
export const WARN_AT = 0.8;

/** How it stands, also for words and icons. */
export function meterState(used: number, limit: number): "fine" | "warn" | "full" {
  if (used >= limit) return "full";
  return used >= limit * WARN_AT ? "warn" : "fine";
}

/** `label`: what it measures, for those who listen; `words`: the amounts. Colour only repeats `state`, which the words say, too. */
export function Meter({ used, limit, label, words }: { used: number; limit: number; label: string; words: string }) {
  const share = limit <= 0 ? 1 : Math.min(1, used / limit);
  const state = meterState(used, limit);
  const fills = { fine: "bg-accent", warn: "bg-amber", full: "bg-red" } as const;
  return (
    <div
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(share * 100)}
      aria-valuetext={words}
      data-state={state}
      className="relative h-1.5 w-full rounded-full bg-selected"
    >
      <div className={cx("h-full rounded-full", fills[state])} style={{ width: `${share * 100}%` }} />
      <div aria-hidden title="The warning comes here" className="absolute inset-y-[-2px] w-px bg-line-strong" style={{ left: `${WARN_AT * 100}%` }} />
    </div>
  );
}
