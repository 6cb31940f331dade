import { expect, it } from "vitest";
import { everyDay, scaleEnd } from "@/components/day-chart";
import { meterState } from "@/components/meter";

it("every day has its place, also those without spending and over the end of a month", () => {
  const days = everyDay([{ day: "2026-03-01", amount: 5 }, { day: "2025-01-01", amount: 9 }], "2026-03-02", 4);
  expect(days).toEqual([
    { day: "2026-02-27", amount: 0 },
    { day: "2026-02-28", amount: 0 },
    { day: "2026-03-01", amount: 5 },
    { day: "2026-03-02", amount: 0 },
  ]);
});

it("a scale ends at a round amount that all bars fit below", () => {
  expect([0, 0.004, 1, 1.1, 11, 24, 26, 51, 5_000_000].map(scaleEnd)).toEqual([0, 0.004, 1, 1.2, 12, 30, 30, 60, 5_000_000]);
});

it("a meter warns at 80 % and is full at the limit; a limit of nothing is full", () => {
  expect([[79, 100], [80, 100], [99.9, 100], [100, 100], [0, 0]].map(([used, limit]) => meterState(used ?? 0, limit ?? 0))).toEqual(["fine", "warn", "warn", "full", "full"]);
});
