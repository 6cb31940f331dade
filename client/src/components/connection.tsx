/** How the connection stands, in words; the dot only repeats them. */
import { useNow } from "@/lib/clock";
import { cx } from "@/lib/cx";
import { clock } from "@/lib/format";
import type { LinkState } from "@/lib/live-socket";

/** The state's name, also for tests, and its words. */
export function connectionWords(link: LinkState, behind: number, now: number): { state: string; words: string } {
  switch (link.kind) {
    case "connecting":
      return { state: "connecting", words: "connecting" };
    case "open":
      return behind > 0 ? { state: "behind", words: `catching up, ${behind} behind` } : { state: "live", words: "live" };
    case "offline":
      return { state: "offline", words: `offline since ${clock(new Date(link.since).toISOString(), now)}` };
    case "closed":
      return { state: "closed", words: "not connected" };
  }
}

const DOTS: Record<string, string> = {
  live: "bg-green",
  connecting: "bg-faint pulse",
  behind: "bg-blue pulse",
  offline: "bg-amber",
  closed: "bg-red",
};

/** A dot and words; the state's name alone when there is little room (`brief`), only the dot when there is none. */
export function Connection({
  link,
  behind,
  compact = false,
  brief = false,
  testId,
}: {
  link: LinkState;
  behind: number;
  compact?: boolean;
  brief?: boolean;
  testId: string;
}) {
  const now = useNow(60_000);
  const { state, words } = connectionWords(link, behind, now);
  return (
    <span role="status" data-testid={testId} data-state={state} title={words} className="flex shrink-0 items-center gap-1.5 px-1 text-xs text-muted">
      <span aria-hidden className={cx("size-1.5 rounded-full", DOTS[state])} />
      <span className={compact ? "sr-only" : undefined}>{brief && state === "offline" ? state : words}</span>
    </span>
  );
}
