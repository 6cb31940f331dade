/** What must be true of every session's log and stream, whatever happened to it. */
import assert from 'node:assert/strict';

import { until } from './programs.mjs';

/**
 * The log is contiguous, every turn that began has ended once, every part is closed, and the transcript is the
 * fold of the log. For a session in which nothing runs any more. Returns `{log, transcript}`.
 */
export async function assertWhole(session) {
  // What is no turn's may still come, like a snapshot: both are to be of one moment.
  const { log, transcript } = await until(async () => {
    const log = await session.log();
    const transcript = await session.transcript();
    return transcript.headSeq === log.at(-1).seq && { log, transcript };
  }, 'a transcript that is as long as the log');
  assert.deepEqual(log.map((event) => event.seq), log.map((_, at) => at + 1), 'positions are contiguous from 1');
  assertTurnsEnd(log);
  assertTranscript(log, transcript);
  return { log, transcript };
}

function assertTurnsEnd(log) {
  const ids = (type, key) => log.filter((event) => event.type === type).map((event) => event[key]);
  assert.deepEqual(ids('turn.finished', 'turnId'), ids('turn.started', 'turnId'), 'turns end in the order in which they began, each once');
  const open = new Map();
  for (const event of log) {
    if (event.type === 'part.started') open.set(event.part.id, event);
    if (event.type === 'part.finished') open.delete(event.part.id);
    if (event.type === 'part.removed') open.delete(event.partId);
    if (event.type === 'turn.finished') {
      const left = [...open.values()].filter((started) => started.turnId === event.turnId);
      assert.deepEqual(left, [], 'no part is open at the end of its turn');
    }
  }
}

function assertTranscript(log, { messages }) {
  const removed = new Set(log.filter((event) => event.type === 'part.removed').map((event) => event.partId));
  const finished = new Map();
  for (const event of log) {
    if (event.type === 'part.finished' && !removed.has(event.part.id)) finished.set(event.part.id, event.part);
  }
  const assistant = messages.filter((message) => message.role === 'assistant');
  const parts = assistant.flatMap((message) => message.parts);
  assert.deepEqual(new Map(parts.map((part) => [part.id, part])), finished, 'the transcript has exactly the finished parts');
  const withdrawn = new Set(log.filter((event) => event.type === 'prompt.withdrawn').map((event) => event.promptId));
  const prompts = log.filter((event) => event.type === 'prompt.queued' && !withdrawn.has(event.prompt.id));
  assert.equal(messages.filter((message) => message.role === 'user').length, prompts.length, 'every prompt is a message');
}

/** Applies deltas as a client does; returns the text, and fails on a gap. */
export function assemble(deltas) {
  let text = '';
  for (const delta of deltas) {
    if (delta.reset) text = '';
    assert.ok(delta.offset <= text.length, `a gap in ${delta.partId}: have ${text.length}, got ${delta.offset}`);
    text += delta.text.slice(text.length - delta.offset);
  }
  return text;
}

/**
 * The deltas of every part come without a gap to a beginning of its final text. Not always to all of it: what
 * stands in line when the part ends comes with the finished part, which replaces the deltas.
 */
export function assertDeltas(turn) {
  for (const part of turn.parts.filter((part) => !part.truncated)) {
    const text = assemble(turn.deltas.filter((delta) => delta.partId === part.id)).trimEnd();
    const final = (part.type === 'tool' ? part.output : part.text) ?? '';
    assert.ok(final.startsWith(text), `the deltas of ${part.id}: …${text.slice(-80)}`);
  }
}
