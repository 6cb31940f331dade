import { expect, it } from "vitest";
import { newPrice, priceDraft, priceOf } from "@/features/settings/price-draft";

const PRICE = { model: "anthropic/claude", from: "2026-11-01T00:00:00.000Z", rates: { input: 3_000_000, output: 15_000_000, cacheRead: 300_000 } };

it("a price that nobody changes is written back as it was", () => {
  expect(priceOf(priceDraft(PRICE, 1))).toEqual({ price: PRICE });
});

it("what is missing is told by its name", () => {
  const draft = priceDraft(PRICE, 1);
  expect(priceOf(newPrice(2, "2026-11-21"))).toHaveProperty("problem", "Name the model as provider/model.");
  expect(priceOf({ ...draft, from: "" })).toHaveProperty("problem", expect.stringContaining("from which day"));
  expect(priceOf({ ...draft, rates: { ...draft.rates, output: "" } })).toHaveProperty("problem", expect.stringContaining("Output of anthropic/claude"));
  expect(priceOf({ ...draft, rates: { ...draft.rates, reasoning: "20000" } })).toHaveProperty("problem", expect.stringContaining("Reasoning"));
});
