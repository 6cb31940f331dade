/** The demo model as a client sees it: both dialects, the markers, the script on the sample, its honesty. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { read } from './conversation.mjs'
import { names, scenario } from './scenarios.mjs'
import { story, testResult, title } from './story.mjs'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
let server
let base

before(async () => {
  server = spawn(process.execPath, [here('server.mjs'), '--port', '0', '--key', 'secret', '--fast'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(createInterface({ input: server.stdout }), 'line')
  assert.match(line, /^demo model listening on http:\/\/127\.0\.0\.1:\d+$/)
  base = line.split(' ').at(-1)
})

after(async () => {
  server.kill('SIGTERM')
  const [code] = await once(server, 'exit')
  assert.equal(code, 0)
})

const ask = (path, body, key = 'secret') =>
  fetch(`${base}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify({ model: 'demo', ...body }),
  })

/** The frames of a stream. */
async function frames(response) {
  const text = await response.text()
  return text
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line) => JSON.parse(line.slice(6)))
}

test('it is healthy, lists its models and wants its key', async () => {
  assert.deepEqual(await (await fetch(`${base}/health`)).json(), { status: 'ok', demo: true })
  assert.equal((await fetch(`${base}/v1/models`)).status, 401)
  const models = await (await fetch(`${base}/v1/models`, { headers: { 'x-api-key': 'secret' } })).json()
  assert.deepEqual(
    models.data.map((model) => model.id),
    ['demo', 'demo-fast'],
  )
  assert.equal((await ask('/v1/chat/completions', {}, 'wrong')).status, 401)
})

test('an OpenAI stream has reasoning, text, usage and an end', async () => {
  const messages = [{ role: 'user', content: '[[reasoning:{"words":5}]]' }]
  const response = await ask('/v1/chat/completions', { stream: true, messages })
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  const all = await frames(response)
  const joined = (field) => all.map((frame) => frame.choices[0]?.delta[field] ?? '').join('')
  assert.equal(joined('reasoning_content').split(' ').length, 5)
  assert.equal(joined('content'), 'That is what I think.')
  assert.equal(all.at(-2).choices[0].finish_reason, 'stop')
  assert.ok(all.at(-1).usage.completion_tokens > 0)
})

test('an Anthropic stream opens and closes each block', async () => {
  const messages = [{ role: 'user', content: [{ type: 'text', text: '[[bash]]' }] }]
  const all = await frames(await ask('/v1/messages', { stream: true, messages }))
  const kinds = all.map((frame) => frame.type)
  assert.equal(kinds.filter((kind) => kind === 'content_block_start').length, 2)
  assert.equal(kinds.filter((kind) => kind === 'content_block_stop').length, 2)
  assert.equal(all.find((frame) => frame.type === 'message_delta').delta.stop_reason, 'tool_use')
})

test('without streaming the answer comes as one body', async () => {
  const messages = [{ role: 'user', content: '[[bash:{"cmd":"ls"}]]' }]
  const openai = await (await ask('/v1/chat/completions', { messages })).json()
  assert.equal(JSON.parse(openai.choices[0].message.tool_calls[0].function.arguments).command, 'ls')
  const anthropic = await (await ask('/v1/messages', { messages })).json()
  assert.equal(anthropic.content.at(-1).input.command, 'ls')
})

test('a limited failure passes, an unlimited one stays', async () => {
  const messages = [{ role: 'user', content: '[[429:{"times":2,"after":1}]]' }]
  const first = await ask('/v1/chat/completions', { messages })
  assert.deepEqual([first.status, first.headers.get('retry-after')], [429, '1'])
  assert.equal((await ask('/v1/chat/completions', { messages })).status, 429)
  assert.equal((await ask('/v1/chat/completions', { messages })).status, 200)
  const forever = { messages: [{ role: 'user', content: '[[401]]' }] }
  for (let at = 0; at < 3; at += 1) assert.equal((await ask('/v1/chat/completions', forever)).status, 401)
})

test('an answer waits at its gate', async () => {
  const answer = ask('/v1/chat/completions', { stream: true, messages: [{ role: 'user', content: '[[gate:{"name":"g"}]]' }] })
  const reader = (await answer).body.getReader()
  let text = ''
  while (!text.includes('before')) text += new TextDecoder().decode((await reader.read()).value)
  assert.ok(!text.includes('after'))
  await fetch(`${base}/control/gates/g`, { method: 'POST' })
  for (let part = await reader.read(); !part.done; part = await reader.read()) text += new TextDecoder().decode(part.value)
  assert.ok(text.includes('after') && text.includes('[DONE]'))
})

test('a body that is not JSON and an unknown path are refused', async () => {
  const bad = await fetch(`${base}/v1/chat/completions`, { method: 'POST', headers: { 'x-api-key': 'secret' }, body: '{' })
  assert.equal(bad.status, 400)
  assert.equal((await ask('/v1/nothing', {})).status, 404)
})

test('the last step of a scenario comes again and an unknown one is named', () => {
  assert.equal(scenario({ prompt: '[[bash]]', step: 7 }).text, 'The command has run.')
  assert.match(scenario({ prompt: '[[nope]]', step: 0 }).text, /no scenario "nope".*bash/)
  assert.match(scenario({ prompt: '[[bash:{nope}]]', step: 0 }).text, /not JSON/)
  assert.equal(scenario({ prompt: 'hello [[fast]]', step: 0 }), undefined)
})

test('every scenario is in the header that documents them', async () => {
  const header = (await readFile(here('scenarios.mjs'), 'utf8')).split('*/')[0]
  for (const name of names) assert.match(header, new RegExp(`\\b${name}\\b`), name)
})

test('both dialects are read to the same conversation', () => {
  const openai = read({
    messages: [
      { role: 'system', content: 'You are.' },
      { role: 'user', content: 'old' },
      { role: 'assistant', content: 'yes' },
      { role: 'user', content: 'go' },
      { role: 'assistant', tool_calls: [{ id: 'c', function: { name: 'bash', arguments: '{"command":"ls"}' } }] },
      { role: 'tool', tool_call_id: 'c', content: 'a b' },
    ],
    tools: [{ function: { name: 'bash' } }],
  })
  const anthropic = read({
    system: 'You are.',
    messages: [
      { role: 'user', content: 'old' },
      { role: 'assistant', content: [{ type: 'text', text: 'yes' }] },
      { role: 'user', content: [{ type: 'text', text: 'go' }] },
      { role: 'assistant', content: [{ type: 'tool_use', id: 'c', name: 'bash', input: { command: 'ls' } }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c', content: [{ type: 'text', text: 'a b' }] }] },
    ],
    tools: [{ name: 'bash' }],
  })
  assert.deepEqual(openai, anthropic)
  assert.deepEqual([openai.prompt, openai.step, openai.calls[0].output], ['go', 1, 'a b'])
})

test('the test result is read from both reporters', () => {
  const tap = 'not ok 7 - a discount is taken off once\n    1863 !== 2025\n# pass 12\n# fail 1\n'
  assert.deepEqual(testResult(tap), { pass: 12, fail: 1, failing: 'a discount is taken off once', actual: '1863', expected: '2025' })
  const spec = '✖ a discount is taken off once (1.09ms)\n  1863 !== 2025\nℹ pass 12\nℹ fail 1\n'
  assert.deepEqual(testResult(spec), testResult(tap))
  assert.equal(testResult('npm: command not found'), undefined)
})

const TOOLS = new Set(['bash', 'read', 'glob', 'edit', 'todowrite'])

/** Plays the script against a repository in memory: `files` by path, `run` gives the output of each test run. */
async function play(prompt, files, run) {
  const calls = []
  for (let step = 0; step < 20; step += 1) {
    const next = story({ prompt, calls, step, tools: TOOLS })
    if (!next.tools?.length) return { text: next.text, calls }
    for (const { name, args } of next.tools) calls.push({ name, args, output: await result(name, args, files, run) })
  }
  throw new Error('the script does not end')
}

async function result(name, args, files, run) {
  if (name === 'glob') return Object.keys(files).join('\n')
  if (name === 'read') return `<content>\n${files[args.filePath].split('\n').map((line, at) => `${at + 1}: ${line}`).join('\n')}\n</content>`
  if (name === 'bash') return run(files)
  if (name !== 'edit') return '[]'
  if (!files[args.filePath].includes(args.oldString)) return 'Could not find oldString in the file.'
  files[args.filePath] = files[args.filePath].replace(args.oldString, args.newString)
  return 'Edit applied successfully.'
}

async function sample() {
  const paths = ['package.json', 'README.md', 'src/cart.mjs', 'src/discount.mjs', 'test/cart.test.mjs']
  const contents = paths.map(async (path) => [`/workspace/${path}`, await readFile(here(`../sample-repo/${path}`), 'utf8')])
  return Object.fromEntries(await Promise.all(contents))
}

const FAILS = 'not ok 7 - a discount is taken off once\n    1863 !== 2025\n# pass 12\n# fail 1\n'
const PASSES = '# pass 13\n# fail 0\n'
const tested = (files) => (files['/workspace/src/cart.mjs'].includes('sum -= discountFor') ? FAILS : PASSES)

test('on the sample it reads, runs, edits, runs again and tells the real result', async () => {
  const { text, calls } = await play('Fix the failing test', await sample(), tested)
  assert.match(text, /all \*\*13\*\* tests pass/)
  assert.equal(calls.filter((call) => call.name === 'bash').length, 2)
  assert.ok(calls.at(-1).args.todos.every((todo) => todo.status === 'completed'))
})

test('when the tests still fail it says so', async () => {
  const { text } = await play('Fix the failing test', await sample(), () => FAILS)
  assert.match(text, /1 of 13 tests still fail/)
})

test('when the tests cannot be run it changes nothing and says so', async () => {
  const { text, calls } = await play('Fix the failing test', await sample(), () => 'Permission denied')
  assert.match(text, /could not run the tests, so I changed nothing/)
  assert.ok(!calls.some((call) => call.name === 'edit'))
})

test('a second fix finds nothing to do', async () => {
  const files = await sample()
  await play('Fix the failing test', files, tested)
  assert.match((await play('Fix the failing test', files, tested)).text, /Nothing to fix: all 13 tests pass/)
})

test('a follow-up adds a real test', async () => {
  const files = await sample()
  const { text } = await play('Please add a test for an empty cart', files, () => '# pass 14\n# fail 0\n')
  assert.match(files['/workspace/test/cart.test.mjs'], /an empty cart costs nothing/)
  assert.match(text, /All \*\*14\*\* tests pass/)
})

test('elsewhere it says what it saw and what it is', async () => {
  const files = { '/workspace/README.md': '# Other\n', '/workspace/main.py': 'print()\n' }
  const { text } = await play('Rewrite this in Rust', files, () => '')
  assert.match(text, /2 files here. The README calls it “Other”/)
  assert.match(text, /demo model.*ERRAND_MODEL_BASE_URL/s)
})

test('a title is short and has no markers', () => {
  assert.equal(title('[[fast]] fix the failing test, please.'), 'Fix the failing test, please')
  assert.equal(title('[[fast]]'), 'New session')
  assert.equal(title('A test fails. Find out why, fix it, and run the tests again.'), 'A test fails')
  assert.ok(title('word '.repeat(100)).length <= 50)
})
