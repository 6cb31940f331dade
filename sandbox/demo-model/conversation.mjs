/**
 * A model request of either dialect, as one shape: what was asked last, and what happened since.
 *
 * Owns the differences between OpenAI's and Anthropic's request bodies. Decides nothing about answers.
 */

/** The text of a message's content: a string, or a list of parts. */
function textOf(content) {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content
    .map((part) => (typeof part === 'string' ? part : (part.text ?? '')))
    .filter(Boolean)
    .join('\n')
}

function argumentsOf(value) {
  if (typeof value !== 'string') return value ?? {}
  try {
    return JSON.parse(value)
  } catch {
    return {}
  }
}

/** Each message as `{user}`, `{assistant, calls}` or `{results}`; Anthropic's tool results come inside user messages. */
function entries(body) {
  const list = []
  for (const message of body.messages ?? []) {
    const content = message.content
    if (message.role === 'user') {
      const results = Array.isArray(content) ? content.filter((part) => part.type === 'tool_result') : []
      if (results.length > 0) {
        list.push({ results: results.map((part) => ({ id: part.tool_use_id, output: textOf(part.content) })) })
      }
      const text = textOf(content)
      if (text !== '') list.push({ user: text })
    } else if (message.role === 'assistant') {
      const blocks = Array.isArray(content) ? content.filter((part) => part.type === 'tool_use') : []
      const calls = [
        ...blocks.map((part) => ({ id: part.id, name: part.name, args: part.input ?? {} })),
        ...(message.tool_calls ?? []).map((call) => ({
          id: call.id,
          name: call.function?.name,
          args: argumentsOf(call.function?.arguments),
        })),
      ]
      list.push({ assistant: textOf(content), calls })
    } else if (message.role === 'tool') {
      list.push({ results: [{ id: message.tool_call_id, output: textOf(content) }] })
    }
  }
  return list
}

/**
 * `{system, prompt, said, step, calls, tools, model}`: `said` are the user's messages so far, `step` counts the assistant's turns since the last user message,
 * `calls` are its tool calls since then, each with its `output` (undefined while there is none).
 */
export function read(body) {
  const systems = (body.messages ?? []).filter((message) => message.role === 'system' || message.role === 'developer')
  const system = [textOf(body.system), ...systems.map((message) => textOf(message.content))].filter(Boolean).join('\n')
  const all = entries(body)
  let last = all.length - 1
  while (last >= 0 && all[last].user === undefined) last -= 1
  // Several user messages in a row are one prompt (the engine sends a prompt's parts and reminders that way).
  let first = last
  while (first > 0 && all[first - 1].user !== undefined) first -= 1
  const since = all.slice(last + 1)
  const outputs = new Map(since.flatMap((entry) => entry.results ?? []).map((result) => [result.id, result.output]))
  const turns = since.filter((entry) => entry.assistant !== undefined)
  return {
    model: body.model,
    system,
    prompt: last < 0 ? '' : all.slice(first, last + 1).map((entry) => entry.user).join('\n'),
    said: all.filter((entry) => entry.user !== undefined).map((entry) => entry.user),
    step: turns.length,
    calls: turns.flatMap((turn) => turn.calls.map((call) => ({ ...call, output: outputs.get(call.id) }))),
    tools: new Set((body.tools ?? []).map((tool) => tool.function?.name ?? tool.name)),
  }
}
