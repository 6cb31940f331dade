#!/usr/bin/env node
/**
 * The demo model: a scripted language model that speaks OpenAI Chat Completions and Anthropic Messages.
 *
 *   node server.mjs --port N [--host 127.0.0.1] [--key SECRET] [--fast]
 *
 * GET  /health                      {"status":"ok"}
 * GET  /v1/models                   demo, demo-fast (no pauses)
 * POST /v1/chat/completions         streamed or whole
 * POST /v1/messages                 streamed or whole
 * POST /control/gates/<name>        lets answers that wait at a gate go on (scenarios.mjs)
 * GET  /control/requests            what was asked: one entry per model request
 *
 * It keeps no state of conversations: what comes next follows from the request alone (conversation.mjs), by a
 * marker (scenarios.mjs) or the script (story.mjs). Owns serving and pacing only.
 */

import http from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'

import { read } from './conversation.mjs'
import { anthropicStream, failure, openaiStream, whole } from './dialects.mjs'
import { scenario, wantsFast } from './scenarios.mjs'
import { HAND_OVER, handOver, story, title } from './story.mjs'

const MAX_BODY = 32 * 1024 * 1024
const MAX_LOG = 1000
const PACE = { chunk: 6, delayMs: 18 }
const FAST = { chunk: 48, delayMs: 0 }

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '4555' },
    host: { type: 'string', default: '127.0.0.1' },
    key: { type: 'string' },
    fast: { type: 'boolean', default: process.env.DEMO_MODEL_FAST === '1' },
  },
})

const gates = new Map()
const failures = new Map()
const log = []
let requests = 0

/** What to answer. */
function plan(conversation) {
  const { system, prompt, tools } = conversation
  if (/title generator/i.test(system)) return { kind: 'title', text: title(prompt) }
  if (tools.size === 0 && /summar|compact/i.test(`${system}\n${prompt}`)) {
    return { kind: 'summary', text: '## Goal\nGo on with what was asked.\n\n## Done\nSee the files in the workspace.' }
  }
  if (/^Continue if you have next steps/.test(prompt)) return { kind: 'script', text: 'There is nothing left to do.' }
  if (prompt.includes(HAND_OVER)) return { kind: 'note', text: handOver(conversation) }
  const scripted = scenario(conversation)
  return scripted ? { kind: 'scenario', ...scripted } : { kind: 'script', ...story(conversation) }
}

/** Whether a failure that happens a limited number of times is due again. */
function due(key, times) {
  if (times === undefined) return true
  const count = (failures.get(key) ?? 0) + 1
  failures.set(key, count)
  return count <= times
}

function gate(name) {
  if (!gates.has(name)) gates.set(name, Promise.withResolvers ? Promise.withResolvers() : withResolvers())
  return gates.get(name)
}

function withResolvers() {
  let resolve
  const promise = new Promise((done) => {
    resolve = done
  })
  return { promise, resolve }
}

/** The text in pieces of `size` characters, never in the middle of one. */
function* pieces(text, size) {
  const characters = [...text]
  for (let at = 0; at < characters.length; at += size) yield characters.slice(at, at + size).join('')
}

async function answer(response, body, dialect) {
  const conversation = read(body)
  const step = plan(conversation)
  const id = `demo-${++requests}`
  const key = `${step.name}|${conversation.prompt}`
  log.push({ at: Date.now(), id, dialect, model: body.model, kind: step.kind, scenario: step.name, step: conversation.step, prompt: conversation.prompt.slice(0, 200), said: conversation.said.map((text) => text.slice(0, 100)) })
  if (log.length > MAX_LOG) log.shift()
  if (step.error && due(key, step.error.times)) {
    const { status, message, headers, code } = step.error
    return json(response, status, failure(dialect, status, message, code), headers)
  }
  const text = step.text ?? ''
  const calls = (step.tools ?? []).map((tool, at) => ({ id: `call_${id}_${at}`, ...tool }))
  const finish = step.finish ?? (calls.length > 0 ? 'tools' : 'stop')
  const tokens = (value) => Math.ceil((value ?? '').length / 4)
  const usage = {
    input: tokens(JSON.stringify(body.messages ?? [])),
    output: tokens(text) + tokens(JSON.stringify(calls)) + tokens(step.reasoning),
    reasoning: tokens(step.reasoning),
    ...step.usage,
  }
  if (!body.stream) {
    return json(response, 200, whole(dialect, id, body.model, { text, reasoning: step.reasoning, calls, finish }, usage))
  }
  const fast = options.fast || body.model === 'demo-fast' || wantsFast(conversation.prompt)
  const pace = { ...(fast ? FAST : PACE), ...(step.chunk && { chunk: step.chunk }), ...(step.delayMs && { delayMs: step.delayMs }) }
  await stream(response, { ...step, text, calls, finish, dropNow: step.drop && due(key, step.drop.times) }, pace, {
    dialect,
    id,
    model: body.model,
    usage,
  })
}

async function stream(response, step, pace, { dialect, id, model, usage }) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  const make = dialect === 'anthropic' ? anthropicStream : openaiStream
  const out = make((chunk) => response.write(chunk), id, model, usage)
  const say = async (emit, text) => {
    for (const chunk of pieces(text, pace.chunk)) {
      if (response.destroyed) return
      emit(chunk)
      if (pace.delayMs > 0) await pause(pace.delayMs)
    }
  }
  out.start()
  await say(out.reasoning, step.reasoning ?? '')
  if (step.dropNow) {
    await say(out.text, step.text.slice(0, 16))
    response.destroy()
    return
  }
  await say(out.text, step.text)
  if (step.hang) return
  if (step.gate) {
    await gate(step.gate.name).promise
    gates.delete(step.gate.name)
    await say(out.text, step.gate.after)
  }
  for (const call of step.calls) out.tool(call)
  out.end(step.finish)
  response.end()
}

function json(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(body))
}

async function bodyOf(request) {
  const chunks = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > MAX_BODY) throw new RangeError('the request is too large')
    chunks.push(chunk)
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8'))
}

const allowed = ({ headers }) =>
  !options.key || headers.authorization === `Bearer ${options.key}` || headers['x-api-key'] === options.key

async function serve(request, response) {
  const { pathname } = new URL(request.url, 'http://demo')
  const route = `${request.method} ${pathname}`
  if (route === 'GET /health') return json(response, 200, { status: 'ok', demo: true })
  if (route === 'GET /control/requests') return json(response, 200, log)
  if (request.method === 'POST' && pathname.startsWith('/control/gates/')) {
    gate(decodeURIComponent(pathname.slice('/control/gates/'.length))).resolve()
    return json(response, 200, { open: true })
  }
  const dialect = { '/v1/messages': 'anthropic' }[pathname] ?? 'openai'
  if (!allowed(request)) return json(response, 401, failure(dialect, 401, 'This is not the key of the demo model.'))
  if (route === 'GET /v1/models') {
    const data = ['demo', 'demo-fast'].map((id) => ({ id, object: 'model', owned_by: 'errand' }))
    return json(response, 200, { object: 'list', data })
  }
  if (route !== 'POST /v1/chat/completions' && route !== 'POST /v1/messages') {
    return json(response, 404, failure(dialect, 404, `There is nothing at ${pathname}.`))
  }
  let body
  try {
    body = await bodyOf(request)
  } catch (error) {
    return json(response, 400, failure(dialect, 400, error.message))
  }
  return answer(response, body, dialect)
}

const server = http.createServer((request, response) => {
  serve(request, response).catch((error) => {
    console.error(error)
    if (response.headersSent) response.destroy()
    else json(response, 500, failure('openai', 500, 'The demo model failed.'))
  })
})

server.listen(Number(options.port), options.host, () => {
  console.log(`demo model listening on http://${options.host}:${server.address().port}`)
})

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    server.close()
    server.closeAllConnections()
    process.exit(0)
  })
}
