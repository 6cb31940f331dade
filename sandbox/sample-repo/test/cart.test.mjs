import assert from 'node:assert/strict'
import { test } from 'node:test'

import { add, remove, subtotal, total } from '../src/cart.mjs'

const mug = { sku: 'mug', name: 'Mug', price: 900 }
const tea = { sku: 'tea', name: 'Green tea', price: 450 }

const cart = add(add([], mug, 2), tea)

test('adding an item twice makes one line', () => {
  const twice = add(cart, tea, 3)
  assert.equal(twice.length, 2)
  assert.equal(twice[1].quantity, 4)
})

test('a cart that was given is not changed', () => {
  add(cart, mug)
  assert.equal(cart[0].quantity, 2)
})

test('a removed item is gone', () => {
  assert.deepEqual(remove(cart, 'mug').map((line) => line.sku), ['tea'])
})

test('a quantity below one is refused', () => {
  assert.throws(() => add(cart, mug, 0), RangeError)
})

test('the subtotal is the sum of all lines', () => {
  assert.equal(subtotal(cart), 2250)
})

test('without a discount the total is the subtotal', () => {
  assert.equal(total(cart), 2250)
})

test('a discount is taken off the whole cart once', () => {
  assert.equal(total(cart, { discount: { kind: 'percent', value: 10 } }), 2025)
})

test('tax is added to the total', () => {
  assert.equal(total(cart, { taxRate: 0.2 }), 2700)
})
