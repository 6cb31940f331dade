/** Percentiles and medians of plain numbers. */

/** The `p`-th percentile (nearest rank) of `values`; they need not be sorted. */
export function percentile(values, p) {
  if (values.length === 0) throw new Error('no samples');
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil((p / 100) * sorted.length) - 1))];
}

/** The middle value. */
export function median(values) {
  return percentile(values, 50);
}

/** Three significant digits: more would claim a precision that a shared machine does not have. */
export function rounded(value) {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}
