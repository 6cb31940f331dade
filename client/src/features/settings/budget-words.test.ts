import { expect, it } from "vitest";
import { budgetTitle, subjectWords } from "@/features/settings/budget-words";

const nameOf = (id: string) => (id === "usr_ada" ? "Ada" : undefined);

it("a budget says whose it is", () => {
  expect(budgetTitle({ dimension: "org" }, nameOf)).toBe("The whole org");
  expect(budgetTitle({ dimension: "user" }, nameOf)).toBe("Each person");
  expect(budgetTitle({ dimension: "user", subject: "usr_ada" }, nameOf)).toBe("Ada");
  expect(budgetTitle({ dimension: "user", subject: "usr_bob" }, nameOf)).toBe("Somebody who has left");
  expect(budgetTitle({ dimension: "repository", subject: "https://github.com/acme/shop.git" }, nameOf)).toBe("shop");
});

it("sessions go by their title where it is known", () => {
  const titleOf = (id: string) => (id === "ses_01ABCDEFGHIJ" ? "Fix the login" : undefined);
  expect(subjectWords("session", "ses_01ABCDEFGHIJ", nameOf, titleOf)).toBe("Fix the login");
  expect(subjectWords("session", "ses_01ABCDEFGHIK", nameOf, titleOf)).toBe("Session …EFGHIK");
});

it("sessions go by the end of their id, models by their name", () => {
  expect(subjectWords("session", "ses_01ABCDEFGHIJ", nameOf)).toBe("Session …EFGHIJ");
  expect(subjectWords("model", "demo/demo", nameOf)).toBe("demo/demo");
});
