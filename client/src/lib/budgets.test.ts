import { expect, it } from "vitest";
import { holdsFor } from "@/lib/budgets";

it("a limit says for whom it holds", () => {
  expect(holdsFor({ dimension: "session" })).toBe("every session of this organization");
  expect(holdsFor({ dimension: "session", subject: "ses_1" })).toBe("this one session");
  expect(holdsFor({ dimension: "user" })).toBe("every person of this organization");
  expect(holdsFor({ dimension: "org", subject: "" })).toBe("the whole organization");
});
