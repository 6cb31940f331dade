import assert from 'node:assert/strict'
import { test } from 'node:test'

import { format } from '../src/money.mjs'

test('cents are written with two digits', () => {
  assert.equal(format(1205), '12.05 €')
  assert.equal(format(-5, '$'), '-0.05 $')
})
