/**
 * What a viewer knows of one session: pure `(state, frames) → state`. The log and its fold, and beside it what only a
 * greeting carries (queue, running turn, list, presence). Acks and rejects are the store's business.
 */
import { EMPTY, type Fold, type Turn } from "@/features/session/draft";
import { foldDeltas, foldEvents, openParts, overlay, type Beside } from "@/features/session/fold";
import { enqueued, moved } from "@/features/session/order";
import type { Delta } from "@/protocol/Delta";
import type { Event } from "@/protocol/Event";
import type { Interaction } from "@/protocol/Interaction";
import type { OrgRole } from "@/protocol/OrgRole";
import type { Person } from "@/protocol/Person";
import type { Prompt } from "@/protocol/Prompt";
import type { ServerFrame } from "@/protocol/ServerFrame";
import type { Session } from "@/protocol/Session";
import type { Todo } from "@/protocol/Todo";
import type { TurnInfo } from "@/protocol/TurnInfo";

/** The frames that change what is known. */
export type StateFrame = Exclude<ServerFrame, { type: "ack" | "reject" | "check" }>;

/** See the head of the file. */
export interface SessionState {
  /** Nothing before the first greeting. */
  readonly session: Session | null;
  /** The events that this viewer has: contiguous, ascending. */
  readonly log: readonly Event[];
  /** Position of the first event here; 1 when all is here. */
  readonly firstSeq: number;
  /** Position of the last event here. */
  readonly lastSeq: number;
  /** Position of the log's last event, as far as the server has said. */
  readonly headSeq: number;
  readonly fold: Fold;
  readonly queue: readonly Prompt[];
  readonly turn: TurnInfo | null;
  readonly interactions: readonly Interaction[];
  readonly todos: readonly Todo[];
  readonly presence: readonly Person[];
  /** What a share link makes of the one who looks. */
  readonly guest: OrgRole | null;
  /** The greeting's position: it has told the outcome of all events up to here. */
  readonly toldSeq: number;
  /** What the greeting said of open parts and questions, until the events up to it are folded. */
  readonly awaiting: Beside | null;
  /** The last event that changes what the session waits for, or how its start goes. */
  readonly waitSeq: number;
  /** An event is missing between what is here and what came: dial again. */
  readonly broken: boolean;
}

/** Before the first greeting. */
export const INITIAL: SessionState = {
  session: null,
  log: [],
  firstSeq: 1,
  lastSeq: 0,
  headSeq: 0,
  fold: EMPTY,
  queue: [],
  turn: null,
  interactions: [],
  todos: [],
  presence: [],
  guest: null,
  toldSeq: 0,
  awaiting: null,
  waitSeq: 0,
  broken: false,
};

/** Folds frames in the order they came; deltas between two other frames are applied together. */
export function reduce(state: SessionState, frames: readonly StateFrame[]): SessionState {
  let next = state;
  let deltas: Delta[] = [];
  const flush = () => {
    if (deltas.length > 0) next = { ...next, fold: foldDeltas(next.fold, deltas) };
    deltas = [];
  };
  for (const frame of frames) {
    if (frame.type === "delta") {
      deltas.push(frame);
      continue;
    }
    flush();
    next = step(next, frame);
  }
  flush();
  return next;
}

function step(state: SessionState, frame: Exclude<StateFrame, { type: "delta" }>): SessionState {
  switch (frame.type) {
    case "hello":
      return greet(state, frame);
    case "event":
      return append(state, [frame.event]);
    case "events":
      return append(state, frame.events);
    case "session":
      return { ...state, session: frame.session, headSeq: Math.max(state.headSeq, frame.session.headSeq) };
    case "presence":
      return { ...state, presence: frame.presence };
    default:
      // A frame of a newer server; the greeting's protocol number decides whether to go on at all.
      frame satisfies never;
      return state;
  }
}

function greet(state: SessionState, hello: Extract<ServerFrame, { type: "hello" }>): SessionState {
  const follows = hello.firstSeq <= state.lastSeq + 1 && hello.headSeq >= state.lastSeq;
  const resumed = state.session !== null && state.session.id === hello.session.id && follows;
  const base = resumed ? state : { ...INITIAL, firstSeq: hello.firstSeq, lastSeq: hello.firstSeq - 1 };
  return caughtUp({
    ...base,
    session: hello.session,
    headSeq: hello.headSeq,
    toldSeq: hello.headSeq,
    waitSeq: hello.headSeq,
    queue: hello.queue,
    turn: hello.turn ?? null,
    interactions: hello.interactions,
    todos: hello.todos,
    presence: hello.presence,
    guest: hello.guest ?? null,
    awaiting: { open: hello.openParts, interactions: hello.interactions, prompts: hello.queue },
    broken: false,
  });
}

function append(state: SessionState, events: readonly Event[]): SessionState {
  const news = events.filter((event) => event.seq > state.lastSeq);
  const first = news[0];
  const last = news.at(-1);
  if (!first || !last) return state;
  if (first.seq !== state.lastSeq + 1) return { ...state, broken: true };
  const grown: SessionState = {
    ...state,
    log: [...state.log, ...news],
    lastSeq: last.seq,
    headSeq: Math.max(state.headSeq, last.seq),
    fold: foldEvents(state.fold, news),
  };
  const later = news.filter((event) => event.seq > state.toldSeq);
  const waitSeq = later.findLast((event) => WAITS.test(event.type))?.seq ?? state.waitSeq;
  return caughtUp(later.reduce(live, { ...grown, waitSeq }));
}

/** What may change the answer of `GET …/startup`. */
const WAITS = /^(session\.phase|sandbox\.|git\.|turn\.|interaction\.|prompt\.(queued|withdrawn)|message\.started)/;

function caughtUp(state: SessionState): SessionState {
  if (!state.awaiting || state.lastSeq < state.toldSeq) return state;
  return { ...state, awaiting: null, fold: overlay(state.fold, state.awaiting) };
}

/** What an event after the greeting changes beside the transcript. */
function live(state: SessionState, event: Event): SessionState {
  switch (event.type) {
    case "prompt.queued": {
      const others = state.queue.filter((p) => p.id !== event.prompt.id);
      return { ...state, queue: enqueued(others, event.prompt, (p) => p, state.turn !== null) };
    }
    case "prompt.moved":
      return { ...state, queue: moved(state.queue, (p) => p.id, event.promptId, event.to) };
    case "prompt.edited": {
      const queue = state.queue.map((p) => (p.id === event.promptId ? { ...p, text: event.text } : p));
      return { ...state, queue };
    }
    case "prompt.withdrawn":
    case "prompt.steered":
      return { ...state, queue: state.queue.filter((p) => p.id !== event.promptId) };
    case "turn.started": {
      const turn = { id: event.turnId, promptId: event.promptId, startedAt: event.at, aborting: false };
      return { ...state, turn, queue: state.queue.filter((p) => p.id !== event.promptId) };
    }
    case "turn.aborting":
      return { ...state, turn: state.turn && { ...state.turn, aborting: true } };
    case "turn.finished": {
      const interactions = state.interactions.filter((i) => i.turnId !== event.turnId);
      return { ...state, turn: state.turn?.id === event.turnId ? null : state.turn, interactions };
    }
    case "interaction.opened":
      return { ...state, interactions: [...state.interactions, event.interaction] };
    case "interaction.resolved":
      return { ...state, interactions: state.interactions.filter((i) => i.id !== event.interactionId) };
    case "note.todos":
      return { ...state, todos: event.todos };
    case "session.titled":
      return { ...state, session: state.session && { ...state.session, title: event.title } };
    case "git.pushed":
      return { ...state, session: state.session && { ...state.session, pushed: { branch: event.branch, commit: event.commit } } };
    case "session.archived": {
      if (!state.session) return state;
      const { archivedAt: _since, ...rest } = state.session;
      return { ...state, session: { ...rest, ...(event.archived ? { archivedAt: event.at } : {}) } };
    }
    case "session.shared":
      return { ...state, session: state.session && { ...state.session, visibility: event.visibility } };
    case "session.phase": {
      if (!state.session) return state;
      const { cause: _old, ...rest } = state.session;
      return { ...state, session: { ...rest, phase: event.phase, ...(event.cause ? { cause: event.cause } : {}) } };
    }
    default:
      return state;
  }
}

/** Puts an older page before what is here and folds again; what is being written keeps its text. */
export function prepend(state: SessionState, older: readonly Event[]): SessionState {
  const before = older.filter((event) => event.seq < state.firstSeq);
  const first = before[0];
  if (!first || before.at(-1)?.seq !== state.firstSeq - 1) return state;
  const log = [...before, ...state.log];
  const { interactions } = state;
  const beside = { open: openParts(state.fold), interactions, prompts: Object.values(state.fold.prompts) };
  const fold = overlay(foldEvents(EMPTY, log), beside);
  return { ...state, log, firstSeq: first.seq, fold };
}

/** How many events are kept while the reader is at the end; twice as many are let come together before the older ones go. */
export const KEPT_EVENTS = 2000;

/**
 * Forgets the oldest events of a log that has grown long; they are fetched again when somebody scrolls up to them. Cuts at
 * a turn's beginning where there is one, and keeps the prompts of the turns that stay.
 */
export function trim(state: SessionState, keep = KEPT_EVENTS): SessionState {
  if (state.log.length <= 2 * keep || state.awaiting) return state;
  const least = state.log.length - keep;
  const turn = state.log.findIndex((event, at) => at >= least && event.type === "turn.started");
  const log = state.log.slice(turn >= 0 && turn < least + keep / 2 ? turn : least);
  const first = log[0];
  if (!first) return state;
  const kept = foldEvents(EMPTY, log);
  const named = new Set(kept.blocks.flatMap((block) => (block.kind === "turn" ? promptsOf(block.turn) : [])));
  const waiting = new Set(state.queue.map((prompt) => prompt.id));
  const prompts = Object.values(state.fold.prompts).filter(({ id }) => named.has(id) || waiting.has(id));
  const fold = overlay(kept, { open: openParts(state.fold), interactions: state.interactions, prompts });
  return { ...state, log, firstSeq: first.seq, fold };
}

function promptsOf(turn: Turn): string[] {
  const steered = turn.items.flatMap((item) => (item.kind === "prompt" ? [item.promptId] : []));
  return turn.promptId === undefined ? steered : [turn.promptId, ...steered];
}
