/**
 * Where the time of a start goes: its marks as bars, each with what is usual for its repository. Pure: the caller says what
 * time it is.
 */
import type { Startup as LiveStart } from "@/features/session/draft";
import type { Start } from "@/protocol/Start";
import type { StartPoint } from "@/protocol/StartPoint";
import type { Typical } from "@/protocol/Typical";

/** One part of a start. */
export interface Bar {
  readonly point: StartPoint;
  readonly words: string;
  /** `todo`: not reached; `now`: goes on; `done`: over; `failed`: the start ended in it; `reached`: a point after which nothing was measured. */
  readonly state: "todo" | "now" | "done" | "failed" | "reached";
  /** Milliseconds since the start began. */
  readonly from: number;
  /** How long it took, or takes so far. */
  readonly ms?: number;
  readonly usual?: { readonly p50: number; readonly p95: number };
  /** Longer than all but one in twenty of this repository's starts. */
  readonly slow: boolean;
}

/** A start as bars. */
export interface Waterfall {
  readonly bars: readonly Bar[];
  /** From the first mark to the last one, or to now: what the bars' places are measured by. */
  readonly total: number;
  /** From the first mark to the engine's readiness. */
  readonly readyMs?: number;
}

const WORDS: Record<StartPoint, string> = {
  queued: "In the queue",
  admitted: "Admitted",
  requested: "Sandbox requested",
  booting: "Sandbox boots",
  cloning: "Repository cloned",
  setup: "Repository set up",
  engine: "Agent starts",
  ready: "Ready, until first words",
  first_token: "First words, until first tool",
  first_tool: "First tool",
};
const POINTS = Object.keys(WORDS) as StartPoint[];
/** What usually comes, while nothing is known of the repository. */
const EXPECTED: readonly StartPoint[] = ["booting", "cloning", "engine", "ready"];
/** Fewer starts than this say nothing about what is slow. */
const ENOUGH_SAMPLES = 5;

const order = (point: StartPoint) => POINTS.indexOf(point);

/** The bars of a start. `answering`: it is the newest one, and a turn runs on it. */
export function waterfall(start: Start, typical: Typical | undefined, now: number, answering: boolean): Waterfall {
  const first = start.marks[0];
  if (!first) return { bars: [], total: 1 };
  const began = Date.parse(first.at);
  const at = (time: string) => Math.max(0, Date.parse(time) - began);
  // One start, which may be this one, says nothing about what is usual.
  const spans = typical && typical.samples > 1 ? typical.spans : [];
  const usual = new Map(spans.map((span) => [span.point, { p50: span.p50, p95: span.p95 }]));
  // A clock that runs behind the server's must not make a part end before it began.
  const latest = start.marks.at(-1) ?? first;
  const present = Math.max(now - began, at(latest.at));
  const end = endOf(start, answering, present, at);
  const bars = start.marks.map(({ point, at: reached }, index): Bar => {
    const next = start.marks[index + 1];
    const from = at(reached);
    const to = next ? at(next.at) : end;
    const words = point === "cloning" && start.resumed ? "Files restored" : WORDS[point];
    const known = usual.get(point);
    const common = { point, words, from, ...(known ? { usual: known } : {}) };
    if (to === undefined) return { ...common, state: "reached", slow: false };
    const ms = Math.max(0, to - from);
    const slow = known !== undefined && (typical?.samples ?? 0) >= ENOUGH_SAMPLES && ms > known.p95;
    return { ...common, state: next ? "done" : lastState(start, end === present), ms, slow };
  });
  const ready = start.marks.find((mark) => mark.point === "ready");
  return {
    bars: [...bars, ...toCome(start, usual, at(latest.at), latest.point)],
    total: Math.max(1, end ?? at(latest.at)),
    ...(ready ? { readyMs: at(ready.at) } : {}),
  };
}

function lastState(start: Start, goesOn: boolean): Bar["state"] {
  if (start.outcome === "failed") return "failed";
  return goesOn ? "now" : "done";
}

/** When the last part ended; now while it goes on; nothing when nobody measures it. */
function endOf(start: Start, answering: boolean, present: number, at: (time: string) => number): number | undefined {
  if (start.outcome === "going") return present;
  if (start.outcome === "ready") return answering && start.marks.at(-1)?.point !== "first_tool" ? present : undefined;
  return start.endedAt === undefined ? undefined : at(start.endedAt);
}

function toCome(start: Start, usual: ReadonlyMap<StartPoint, { p50: number; p95: number }>, from: number, latest: StartPoint): Bar[] {
  if (start.outcome !== "going") return [];
  const expected = usual.size > 0 ? POINTS.filter((point) => usual.has(point)) : EXPECTED;
  return expected
    .filter((point) => order(point) > order(latest) && order(point) <= order("ready"))
    .map((point) => {
      const known = usual.get(point);
      const words = point === "cloning" && start.resumed ? "Files restored" : WORDS[point];
      return { point, words, state: "todo", from, slow: false, ...(known ? { usual: known } : {}) };
    });
}

/** The starts with what the log has said of the newest one since they were fetched; all that is known while they are not. */
export function withLive(starts: readonly Start[], live: LiveStart | null): readonly Start[] {
  if (!live || live.readyAt !== undefined) return starts;
  const marks = live.steps.map(({ step, at }) => ({ point: step, at }));
  const [newest, ...older] = starts;
  const number = (start: { generation: number; attempt: number }) => start.generation * 1000 + start.attempt;
  if (!newest || number(newest) < number(live)) {
    return [{ generation: live.generation, attempt: live.attempt, resumed: false, marks, outcome: "going" }, ...starts];
  }
  if (number(newest) > number(live) || newest.outcome !== "going") return starts;
  const known = new Set(newest.marks.map((mark) => mark.point));
  const last = newest.marks.at(-1)?.at ?? "";
  const news = marks.filter((mark) => !known.has(mark.point) && mark.at >= last);
  return news.length === 0 ? starts : [{ ...newest, marks: [...newest.marks, ...news] }, ...older];
}
