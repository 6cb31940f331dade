/**
 * What people ask of the agent: an endless script per session that the seed decides. Every prompt carries a tag of its
 * own, so that it is found again in the log, the engine's database and the workspace; prompts that differ in nothing
 * but the tag have the same `key` and must have the same outcome.
 */
import { Random } from './random.mjs';

/** Prompts by what the agent does; `tag` stands in all that leaves a trace. */
const PROMPTS = {
  text: () => '[[text:{"words":60}]]',
  slow: () => '[[slow:{"words":40,"ms":30}]]',
  reasoning: () => '[[reasoning:{"words":40}]]',
  write: (tag) => `[[write:{"path":"made/${tag}.txt","content":"${tag}\\n"}]]`,
  bash: (tag) => `[[bash:{"cmd":"echo ${tag} >> ran.log; echo ran ${tag}"}]]`,
  tools: () => '[[tools:{"count":3}]]',
  lines: () => '[[lines:{"count":60,"ms":30}]]',
  parallel: () => '[[parallel]]',
  subagent: () => '[[subagent:{"prompt":"[[bash]]"}]]',
  todo: () => '[[todo]]',
  question: () => '[[question]]',
};

/** What a person does with prompts, and how often. */
const ACTS = [
  ...['text', 'slow', 'reasoning', 'tools', 'parallel', 'subagent', 'todo'].map((name) => [1, { act: 'ask', prompts: [name] }]),
  [3, { act: 'ask', prompts: ['write'] }],
  [3, { act: 'ask', prompts: ['bash'] }],
  [2, { act: 'ask', prompts: ['lines'] }],
  [2, { act: 'answer', prompts: ['question'] }],
  [2, { act: 'ask', prompts: ['bash', 'write', 'bash'] }],
  [1, { act: 'withdraw', prompts: ['slow', 'bash'] }],
  [1, { act: 'abort', prompts: ['lines'] }],
  [2, { act: 'steer', prompts: ['tools', 'bash'] }],
  [1, { act: 'promote', prompts: ['slow', 'write', 'bash'] }],
  [1, { act: 'move', prompts: ['lines', 'write', 'bash'] }],
  [1, { act: 'pause', prompts: [] }],
  [1, { act: 'archive', prompts: [] }],
  [1, { act: 'rest', prompts: [] }],
];

/** The script of the session with this number: `{act, wait, prompts: [{name, tag, key, text}]}`, for ever. */
export function* script(seed, number) {
  const random = Random.for(seed, 'script', number);
  for (let count = 0; ; ) {
    const { act, prompts } = random.weighted(ACTS);
    const made = prompts.map((name) => {
      count += 1;
      return prompt(name, `t${String(number).padStart(2, '0')}x${String(count).padStart(4, '0')}`);
    });
    yield { act, wait: random.between(0, 1500), prompts: made };
  }
}

/** The prompt `name` with this tag. */
export function prompt(name, tag) {
  const make = (mark) => `${PROMPTS[name](mark)} ${mark}`;
  return { name, tag, key: make('TAG'), text: make(tag) };
}
