/** Money as people write it. The API counts in whole micro-dollars; a million of them are a dollar. Pure. */

const PER_DOLLAR = 1_000_000;

/** `$0.00`, `<$0.0001`, `$0.0042`, `$12.30`, `$1,234`: of less than a cent hundredths, so that small budgets can be read. */
export function dollars(micros: number): string {
  if (micros <= 0) return "$0.00";
  if (micros < PER_DOLLAR / 10_000) return "<$0.0001";
  const amount = micros / PER_DOLLAR;
  const places = amount < 0.01 ? 4 : amount < 1000 ? 2 : 0;
  return `$${amount.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places })}`;
}

/** For a field: `12.5`, without a sign and without what rounding would take. */
export function amountText(micros: number): string {
  const text = (micros / PER_DOLLAR).toFixed(6).replace(/0+$/, "");
  return text.endsWith(".") ? text.slice(0, -1) : text;
}

/** Micro-dollars from `12`, `12.50`, `$1,000`; `undefined` from anything else. At most `most` dollars. */
export function parseDollars(text: string, most = 1_000_000_000): number | undefined {
  const plain = text.trim().replace(/^\$/, "").replace(/,(?=\d{3}(\D|$))/g, "");
  if (!/^\d{1,10}(\.\d{0,6})?$/.test(plain)) return undefined;
  const micros = Math.round(Number(plain) * PER_DOLLAR);
  return micros <= most * PER_DOLLAR ? micros : undefined;
}
