/**
 * What a discount takes off an amount of cents.
 *
 * `{ kind: 'percent', value: 10 }` takes off a tenth, rounded half up to a cent;
 * `{ kind: 'fixed', value: 500 }` takes off up to 500 cents, never more than there is.
 */
export function discountFor(amount, discount) {
  if (!discount) return 0
  switch (discount.kind) {
    case 'percent':
      return Math.round((amount * discount.value) / 100)
    case 'fixed':
      return Math.min(discount.value, amount)
    default:
      throw new TypeError(`unknown kind of discount: ${discount.kind}`)
  }
}
