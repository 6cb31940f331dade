import { expect, it } from "vitest";
import { policyFrom, policyText } from "@/features/settings/model-policy";

it("what is said is what is written back, and roles that are left open are not mentioned", () => {
  const allowed = { member: ["anthropic/*", "openai/gpt-5"], viewer: ["*"] };
  expect(policyFrom(policyText(allowed))).toEqual({ allowed });
  expect(policyFrom(policyText(undefined))).toEqual({ allowed: undefined });
});

it("what is no pattern is told", () => {
  const with_ = (member: string) => policyFrom({ ...policyText(undefined), member });
  expect(with_("a/*, b/c a/*")).toEqual({ allowed: { member: ["a/*", "b/c"] } });
  for (const bad of ["gpt-5", "**", "a/*b", "/*", "*/x"]) expect(with_(bad), bad).toHaveProperty("problem");
});
