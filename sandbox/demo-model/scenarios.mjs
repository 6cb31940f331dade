/**
 * Scenarios for tests, picked by a marker in the prompt: `[[name]]` or `[[name:{"json":"variables"}]]`. The last
 * marker counts; `[[fast]]` (no pauses) is not a scenario and may stand beside one. Step n of a scenario answers the
 * request with n assistant turns since the prompt; after the last step comes the last step again.
 *
 * | marker | variables (default) | what happens |
 * |---|---|---|
 * | text | words (400) | a long answer |
 * | slow | words (200), ms (60) | a long answer, a word every `ms` |
 * | reasoning | words (80) | reasoning, then a short answer |
 * | markdown | | headings, a table, code, a list |
 * | bash | cmd ("echo hello") | one command, then a closing sentence |
 * | lines | count (300), ms (10) | a command that prints `count` lines, one every `ms` |
 * | big-output | kib (300) | a command that prints so much |
 * | flood | count (30), kib (400) | `count` steps with `kib` of reasoning and a small command each |
 * | tools | count (6) | `count` steps with a small command each |
 * | parallel | | two commands and a glob in one step |
 * | permission | cmd ("echo allowed"), then ("Done.") | as `bash`; the test's set-up makes `bash` ask |
 * | question | | asks for a colour, then thanks |
 * | subagent | prompt ("[[bash:…]]"), description | delegates, then closes; the child's prompt may hold a marker |
 * | read, glob, grep | path, pattern | one such call |
 * | write | path ("notes.txt"), content | writes a file |
 * | edit | path, old, new | edits a file |
 * | todo | | a list in three states |
 * | badargs, badtool | | a call that the engine refuses |
 * | gate | name ("gate") | says "before", waits until `POST /control/gates/<name>`, says "after" |
 * | hang | | begins a sentence and never goes on |
 * | drop | times (1) | begins a sentence and cuts the connection, `times` times; then answers |
 * | 400, 401 | | that status |
 * | 429, 500, 503 | times (for ever), after (seconds) | that status, `times` times; then answers |
 * | context | | once: the context window is exceeded; then answers |
 * | length | | an answer that is cut off at the length limit |
 *
 * A step: `{reasoning?, text?, tools?: [{name, args}], chunk?, delayMs?, gate?: {name, after}, hang?, drop?, finish?,
 * usage?, error?: {status, message, times?, headers?}}`.
 */

const MARKER = /\[\[([\w-]+)(?::(\{.*?\}))?\]\]/gs
const WORDS = 'the cart holds every line and the total follows from its lines without any rounding on the way'.split(' ')

const words = (count) => Array.from({ length: count }, (_, at) => WORDS[at % WORDS.length]).join(' ')
const bash = (command, description = 'Run a scripted command') => ({ name: 'bash', args: { command, description } })
const error = (status, message) => ({ times, after } = {}) => [
  {
    error: { status, message, times, headers: after === undefined ? {} : { 'retry-after': String(after) } },
    text: `Recovered after ${status}.`,
  },
]

const MARKDOWN = `## Result

Some **bold** words, \`code\`, and a [link](https://example.com).

| item | price |
|---|---|
| mug | 9.00 |
| tea | 4.50 |

\`\`\`js
export const total = (cart) => cart.reduce((sum, line) => sum + line.price, 0)
\`\`\`

1. one
2. two
`

const SCENARIOS = {
  text: ({ words: count = 400 } = {}) => [{ text: `${words(count)}.` }],
  slow: ({ words: count = 200, ms = 60 } = {}) => [{ text: `${words(count)}.`, chunk: 6, delayMs: ms }],
  reasoning: ({ words: count = 80 } = {}) => [{ reasoning: words(count), text: 'That is what I think.' }],
  markdown: () => [{ text: MARKDOWN }],
  bash: ({ cmd = 'echo hello', then = 'The command has run.' } = {}) => [
    { text: 'Running a command.', tools: [bash(cmd)] },
    { text: then },
  ],
  lines: ({ count = 300, ms = 10 } = {}) => [
    { tools: [bash(`for i in $(seq 1 ${count}); do echo "line $i"; sleep ${ms / 1000}; done`, 'Print many lines')] },
    { text: `All ${count} lines are printed.` },
  ],
  'big-output': ({ kib = 300 } = {}) => [
    { tools: [bash(`head -c ${kib * 1024} /dev/zero | tr '\\0' x | fold -w 100`, 'Print a lot')] },
    { text: 'That was a lot.' },
  ],
  flood: ({ count = 30, kib = 400 } = {}) => [
    ...Array.from({ length: count }, (_, at) => ({
      reasoning: words(kib * 200).slice(0, kib * 1024),
      chunk: 16384,
      // As if it were little: the engine would compact the conversation.
      usage: { input: 10, output: 10, reasoning: 10 },
      tools: [bash(`echo flood ${at + 1}`)],
    })),
    { text: 'That was a flood.' },
  ],
  tools: ({ count = 6 } = {}) => [
    ...Array.from({ length: count }, (_, at) => ({ text: `Step ${at + 1}.`, tools: [bash(`echo step ${at + 1}`)] })),
    { text: `All ${count} steps are done.` },
  ],
  parallel: () => [
    {
      tools: [bash('sleep 0.2; echo first'), bash('sleep 0.2; echo second'), { name: 'glob', args: { pattern: '**/*' } }],
    },
    { text: 'All three came back.' },
  ],
  permission: ({ cmd = 'echo allowed', then = 'Done.' } = {}) => [
    { text: 'This needs a permission.', tools: [bash(cmd)] },
    { text: then },
  ],
  question: () => [
    {
      text: 'One question first.',
      tools: [
        {
          name: 'question',
          args: {
            questions: [
              {
                question: 'Which colour should the button have?',
                header: 'Colour',
                options: [
                  { label: 'Red', description: 'Warm' },
                  { label: 'Blue', description: 'Cold' },
                ],
              },
            ],
          },
        },
      ],
    },
    { text: 'Thanks for the answer.' },
  ],
  subagent: ({ prompt = '[[bash:{"cmd":"ls | wc -l"}]] count the files', description = 'Count the files' } = {}) => [
    { text: 'I hand this over.', tools: [{ name: 'task', args: { description, prompt, subagent_type: 'general' } }] },
    { text: 'The sub-agent is done.' },
  ],
  read: ({ path = 'README.md' } = {}) => [
    { tools: [{ name: 'read', args: { filePath: path } }] },
    { text: 'I have read it.' },
  ],
  glob: ({ pattern = '**/*' } = {}) => [{ tools: [{ name: 'glob', args: { pattern } }] }, { text: 'Found.' }],
  grep: ({ pattern = 'total' } = {}) => [{ tools: [{ name: 'grep', args: { pattern } }] }, { text: 'Searched.' }],
  write: ({ path = 'notes.txt', content = 'line one\nline two\n' } = {}) => [
    { tools: [{ name: 'write', args: { filePath: path, content } }] },
    { text: `Wrote ${path}.` },
  ],
  edit: ({ path = 'README.md', old = 'cart', new: next = 'basket' } = {}) => [
    { tools: [{ name: 'read', args: { filePath: path } }] },
    { tools: [{ name: 'edit', args: { filePath: path, oldString: old, newString: next } }] },
    { text: `Edited ${path}.` },
  ],
  todo: () => [
    {
      tools: [
        {
          name: 'todowrite',
          args: {
            todos: [
              { content: 'Look around', status: 'completed', priority: 'high' },
              { content: 'Do the work', status: 'in_progress', priority: 'high' },
              { content: 'Check it', status: 'pending', priority: 'medium' },
            ],
          },
        },
      ],
    },
    { text: 'The list stands.' },
  ],
  badargs: () => [{ tools: [{ name: 'bash', args: { cmd: 1 } }] }, { text: 'That was refused.' }],
  badtool: () => [{ tools: [{ name: 'nosuchtool', args: {} }] }, { text: 'There is no such tool.' }],
  gate: ({ name = 'gate' } = {}) => [{ text: 'before ', gate: { name, after: 'after' } }],
  hang: () => [{ text: 'I will now hang', hang: true }],
  drop: ({ times = 1 } = {}) => [{ text: 'A whole answer after the connection broke.', drop: { times } }],
  400: error(400, 'The scripted model refuses this request.'),
  401: error(401, 'Incorrect API key provided.'),
  429: error(429, 'Rate limit reached.'),
  500: error(500, 'Internal error of the scripted model.'),
  503: error(503, 'The scripted model is overloaded.'),
  context: () => [
    {
      error: { status: 400, code: 'context_length_exceeded', message: "This model's maximum context length is 8192 tokens.", times: 1 },
      text: 'It fits now.',
    },
  ],
  length: () => [{ text: 'This sentence is cut', finish: 'length' }],
}

/** Names of all scenarios. */
export const names = Object.keys(SCENARIOS)

/** Whether the prompt wants no pauses. */
export const wantsFast = (prompt) => prompt.includes('[[fast]]')

/** The prompt without its markers. */
export const plain = (prompt) => prompt.replace(MARKER, '').trim()

/** The step that the prompt's marker asks for; nothing when there is no marker. */
export function scenario({ prompt, step }) {
  const marker = [...prompt.matchAll(MARKER)].filter(([, name]) => name !== 'fast').at(-1)
  if (!marker) return undefined
  const [, name, json] = marker
  const make = Object.hasOwn(SCENARIOS, name) ? SCENARIOS[name] : undefined
  if (!make) return { name, text: `There is no scenario "${name}". There are: ${names.join(', ')}.` }
  let variables
  try {
    variables = json ? JSON.parse(json) : {}
  } catch {
    return { name, text: `The variables of "${name}" are not JSON.` }
  }
  const steps = make(variables)
  return { name, ...steps[Math.min(step, steps.length - 1)] }
}
