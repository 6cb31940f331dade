import { expect, it } from "vitest";
import { LEFT_OPEN, limitDraft, limitOf } from "@/features/settings/limit-draft";

it("what was said is what is written back", () => {
  for (const limit of [0, 7, 1_000_000, "unlimited"] as const) expect(limitOf(limitDraft(limit))).toEqual({ limit });
  expect(limitOf(limitDraft(undefined))).toEqual({ open: true });
  expect(limitDraft(undefined)).toBe(LEFT_OPEN);
});

it("what is no number is told", () => {
  for (const most of ["", "-1", "1.5", "x", "1000001", "1e3"]) expect(limitOf({ kind: "most", most }), most).toHaveProperty("problem");
});
