/**
 * The verdict on one session after the faults: what was lost, what happened twice, what hangs. Pure: it is given the
 * log, the transcript, what viewers saw, the engine's record and the undisturbed outcomes. Each finding is
 * `{kind: 'lost' | 'duplicated' | 'stuck', what}`.
 */
import { isDeepStrictEqual } from 'node:util';

import { EMPTY, foldEvents, messagesOf } from './client-fold.mjs';

/** After a fault its consequences may go on for so long, in milliseconds: a lost sandbox, a silent connection. */
export const AFTERMATH_MS = 60_000;

/** The kind of fault that takes a sandbox's files away: what no snapshot holds is gone from engine and workspace. */
export const LOSS = 'lose the sandbox';

/** The kind of fault that kills what the agent's command runs, which then goes on in its own way. */
export const TOOL = 'kill tool';

/** The kind of fault that keeps the agent's tools from writing: they say so, and what they were to make is not there. */
export const DISK = 'full disk';

/** All findings about one session. */
export function judge({ log, transcript, prompts, viewers, engine, reference, faults, files }) {
  const findings = [];
  const find = (kind, what) => findings.push({ kind, what });
  const ends = endsOf(log);
  contiguous(log, find);
  oneEndEach(prompts, log, ends, find);
  nothingOpen(log, find);
  sameForViewers(log, transcript, viewers, find);
  foldOfLog(log, transcript, find);
  const stopped = new Set(prompts.filter(({ aborted }) => aborted).map(({ id }) => ends.get(id)?.[0]?.turnId));
  for (const prompt of prompts) outcome(prompt, ends.get(prompt.id)?.[0], { log, faults, reference, stopped }, find);
  const gone = lostTurns(log, faults);
  const kept = prompts.filter((prompt) => !gone.has(ends.get(prompt.id)?.[0]?.turnId));
  if (engine) sameAsEngine({ log, prompts: kept, ends, engine, gone }, find);
  if (files) effects(kept, { log, ends, files, faults }, find);
  return findings;
}

/** Turns after the last snapshot before a loss of the sandbox: the log has them, nobody else can. */
function lostTurns(log, faults) {
  const gone = new Set();
  for (const { at, until } of faults.filter(({ kind }) => kind === LOSS)) {
    const before = log.filter((event) => Date.parse(event.at) <= until);
    const saved = before.findLast((event) => event.type === 'sandbox.snapshot' && Date.parse(event.at) <= at)?.turnId;
    const savedAt = before.findLastIndex((event) => event.type === 'turn.finished' && event.turnId === saved);
    for (const { turnId } of before.slice(savedAt + 1)) if (turnId && turnId !== saved) gone.add(turnId);
  }
  return gone;
}

const ENDS = ['turn.finished', 'prompt.withdrawn'];

/** Ends by prompt; a steered one ends with the turn that took it in. */
function endsOf(log) {
  const ends = new Map();
  const add = (prompt, event) => ends.set(prompt, [...(ends.get(prompt) ?? []), event]);
  for (const event of log.filter(({ type }) => ENDS.includes(type))) add(event.promptId, event);
  for (const steered of log.filter(({ type }) => type === 'prompt.steered')) {
    const end = log.find((event) => event.type === 'turn.finished' && event.turnId === steered.turnId);
    if (end) add(steered.promptId, end);
  }
  return ends;
}

function contiguous(log, find) {
  log.forEach((event, at) => {
    if (event.seq !== at + 1) find(event.seq > at + 1 ? 'lost' : 'duplicated', `position ${event.seq} stands at place ${at + 1} of the log`);
  });
}

function oneEndEach(prompts, log, ends, find) {
  for (const { id, tag } of prompts) {
    const queued = log.filter((event) => event.type === 'prompt.queued' && event.prompt.id === id).length;
    if (queued === 0) find('lost', `prompt ${tag} was accepted and is not in the log`);
    if (queued > 1) find('duplicated', `prompt ${tag} stands ${queued} times in the log`);
    const count = ends.get(id)?.length ?? 0;
    if (count === 0) find('stuck', `prompt ${tag} never ended`);
    if (count > 1) find('duplicated', `prompt ${tag} ended ${count} times`);
  }
}

/** Turns end in their order, each once, with no part and no question open. */
function nothingOpen(log, find) {
  const turns = (type) => log.filter((event) => event.type === type).map((event) => event.turnId);
  const [started, finished] = [turns('turn.started'), turns('turn.finished')];
  for (const id of new Set(started)) {
    const count = (list) => list.filter((one) => one === id).length;
    if (count(finished) === 0) find('stuck', `turn ${id} is still running`);
    if (count(finished) > 1 || count(started) > 1) find('duplicated', `turn ${id} began ${count(started)} and ended ${count(finished)} times`);
  }
  const open = new Map();
  for (const event of log) {
    if (event.type === 'part.started') open.set(event.part.id, `part ${event.part.id} of turn ${event.turnId}`);
    if (event.type === 'interaction.opened') open.set(event.interaction.id, `question ${event.interaction.id}`);
    if (event.type === 'part.finished') {
      open.delete(event.part.id);
      if (['pending', 'running'].includes(event.part.status)) find('stuck', `part ${event.part.id} is finished as ${event.part.status}`);
    }
    if (event.type === 'part.removed') open.delete(event.partId);
    if (event.type === 'interaction.resolved' && !open.delete(event.interactionId)) find('duplicated', `question ${event.interactionId} was settled twice`);
  }
  for (const what of open.values()) find('stuck', `${what} was never closed`);
}

/** Every viewer has the whole log and shows what the log folds to, which is the API's transcript. */
function sameForViewers(log, transcript, viewers, find) {
  const fold = foldEvents(EMPTY, log);
  const written = transcript.messages.filter(({ role }) => role === 'assistant').map(({ id, parts }) => ({ id, parts }));
  const filled = messagesOf(fold).filter(({ parts }) => parts.length > 0);
  if (!isDeepStrictEqual(filled, written.filter(({ parts }) => parts.length > 0))) find('lost', 'the client folds the log to another transcript than the API');
  for (const [at, { events, problems, shown }] of viewers.entries()) {
    if (!isDeepStrictEqual(messagesOf(shown), messagesOf(fold))) find('lost', `viewer ${at + 1} shows something else than the log says`);
    problems.forEach((problem) => find(problem.kind, problem.what));
    const gone = log.find((event, place) => !isDeepStrictEqual(event, events[place]));
    if (gone) find('lost', `viewer ${at + 1} has ${events.length} of ${log.length} events; the first that differs is ${gone.seq} ${gone.type}`);
    else if (events.length > log.length) find('duplicated', `viewer ${at + 1} has ${events.length - log.length} events that are not in the log`);
  }
}

/** The transcript has exactly the parts that finished and the prompts that were not withdrawn. */
function foldOfLog(log, { messages }, find) {
  const removed = new Set(log.filter((event) => event.type === 'part.removed').map((event) => event.partId));
  const whole = new Set(log.filter(({ type, outcome }) => type === 'turn.finished' && outcome === 'done').map(({ turnId }) => turnId));
  const finished = new Map();
  for (const { type, part, turnId } of log) {
    if (type !== 'part.finished' || removed.has(part.id)) continue;
    // The end of a broken turn closes its open parts; what the engine had really finished may still come and mend that.
    if (finished.has(part.id) && whole.has(turnId)) find('duplicated', `part ${part.id} finished twice`);
    finished.set(part.id, part);
  }
  const shown = messages.filter(({ role }) => role === 'assistant').flatMap(({ parts }) => parts);
  for (const part of shown) {
    if (!isDeepStrictEqual(finished.get(part.id), part)) find('lost', `part ${part.id} of the transcript is another than in the log`);
    finished.delete(part.id);
  }
  for (const id of finished.keys()) find('lost', `part ${id} is in the log and not in the transcript`);
  if (new Set(shown.map(({ id }) => id)).size < shown.length) find('duplicated', 'a part stands twice in the transcript');
  const withdrawn = new Set(log.filter((event) => event.type === 'prompt.withdrawn').map((event) => event.promptId));
  const asked = log.filter((event) => event.type === 'prompt.queued' && !withdrawn.has(event.prompt.id)).length;
  const said = messages.filter(({ role }) => role === 'user').length;
  if (said !== asked) find(said < asked ? 'lost' : 'duplicated', `${asked} prompts are ${said} messages in the transcript`);
}

/** A turn is whole, as in the undisturbed run, or failed with a cause and a fault that explains it. */
function outcome(prompt, end, { log, faults, reference, stopped }, find) {
  if (!end || end.type === 'prompt.withdrawn') return;
  const turn = turnOf(log, end.turnId);
  if (end.outcome === 'done') {
    // Where one turn answers several prompts, how far each was answered is a matter of time; a hindered command says so.
    const wanted = prompt.mixed || hindered(turn, faults, [TOOL, DISK]) ? undefined : reference?.get(prompt.key);
    const got = canonical(turn, prompt.tag);
    if (wanted && !isDeepStrictEqual(got, wanted)) {
      find('lost', `turn of ${prompt.tag} (${prompt.name}) is done, but not as undisturbed: ${difference(wanted, got)}`);
    }
    return;
  }
  if (!/^[A-Z].*[.!?]$/s.test(end.cause?.message ?? '')) find('lost', `turn of ${prompt.tag} ended ${end.outcome} without a cause`);
  if (end.outcome === 'aborted') {
    // No fault explains it: only a person stops a turn.
    if (!stopped.has(end.turnId)) find('lost', `turn of ${prompt.tag} ended aborted, which nobody asked for`);
    return;
  }
  const began = Date.parse(turn[0].at);
  const ended = Date.parse(end.at);
  const explained = faults.some((fault) => fault.at <= ended && fault.until + AFTERMATH_MS >= began);
  if (!explained) find('lost', `turn of ${prompt.tag} ended ${end.outcome} (${end.cause?.code}) although no fault hit it`);
}

/** Whether a fault of these kinds fell into a turn. */
function hindered(turn, faults, kinds) {
  const [began, ended] = [Date.parse(turn[0].at), Date.parse(turn.at(-1).at)];
  return faults.some(({ kind, at, until }) => kinds.includes(kind) && until >= began && at <= ended);
}

const turnOf = (log, turnId) => log.filter((event) => event.turnId === turnId);

/** What a turn yielded, without what differs from run to run: ids, times, tags, listings of the workspace. */
export function canonical(turn, tag) {
  const removed = new Set(turn.filter((event) => event.type === 'part.removed').map((event) => event.partId));
  const parts = turn.filter((event) => event.type === 'part.finished' && !removed.has(event.part.id)).map(({ part }) => part);
  const end = turn.find((event) => event.type === 'turn.finished');
  const same = (value) => JSON.parse(JSON.stringify(value ?? null).replaceAll(tag, 'TAG').replaceAll(/\bses_[0-9a-f]{12}\w{14}\b/g, 'SUB-AGENT'));
  const shown = parts
    .filter((part) => part.type !== 'patch' && (part.type !== 'text' || part.text !== ''))
    .map(({ type, tool, status, text, input, output, error }) => same({ type, tool, status, text, input, error, output: tool === 'glob' ? undefined : output }));
  const key = (value) => JSON.stringify(value);
  // Parts of one step may end in any order.
  return { outcome: end.outcome, parts: shown.sort((a, b) => key(a).localeCompare(key(b))), files: same(end.files.map(({ path }) => path).sort()) };
}

function difference(wanted, got) {
  if (wanted.outcome !== got.outcome) return `${got.outcome} instead of ${wanted.outcome}`;
  const rest = (from, others) => from.filter((part) => !others.some((other) => isDeepStrictEqual(part, other)));
  const [missing, surplus] = [rest(wanted.parts, got.parts), rest(got.parts, wanted.parts)];
  const files = isDeepStrictEqual(wanted.files, got.files) ? '' : `; files ${got.files} instead of ${wanted.files}`;
  const count = missing.length + surplus.length === 0 ? `; ${got.parts.length} parts instead of ${wanted.parts.length}` : '';
  return `missing ${JSON.stringify(missing).slice(0, 400)}, surplus ${JSON.stringify(surplus).slice(0, 400)}${files}${count}`;
}

/** What the engine finished is in the log with the same content; what is in the log, the engine has. */
function sameAsEngine({ log, prompts, ends, engine, gone }, find) {
  if (engine.roots > 1) find('duplicated', `the engine has ${engine.roots} conversations`);
  for (const { id, tag } of prompts) {
    const count = engine.users.filter(({ text }) => text.includes(tag)).length;
    const end = ends.get(id)?.[0];
    if (count > 1) find('duplicated', `the engine was given prompt ${tag} ${count} times`);
    if (count === 0 && end?.outcome === 'done') find('lost', `the engine does not know prompt ${tag}, whose turn is done`);
    if (count > 0 && end?.type === 'prompt.withdrawn') find('duplicated', `the engine was given prompt ${tag}, which was withdrawn`);
  }
  const outcomes = new Map(log.filter(({ type }) => type === 'turn.finished').map((event) => [event.turnId, event.outcome]));
  const turnOfMessage = new Map(log.filter(({ type }) => type === 'message.started').map((event) => [event.messageId, event.turnId]));
  const removed = new Set(log.filter((event) => event.type === 'part.removed').map((event) => event.partId));
  const ours = new Map(log.filter((event) => event.type === 'part.finished' && !removed.has(event.part.id)).map((event) => [event.part.id, event]));
  for (const [id, part] of engine.parts) {
    const text = finalText(part);
    const message = engine.messages.get(part.message);
    const done = !message.root || outcomes.get(turnOfMessage.get(part.message)) === 'done';
    const event = ours.get(id);
    if (text === null || text === '' || !message.completed) continue;
    if (!event && done && message.root) find('lost', `the engine's part ${id} (${part.type} ${part.tool ?? ''}) is not in the log`);
    if (event && outcomes.get(event.turnId) === 'done' && shownText(event.part) !== text) {
      find('lost', `part ${id} reads otherwise than the engine's: ${JSON.stringify(shownText(event.part)?.slice(-80))}, ${JSON.stringify(text.slice(-80))}`);
    }
  }
  for (const [id, event] of ours) {
    if (!engine.parts.has(id) && !gone.has(event.turnId) && outcomes.get(event.turnId) === 'done') find('duplicated', `part ${id} of a done turn is unknown to the engine`);
  }
}

/** The text of an engine's part that is complete; null when it is none, or still open. */
function finalText(part) {
  if (part.type === 'text' || part.type === 'reasoning') return part.time?.end ? part.text : null;
  if (part.type !== 'tool' || part.tool === 'task' || part.state?.status !== 'completed') return null;
  return part.state.output ?? '';
}

const shownText = (part) => part.text ?? part.output ?? '';

/** What done turns did to the workspace is there, once. */
function effects(prompts, { log, ends, files: { ran, made }, faults }, find) {
  for (const { id, tag, name, mixed } of prompts) {
    const end = ends.get(id)?.[0];
    const done = end?.outcome === 'done' && !mixed && !hindered(turnOf(log, end.turnId), faults, [DISK]);
    if (name === 'bash') {
      const times = ran.filter((line) => line === tag).length;
      if (done && times === 0) find('lost', `the command of ${tag} left no trace in the workspace`);
      if (times > 1) find('duplicated', `the command of ${tag} ran ${times} times`);
      if (times > 0 && end?.type === 'prompt.withdrawn') find('duplicated', `the command of ${tag} ran although the prompt was withdrawn`);
    }
    if (name === 'write' && done && made.get(tag) !== `${tag}\n`) find('lost', `the file of ${tag} is not in the workspace`);
  }
}
