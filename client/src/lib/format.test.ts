import { expect, it } from "vitest";
import { age, ago, ahead, count, duration, plural, repoName, workspacePath } from "@/lib/format";

it("durations are short and never negative", () => {
  expect([-5, 400, 4_000, 59_600, 80_000, 7_500_000].map(duration)).toEqual(["0.0 s", "0.4 s", "4 s", "1 m", "1 m 20 s", "2 h 5 m"]);
});

it("ages round down", () => {
  const now = Date.parse("2026-11-21T12:00:00Z");
  expect(age("2026-11-21T11:59:30Z", now)).toBe("now");
  expect(age("2026-11-21T10:01:00Z", now)).toBe("1 h");
  expect(age("2026-11-18T12:00:00Z", now)).toBe("3 d");
});

it("times in sentences say on which side of now they are", () => {
  const now = Date.parse("2026-11-21T12:00:00Z");
  expect(["2026-11-21T11:59:30Z", "2026-11-21T11:56:00Z", "2026-11-19T12:00:00Z"].map((at) => ago(at, now))).toEqual(["just now", "4 m ago", "2 d ago"]);
  const ends = ["2026-11-21T12:00:00Z", "2026-11-21T12:00:30Z", "2026-11-21T15:00:00Z", "2026-11-28T12:00:00Z"];
  expect(ends.map((at) => ahead(at, now))).toEqual(["over", "in 1 m", "in 3 h", "in 7 d"]);
});

it("counts are readable", () => {
  expect([940, 1_240, 18_400, 1_200_000].map(count)).toEqual(["940", "1.2k", "18k", "1.2M"]);
  expect([plural(1, "file"), plural(2, "match", "matches")]).toEqual(["1 file", "2 matches"]);
});

it("names are the last part of an address", () => {
  expect(["https://h/a/calc.git/", "/srv/x", "file:///y/z.git"].map(repoName)).toEqual(["calc", "x", "z"]);
  expect([workspacePath("/workspace/src/a"), workspacePath("/etc/x")]).toEqual(["src/a", "/etc/x"]);
});
