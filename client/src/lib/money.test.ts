import { expect, it } from "vitest";
import { amountText, dollars, parseDollars } from "@/lib/money";

it("amounts are short", () => {
  expect([0, 1, 100, 4_249, 10_000, 1_234_567, 999_990_000, 1_234_500_000].map(dollars)).toEqual([
    "$0.00", "<$0.0001", "$0.0001", "$0.0042", "$0.01", "$1.23", "$999.99", "$1,235",
  ]);
});

it("what was written is what is read", () => {
  for (const micros of [0, 1, 10_000, 1_500_000, 12_345_678, 1_000_000_000_000_000]) {
    expect(parseDollars(amountText(micros))).toBe(micros);
  }
  expect(["5", "$5", "1,000", "0.01", " 2.50 ", "3."].map((text) => parseDollars(text))).toEqual([5e6, 5e6, 1e9, 1e4, 2.5e6, 3e6]);
});

it("what is no amount is none", () => {
  for (const bad of ["", "-1", "1e3", "1.0000001", "abc", "1,00", "NaN", "0x10", "1000000001"]) {
    expect(parseDollars(bad), bad).toBeUndefined();
  }
  expect(parseDollars("6", 5)).toBeUndefined();
});
