import { describe, expect, it } from "vitest";
import { AT, session } from "@/features/session/frames.fixture";
import { offers, permitted, type Circumstances } from "@/features/session/offers";
import { LOOK_ONLY } from "@/lib/may";
import type { Phase } from "@/protocol/Phase";

const rests: Circumstances = { turnRuns: false, waiting: 0, forkable: true };
const ids = (phase: Phase, change: Partial<Circumstances> = {}) =>
  offers(session({ phase }), { ...rests, ...change }).map((offer) => (offer.refused === undefined ? offer.id : `(${offer.id})`));

describe("what can be done with a session", () => {
  it("follows its phase", () => {
    expect(ids("running")).toEqual(["pause", "fork", "archive", "terminate"]);
    expect(ids("paused")).toEqual(["resume", "fork", "archive", "terminate"]);
    expect(ids("pausing")).toEqual(["resume", "fork", "archive", "terminate"]);
    expect(ids("error")).toEqual(["retry", "fork", "archive", "terminate"]);
    expect(ids("terminated")).toEqual(["fork", "archive"]);
  });

  it("is refused with the reason while work would be cut off", () => {
    expect(ids("running", { turnRuns: true })).toEqual(["(pause)", "fork", "(archive)", "terminate"]);
    const [pause] = offers(session({ phase: "starting" }), { ...rests, waiting: 2 });
    expect(pause?.refused).toMatch(/Prompts wait/);
  });

  it("is what one may do: nothing for who looks on, its end for who answers for the org", () => {
    const list = offers(session({ phase: "running" }), rests);
    expect(permitted(list, LOOK_ONLY)).toEqual([]);
    const admin = { ...LOOK_ONLY, manage: true, end: true, oversee: true };
    expect(permitted(list, admin).map(({ id }) => id)).toEqual(["archive", "terminate"]);
  });

  it("has no fork before a turn has ended", () => {
    expect(ids("running", { forkable: false })).toContain("(fork)");
  });

  it("of an archived session is to take it back out, once", () => {
    const list = offers(session({ phase: "paused", archivedAt: AT }), rests).map((offer) => offer.id);
    expect(list).toEqual(["resume", "fork", "restore", "terminate"]);
  });
});
