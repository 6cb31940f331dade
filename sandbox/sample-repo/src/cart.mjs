/**
 * A cart is a list of lines `{ sku, name, price, quantity }`. Prices are whole cents.
 * Functions return new carts; they never change the one they were given.
 */

import { discountFor } from './discount.mjs'

/** The cart with `quantity` more of an item. */
export function add(cart, item, quantity = 1) {
  if (!Number.isInteger(quantity) || quantity < 1) {
    throw new RangeError('quantity must be a whole number of at least 1')
  }
  const known = cart.find((line) => line.sku === item.sku)
  if (!known) return [...cart, { ...item, quantity }]
  return cart.map((line) => (line === known ? { ...line, quantity: line.quantity + quantity } : line))
}

/** The cart without an item. */
export function remove(cart, sku) {
  return cart.filter((line) => line.sku !== sku)
}

/** What the lines cost before discount and tax. */
export function subtotal(cart) {
  return cart.reduce((sum, line) => sum + line.price * line.quantity, 0)
}

/** What the customer pays, in cents. */
export function total(cart, { discount, taxRate = 0 } = {}) {
  let sum = 0
  for (const line of cart) {
    sum += line.price * line.quantity
    sum -= discountFor(sum, discount)
  }
  return sum + Math.round(sum * taxRate)
}
