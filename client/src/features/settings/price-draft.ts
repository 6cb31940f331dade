/** A price while somebody edits it. Rates are shown in dollars for a million tokens, and sent in micro-dollars. Pure. */
import { amountText, parseDollars } from "@/lib/money";
import type { Price } from "@/protocol/Price";

/** The rates in the order of the table; the last three may stay empty. */
export const RATES = [
  { name: "input", label: "Input", needed: true, otherwise: "" },
  { name: "output", label: "Output", needed: true, otherwise: "" },
  { name: "cacheRead", label: "Cache read", needed: false, otherwise: "as input" },
  { name: "cacheWrite", label: "Cache write", needed: false, otherwise: "as input" },
  { name: "reasoning", label: "Reasoning", needed: false, otherwise: "as output" },
] as const;

/** One of {@link RATES}. */
export type RateName = (typeof RATES)[number]["name"];

/** See the head of the file. `key` tells rows apart. */
export interface PriceDraft {
  readonly key: number;
  readonly model: string;
  /** A day, `2026-11-21`: from its beginning in UTC. */
  readonly from: string;
  readonly rates: Readonly<Record<RateName, string>>;
}

const MOST_DOLLARS = 10_000;

/** A stored price, to be edited. */
export function priceDraft(price: Price, key: number): PriceDraft {
  const text = (name: RateName) => {
    const rate = price.rates[name];
    return rate === undefined ? "" : amountText(rate);
  };
  return {
    key,
    model: price.model,
    from: price.from.slice(0, 10),
    rates: { input: text("input"), output: text("output"), cacheRead: text("cacheRead"), cacheWrite: text("cacheWrite"), reasoning: text("reasoning") },
  };
}

/** An empty row. */
export function newPrice(key: number, today: string): PriceDraft {
  return { key, model: "", from: today, rates: { input: "", output: "", cacheRead: "", cacheWrite: "", reasoning: "" } };
}

/** The price that was written, or what is wrong with it. */
export function priceOf(draft: PriceDraft): { price: Price } | { problem: string } {
  const model = draft.model.trim();
  if (!/^[^/\s]+\/\S+$/.test(model)) return { problem: "Name the model as provider/model." };
  if (!/^\d{4}-\d{2}-\d{2}$/.test(draft.from)) return { problem: `Say from which day on ${model} costs that.` };
  const rates: Partial<Record<RateName, number>> = {};
  for (const { name, label, needed } of RATES) {
    const text = draft.rates[name].trim();
    if (text === "" && !needed) continue;
    const rate = parseDollars(text, MOST_DOLLARS);
    if (rate === undefined) return { problem: `${label} of ${model} is no amount, 0 to 10,000.` };
    rates[name] = rate;
  }
  const { input = 0, output = 0, ...rest } = rates;
  return { price: { model, from: `${draft.from}T00:00:00.000Z`, rates: { input, output, ...rest } } };
}
