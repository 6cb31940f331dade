import assert from 'node:assert/strict'
import { test } from 'node:test'

import { discountFor } from '../src/discount.mjs'

test('no discount takes nothing off', () => {
  assert.equal(discountFor(1000, undefined), 0)
})

test('a percentage is rounded half up to a cent', () => {
  assert.equal(discountFor(2250, { kind: 'percent', value: 10 }), 225)
  assert.equal(discountFor(5, { kind: 'percent', value: 50 }), 3)
})

test('a fixed discount never takes off more than there is', () => {
  assert.equal(discountFor(300, { kind: 'fixed', value: 500 }), 300)
})

test('an unknown kind is an error', () => {
  assert.throws(() => discountFor(300, { kind: 'lucky' }), TypeError)
})
