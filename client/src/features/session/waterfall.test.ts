import { describe, expect, it } from "vitest";
import { waterfall, withLive } from "@/features/session/waterfall";
import type { Start } from "@/protocol/Start";
import type { StartPoint } from "@/protocol/StartPoint";
import type { Typical } from "@/protocol/Typical";

const at = (second: number) => new Date(Date.UTC(2026, 10, 21, 9, 0, second)).toISOString();
const now = (second: number) => Date.parse(at(second));

function start(marks: readonly [StartPoint, number][], change: Partial<Start> = {}): Start {
  return { generation: 1, attempt: 1, resumed: false, marks: marks.map(([point, second]) => ({ point, at: at(second) })), outcome: "going", ...change };
}
const typical: Typical = {
  samples: 20, readyP50: 3000, readyP95: 6000,
  spans: [{ point: "requested", p50: 500, p95: 1000 }, { point: "booting", p50: 1000, p95: 2000 }, { point: "engine", p50: 1500, p95: 3000 }],
};
const short = (bars: ReturnType<typeof waterfall>["bars"]) => bars.map((bar) => [bar.point, bar.state, bar.ms]);

describe("the bars of a start", () => {
  it("last from mark to mark, the last one until now, and what is to come stands below", () => {
    const { bars, total } = waterfall(start([["queued", 0], ["requested", 1], ["booting", 3]]), typical, now(7), true);
    expect(short(bars)).toEqual([["queued", "done", 1000], ["requested", "done", 2000], ["booting", "now", 4000], ["engine", "todo", undefined]]);
    expect(total).toBe(7000);
  });

  it("are slow when they take longer than all but one in twenty of many", () => {
    const going = start([["requested", 0], ["booting", 1]]);
    expect(waterfall(going, typical, now(4), true).bars.map((bar) => bar.slow)).toEqual([false, true, false]);
    expect(waterfall(going, { ...typical, samples: 3 }, now(4), true).bars.some((bar) => bar.slow)).toBe(false);
  });

  it("are compared with nothing while only one start is known, which may be this one", () => {
    const { bars } = waterfall(start([["requested", 0], ["booting", 1]]), { ...typical, samples: 1 }, now(4), true);
    expect(bars.some((bar) => bar.usual)).toBe(false);
  });

  it("of one that was ready end with what is known: waiting for words only while a turn runs", () => {
    const ready = start([["queued", 0], ["engine", 2], ["ready", 4]], { outcome: "ready", endedAt: at(4) });
    expect(short(waterfall(ready, undefined, now(60), false).bars).at(-1)).toEqual(["ready", "reached", undefined]);
    expect(short(waterfall(ready, undefined, now(9), true).bars).at(-1)).toEqual(["ready", "now", 5000]);
    expect(waterfall(ready, undefined, now(60), false)).toMatchObject({ readyMs: 4000, total: 4000 });
    const whole = start([["queued", 0], ["ready", 4], ["first_token", 5], ["first_tool", 7]], { outcome: "ready" });
    expect(short(waterfall(whole, undefined, now(60), true).bars).at(-1)).toEqual(["first_tool", "reached", undefined]);
  });

  it("of one that failed end when it ended", () => {
    const failed = start([["queued", 0], ["cloning", 2]], { outcome: "failed", endedAt: at(5) });
    expect(short(waterfall(failed, undefined, now(60), false).bars)).toEqual([["queued", "done", 2000], ["cloning", "failed", 3000]]);
  });

  it("never end before they began, whatever this machine's clock says", () => {
    const { bars, total } = waterfall(start([["queued", 10], ["booting", 12]]), undefined, now(5), true);
    expect(bars[1]?.ms).toBe(0);
    expect(total).toBe(2000);
  });
});

describe("what the log says of a start", () => {
  const live = (generation: number, ...steps: [("requested" | "booting" | "cloning"), number][]) => ({
    generation, attempt: 1, steps: steps.map(([step, second]) => ({ step, at: at(second) })),
  });

  it("is all there is before an answer has come", () => {
    expect(withLive([], live(1, ["requested", 1]))).toMatchObject([{ outcome: "going", marks: [{ point: "requested" }] }]);
    expect(withLive([], null)).toEqual([]);
  });

  it("adds to the newest start what came since", () => {
    const known = start([["queued", 0], ["admitted", 1], ["requested", 1]]);
    const [newest] = withLive([known], live(1, ["requested", 1], ["booting", 2]));
    expect(newest?.marks.map((mark) => mark.point)).toEqual(["queued", "admitted", "requested", "booting"]);
  });

  it("begins a newer start, and does not bring an older one back", () => {
    expect(withLive([start([["queued", 0]], { outcome: "failed" })], live(2, ["requested", 1])).map((s) => s.generation)).toEqual([2, 1]);
    const newer = [start([["queued", 0]], { generation: 3 })];
    expect(withLive(newer, live(2, ["requested", 1]))).toBe(newer);
  });
});
