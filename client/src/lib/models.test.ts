import { expect, it } from "vitest";
import { modelLabel, splitEffort } from "@/lib/models";

it("how much a model is told to think stands behind its id", () => {
  expect(splitEffort("anthropic/claude@high")).toEqual({ model: "anthropic/claude", effort: "high" });
  expect(splitEffort("anthropic/claude")).toEqual({ model: "anthropic/claude", effort: undefined });
  expect(splitEffort("x/y@2024")).toEqual({ model: "x/y@2024", effort: undefined });
});

it("a list says which models are scripted and which are locked, and why", () => {
  expect(modelLabel({ name: "Model", demo: true, locked: false })).toBe("Model (demo)");
  expect(modelLabel({ name: "Demo model", demo: true, locked: false })).toBe("Demo model");
  expect(modelLabel({ name: "Claude", demo: false, locked: true, lock: "no_key" })).toMatch(/locked: needs a key/);
  expect(modelLabel({ name: "Claude", demo: false, locked: true, lock: "policy" })).toMatch(/not for your role/);
});
