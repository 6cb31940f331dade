/**
 * What the demo model does without a marker: on the bundled sample repository it really works, elsewhere it looks
 * around and says plainly what it is.
 *
 * It understands nothing. It follows a script, but every claim it makes comes from the tool results in the request:
 * when the tests still fail, it says so.
 */

import { plain } from './scenarios.mjs'

const HOW_TO =
  'I am the **demo model**: a script without understanding, so that Errand can be tried without an account. ' +
  'For real work set `ERRAND_MODEL_BASE_URL`, `ERRAND_MODEL_API_KEY` and `ERRAND_MODEL` and start Errand again.'

const BUGGY = `  let sum = 0
  for (const line of cart) {
    sum += line.price * line.quantity
    sum -= discountFor(sum, discount)
  }
  return sum + Math.round(sum * taxRate)`
const FIXED = `  const sum = subtotal(cart)
  const due = sum - discountFor(sum, discount)
  return due + Math.round(due * taxRate)`

const LAST_TEST = `test('tax is added to the total', () => {
  assert.equal(total(cart, { taxRate: 0.2 }), 2700)
})`
const NEW_TEST = `${LAST_TEST}

test('an empty cart costs nothing', () => {
  assert.equal(subtotal([]), 0)
  assert.equal(total([], { discount: { kind: 'fixed', value: 500 }, taxRate: 0.2 }), 0)
})`

const PLANS = {
  fix: ['Look at the code and its tests', 'Run the tests', 'Fix the failing one', 'Run the tests again'],
  test: ['Look at the existing tests', 'Add the test', 'Run the tests'],
}

/** How the tests ended, from what the command printed (TAP and spec reporter alike). */
export function testResult(output) {
  const count = (word) => Number(output?.match(new RegExp(`^(?:#|ℹ) ${word} (\\d+)`, 'm'))?.[1] ?? Number.NaN)
  const [pass, fail] = [count('pass'), count('fail')]
  if (Number.isNaN(pass) || Number.isNaN(fail)) return undefined
  const failing = output.match(/^(?:\s*)(?:not ok \d+ - |✖ )(.+?)(?: \(\d.*)?$/m)?.[1]
  const [, actual, expected] = output.match(/^\s*(-?\d+) !== (-?\d+)\s*$/m) ?? []
  return { pass, fail, failing, actual, expected }
}

/** What is known so far from the tool results. */
function facts(calls) {
  const done = calls.filter((call) => call.output !== undefined)
  const files = done
    .filter((call) => call.name === 'glob' || call.name === 'list')
    .flatMap((call) => call.output.split('\n').map((line) => line.trim()))
    .filter((line) => line.startsWith('/') && !line.includes('/.git/'))
  const read = (end) => done.find((call) => call.name === 'read' && call.args.filePath?.endsWith(end))?.output
  const runs = done.filter((call) => call.name === 'bash' && call.args.command === 'npm test')
  const path = (end) => files.find((file) => file.endsWith(end))
  return { files, read, runs, path, edits: done.filter((call) => call.name === 'edit') }
}

/** Source text of a read result, whose lines are numbered. */
function source(output) {
  const content = output?.match(/<content>\n([\s\S]*?)\n*(?:\(End of file|<\/content>)/)?.[1] ?? output ?? ''
  return content.replace(/^\s*\d+[:|] ?/gm, '')
}

const intentOf = (prompt) => {
  if (/\b(add|write|another|new)\b.*\btests?\b/is.test(prompt)) return 'test'
  if (/fix|fail|broken|bug|repair|pass|wrong|discount|total/i.test(prompt)) return 'fix'
  return 'look'
}

const todos = (intent, done) => ({
  name: 'todowrite',
  args: {
    todos: PLANS[intent].map((content, at) => ({
      content,
      status: at < done ? 'completed' : at === done ? 'in_progress' : 'pending',
      priority: 'medium',
    })),
  },
})
const readFile = (filePath) => ({ name: 'read', args: { filePath } })
const runTests = { name: 'bash', args: { command: 'npm test', description: 'Run the tests' } }

/** The next step of the answer: `{reasoning?, text?, tools?}`. */
export function story({ prompt, calls, step, tools }) {
  const intent = intentOf(plain(prompt))
  const known = facts(calls)
  const next = step === 0 ? lookAround(intent) : goOn(intent, step, known, calls)
  const usable = (next.tools ?? []).filter((tool) => tools.has(tool.name))
  if ((next.tools ?? []).length > 0 && usable.length === 0) return { text: `${describe(known)}\n\n${HOW_TO}` }
  return { ...next, tools: usable }
}

function lookAround(intent) {
  const glob = { name: 'glob', args: { pattern: '**/*' } }
  return {
    reasoning: 'First I want to see what is in this repository.',
    text: 'I look around first.',
    tools: intent === 'look' ? [glob] : [todos(intent, 0), glob],
  }
}

function goOn(intent, step, known, calls) {
  if (step === 1) {
    const first = [known.path('/package.json'), known.path('/README.md')].filter(Boolean)
    if (first.length > 0) return { tools: first.map(readFile) }
  }
  const manifest = known.read('/package.json') ?? ''
  const isSample = /"name":\s*"cart"/.test(manifest) && known.path('/src/cart.mjs') && known.path('/test/cart.test.mjs')
  if (!isSample || intent === 'look') return { text: `${describe(known)}\n\n${HOW_TO}` }
  return intent === 'fix' ? fix(known, calls) : addTest(known, calls)
}

function fix(known, calls) {
  const code = known.read('/src/cart.mjs')
  if (code === undefined) {
    return {
      reasoning: 'A small cart library. The totals are computed in src/cart.mjs, discounts in src/discount.mjs.',
      text: 'I read the code and its tests.',
      tools: ['/src/cart.mjs', '/src/discount.mjs', '/test/cart.test.mjs'].map(known.path).filter(Boolean).map(readFile),
    }
  }
  const [before, after] = known.runs
  if (!before) return { text: 'Now I run the tests to see what fails.', tools: [todos('fix', 1), runTests] }
  const seen = testResult(before.output)
  if (!seen) return { text: `I could not run the tests, so I changed nothing. The command said:\n\n${quote(before.output)}` }
  if (seen.fail === 0) return { text: `Nothing to fix: all ${seen.pass} tests pass already. I changed nothing.` }
  if (known.edits.length === 0) return repair(known, seen, code)
  const failed = known.edits.find((call) => !/success|applied/i.test(call.output))
  if (failed) return { text: `I could not edit the file, so the test still fails. The editor said:\n\n${quote(failed.output)}` }
  if (!after) return { text: 'The change is in place. I run the tests again.', tools: [todos('fix', 3), runTests] }
  return close('fix', calls, summary(seen, testResult(after.output), after.output))
}

function repair(known, seen, code) {
  if (!source(code).includes(BUGGY)) {
    return { text: `${failure(seen)} The code is not the one that my script knows, so I leave it alone.\n\n${HOW_TO}` }
  }
  return {
    reasoning:
      `The failing test expects ${seen.expected} and gets ${seen.actual}. In total() the discount is taken off inside ` +
      'the loop, from the running sum: earlier lines are discounted again with every line that follows. It must be ' +
      'taken off the subtotal, once.',
    text: `${failure(seen)} \`total()\` takes the discount off inside the loop, so earlier lines are discounted several times. I take it off the subtotal once.`,
    tools: [
      todos('fix', 2),
      { name: 'edit', args: { filePath: known.path('/src/cart.mjs'), oldString: BUGGY, newString: FIXED } },
    ],
  }
}

const failure = ({ failing, actual, expected }) =>
  `The test “${failing ?? 'unknown'}” fails${actual === undefined ? '' : `: ${actual} instead of ${expected}`}.`

function summary(seen, now, output) {
  if (!now) return `I changed \`total()\`, but could not run the tests again:\n\n${quote(output)}`
  if (now.fail > 0) return `I changed \`total()\`, but ${now.fail} of ${now.pass + now.fail} tests still fail. ${failure(now)}`
  return (
    `Fixed: all **${now.pass}** tests pass (before: ${seen.fail} failed).\n\n` +
    '- **Cause:** `total()` in `src/cart.mjs` took the discount off the running sum in every round of its loop.\n' +
    '- **Change:** it now takes the discount off `subtotal(cart)` once, then adds the tax.\n'
  )
}

function addTest(known, calls) {
  const tests = known.read('/test/cart.test.mjs')
  const path = known.path('/test/cart.test.mjs')
  if (tests === undefined) return { text: 'I read the tests that are there.', tools: [readFile(path)] }
  if (known.edits.length === 0) {
    if (tests.includes('an empty cart costs nothing')) return { text: 'There is such a test already: “an empty cart costs nothing”.' }
    if (!source(tests).includes(LAST_TEST)) return { text: `The tests are not the ones that my script knows.\n\n${HOW_TO}` }
    return {
      text: 'I add a test for an empty cart.',
      tools: [todos('test', 1), { name: 'edit', args: { filePath: path, oldString: LAST_TEST, newString: NEW_TEST } }],
    }
  }
  const [run] = known.runs
  if (!run) return { text: 'Now I run the tests.', tools: [todos('test', 2), runTests] }
  const now = testResult(run.output)
  const text = !now
    ? `I added the test, but could not run it:\n\n${quote(run.output)}`
    : now.fail > 0
      ? `I added the test; ${now.fail} of ${now.pass + now.fail} tests fail. ${failure(now)}`
      : `Added the test “an empty cart costs nothing” to \`test/cart.test.mjs\`. All **${now.pass}** tests pass.`
  return close('test', calls, text)
}

/** Ticks the list off, then says how it went. */
function close(intent, calls, text) {
  const last = calls.filter((call) => call.name === 'todowrite').at(-1)
  const open = last?.args.todos?.some((todo) => todo.status !== 'completed')
  return open && !/could not|still fail|tests fail/.test(text)
    ? { tools: [todos(intent, PLANS[intent].length)] }
    : { text }
}

const quote = (output) => `\`\`\`\n${(output ?? 'nothing').trim().slice(0, 600)}\n\`\`\``

function describe({ files, read }) {
  if (files.length === 0) return 'There are no files in this workspace, as far as I can see.'
  const root = files.reduce((common, file) => {
    while (!file.startsWith(common)) common = common.slice(0, common.lastIndexOf('/', common.length - 2) + 1)
    return common
  }, files[0].slice(0, files[0].lastIndexOf('/') + 1))
  const shown = files.slice(0, 12).map((file) => `- \`${file.slice(root.length)}\``)
  if (files.length > shown.length) shown.push(`- … and ${files.length - shown.length} more`)
  const heading = source(read('/README.md')).split('\n').find((line) => line.startsWith('# '))
  const about = heading ? ` The README calls it “${heading.slice(2).trim()}”.` : ''
  return `I see ${files.length} files here.${about}\n\n${shown.join('\n')}`
}

/** How the last prompt of a turn begins whose budget is used up (`NOTE` in `crates/session/src/budget.rs`). */
export const HAND_OVER = 'The budget for this work is used up.'

/** A hand-over note: what was asked, and where to look. */
export function handOver({ said }) {
  const asked = said.filter((text) => !text.includes(HAND_OVER)).map((text) => plain(text).slice(0, 200)).filter(Boolean)
  return (
    '## Hand-over note\n\n' +
    `- **Asked:** ${asked.at(-1) ?? 'see the session'}\n` +
    '- **Done:** what the messages above say; changed files are in the workspace.\n' +
    '- **Next:** go on from there once there is more to spend.\n'
  )
}

/** A title for a session, from its first prompt: its first sentence, shortened at a word where it is long. */
export function title(prompt) {
  const clean = plain(prompt.replace(/^Generate a title for this conversation:\s*/i, '')).replace(/[`*_#"“”]/g, '')
  const [sentence] = clean.trim().split(/[.!?](?:\s|$)|\n/)
  const words = sentence.split(/\s+/).filter(Boolean)
  let text = ''
  for (const word of words) {
    if (text.length + word.length > 48) break
    text += `${text ? ' ' : ''}${word}`
  }
  const cut = text.length < words.join(' ').length
  text = text.replace(/[.,:;!?]+$/, '') + (text && cut ? '…' : '')
  return text ? text[0].toUpperCase() + text.slice(1) : 'New session'
}
