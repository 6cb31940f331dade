/**
 * How an answer goes over the wire: OpenAI Chat Completions and Anthropic Messages, streamed and whole.
 *
 * An emitter has `start`, `reasoning(chunk)`, `text(chunk)`, `tool(call)`, `end(finish)`; it keeps track of open
 * blocks itself.
 */

const OPENAI_FINISH = { stop: 'stop', tools: 'tool_calls', length: 'length' }
const ANTHROPIC_FINISH = { stop: 'end_turn', tools: 'tool_use', length: 'max_tokens' }

export function openaiStream(write, id, model, usage) {
  const base = { id, object: 'chat.completion.chunk', created: Math.floor(Date.now() / 1000), model }
  const send = (data) => write(`data: ${JSON.stringify(data)}\n\n`)
  const delta = (content, finish = null) => send({ ...base, choices: [{ index: 0, delta: content, finish_reason: finish }] })
  let calls = 0
  return {
    start: () => delta({ role: 'assistant', content: '' }),
    reasoning: (chunk) => delta({ reasoning_content: chunk }),
    text: (chunk) => delta({ content: chunk }),
    tool({ id: call, name, args }) {
      const index = calls++
      delta({ tool_calls: [{ index, id: call, type: 'function', function: { name, arguments: '' } }] })
      delta({ tool_calls: [{ index, function: { arguments: JSON.stringify(args) } }] })
    },
    end(finish) {
      delta({}, OPENAI_FINISH[finish])
      send({ ...base, choices: [], usage: openaiUsage(usage) })
      write('data: [DONE]\n\n')
    },
  }
}

function openaiUsage({ input, output, reasoning }) {
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: reasoning },
  }
}

export function anthropicStream(write, id, model, usage) {
  const send = (data) => write(`event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`)
  let index = -1
  let open
  const close = () => {
    if (open === 'thinking') {
      send({ type: 'content_block_delta', index, delta: { type: 'signature_delta', signature: 'ZGVtbw==' } })
    }
    if (open) send({ type: 'content_block_stop', index })
    open = undefined
  }
  const block = (kind, content) => {
    if (open === kind) return
    close()
    open = kind
    index += 1
    send({ type: 'content_block_start', index, content_block: content })
  }
  const delta = (content) => send({ type: 'content_block_delta', index, delta: content })
  return {
    start() {
      const message = { id, type: 'message', role: 'assistant', model, content: [], stop_reason: null, stop_sequence: null }
      send({ type: 'message_start', message: { ...message, usage: { input_tokens: usage.input, output_tokens: 1 } } })
    },
    reasoning(chunk) {
      block('thinking', { type: 'thinking', thinking: '', signature: '' })
      delta({ type: 'thinking_delta', thinking: chunk })
    },
    text(chunk) {
      block('text', { type: 'text', text: '' })
      delta({ type: 'text_delta', text: chunk })
    },
    tool({ id: call, name, args }) {
      close()
      block('tool_use', { type: 'tool_use', id: call, name, input: {} })
      delta({ type: 'input_json_delta', partial_json: JSON.stringify(args) })
      close()
    },
    end(finish) {
      close()
      const stop = { stop_reason: ANTHROPIC_FINISH[finish], stop_sequence: null }
      send({ type: 'message_delta', delta: stop, usage: { output_tokens: usage.output } })
      send({ type: 'message_stop' })
    },
  }
}

/** The whole answer as one JSON body. */
export function whole(dialect, id, model, { text, reasoning, calls, finish }, usage) {
  if (dialect === 'anthropic') {
    const content = [
      ...(text ? [{ type: 'text', text }] : []),
      ...calls.map((call) => ({ type: 'tool_use', id: call.id, name: call.name, input: call.args })),
    ]
    const counted = { input_tokens: usage.input, output_tokens: usage.output }
    const stop = { stop_reason: ANTHROPIC_FINISH[finish], stop_sequence: null }
    return { id, type: 'message', role: 'assistant', model, content, ...stop, usage: counted }
  }
  const message = {
    role: 'assistant',
    content: text || null,
    ...(reasoning ? { reasoning_content: reasoning } : {}),
    ...(calls.length > 0
      ? {
          tool_calls: calls.map((call) => ({
            id: call.id,
            type: 'function',
            function: { name: call.name, arguments: JSON.stringify(call.args) },
          })),
        }
      : {}),
  }
  const choice = { index: 0, finish_reason: OPENAI_FINISH[finish], message }
  return { id, object: 'chat.completion', created: Math.floor(Date.now() / 1000), model, choices: [choice], usage: openaiUsage(usage) }
}

/** An error body as the provider would send it. */
export function failure(dialect, status, message, code = status === 401 ? 'invalid_api_key' : undefined) {
  const types = { 400: 'invalid_request_error', 401: 'authentication_error', 429: 'rate_limit_error' }
  const type = types[status] ?? 'server_error'
  if (dialect === 'anthropic') return { type: 'error', error: { type, message } }
  return { error: { message, type, ...(code ? { code } : {}) } }
}
