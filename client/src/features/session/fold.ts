/**
 * The transcript as a fold over the log: turns with their messages and notices, in order of first appearance. Pure; a page
 * may begin anywhere, so whatever an event names and nobody has seen is made as a shell.
 */
import type { Cause } from "@/protocol/Cause";
import type { Delta } from "@/protocol/Delta";
import type { Event } from "@/protocol/Event";
import type { Interaction } from "@/protocol/Interaction";
import type { OpenPart } from "@/protocol/OpenPart";
import type { Part } from "@/protocol/Part";
import type { Prompt } from "@/protocol/Prompt";
import type { Resolution } from "@/protocol/Resolution";
import type { StartStep } from "@/protocol/StartStep";

/** How a turn ended. */
export type TurnEnd = Omit<Extract<Event, { type: "turn.finished" }>, "type" | "turnId" | "promptId" | "seq">;

/** One message of the agent, its parts by `index`. */
export interface FoldMessage {
  readonly id: string;
  readonly parts: readonly Part[];
  readonly cause?: Cause;
}

/** A line between the work: what the person should know and need not answer. */
export interface Notice {
  readonly seq: number;
  readonly at: string;
  readonly body:
    | { readonly kind: "trouble"; readonly cause: Cause }
    | { readonly kind: "ready"; readonly tookMs?: number; readonly branch?: string; readonly commit?: string }
    | { readonly kind: "retry"; readonly attempt: number; readonly message: string; readonly nextAt: string }
    | { readonly kind: "stopping"; readonly by?: string }
    | { readonly kind: "failed"; readonly cause: Cause }
    | { readonly kind: "terminated" };
}

/** What was asked during a turn, and how it was settled. */
export interface Asked {
  readonly interaction: Interaction;
  readonly resolution?: Resolution;
}

/** One run of the agent. */
export interface Turn {
  readonly id: string;
  readonly promptId?: string;
  readonly startedAt?: string;
  readonly items: readonly (
    | { readonly kind: "message"; readonly message: FoldMessage }
    | { readonly kind: "notice"; readonly notice: Notice }
  )[];
  readonly asked: readonly Asked[];
  readonly end?: TurnEnd;
}

/** A turn, or a notice that stands outside any. */
export type Block = { readonly kind: "turn"; readonly turn: Turn } | { readonly kind: "notice"; readonly notice: Notice };

/** The start of a sandbox, step by step. */
export interface Startup {
  readonly generation: number;
  readonly attempt: number;
  readonly steps: readonly { readonly step: StartStep; readonly at: string }[];
  readonly readyAt?: string;
  readonly branch?: string;
  readonly commit?: string;
}

/** Where an open part is, and whether some of its text is missing. */
interface Where {
  readonly turnId: string;
  readonly messageId: string;
  readonly gap: boolean;
}

/** The fold. */
export interface Fold {
  readonly blocks: readonly Block[];
  readonly prompts: Readonly<Record<string, Prompt>>;
  readonly open: Readonly<Record<string, Where>>;
  readonly startup?: Startup;
}

/** Nothing has happened. */
export const EMPTY: Fold = { blocks: [], prompts: {}, open: {} };

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * A batch of changes to a fold: what the batch itself has copied may be written again without another copy, so that a
 * page of events costs one copy of each array and not one an event.
 */
class Draft {
  private readonly fold: Mutable<Fold>;
  private readonly own = new WeakSet();

  constructor(fold: Fold) {
    this.fold = { ...fold };
  }

  done(): Fold {
    return this.fold;
  }

  private owned<T extends object>(value: T, copy: () => T): T {
    if (this.own.has(value)) return value;
    const fresh = copy();
    this.own.add(fresh);
    return fresh;
  }

  private list<T>(items: readonly T[]): T[] {
    return this.owned(items, () => [...items]) as T[];
  }

  private map<V>(entries: Readonly<Record<string, V>>): Record<string, V> {
    return this.owned(entries, () => ({ ...entries }));
  }

  /** The turn, writable; made when nobody has seen it. */
  private turn(id: string): Mutable<Turn> {
    const blocks = (this.fold.blocks = this.list(this.fold.blocks)) as Block[];
    const at = blocks.findLastIndex((block) => block.kind === "turn" && block.turn.id === id);
    const found = blocks[at];
    const known = found?.kind === "turn" ? found.turn : { id, items: [], asked: [] };
    const turn = this.owned<Turn>(known, () => ({ ...known }));
    const block: Block = { kind: "turn", turn };
    if (at < 0) blocks.push(block);
    else blocks[at] = block;
    return turn;
  }

  private updateMessage(turnId: string, messageId: string, change: (message: Mutable<FoldMessage>) => void): void {
    const turn = this.turn(turnId);
    const items = this.list(turn.items);
    turn.items = items;
    const at = items.findLastIndex((item) => item.kind === "message" && item.message.id === messageId);
    const found = items[at];
    const known: FoldMessage = found?.kind === "message" ? found.message : { id: messageId, parts: [] };
    const message = this.owned<FoldMessage>(known, () => ({ ...known }));
    change(message);
    if (at < 0) items.push({ kind: "message", message });
    else items[at] = { kind: "message", message };
  }

  message(turnId: string, messageId: string, cause?: Cause): void {
    this.updateMessage(turnId, messageId, (message) => {
      if (cause) message.cause = cause;
    });
  }

  putPart(turnId: string, messageId: string, part: Part): void {
    this.updateMessage(turnId, messageId, (message) => {
      const parts = this.list(message.parts);
      message.parts = parts;
      const at = parts.findIndex((known) => known.id === part.id);
      if (at >= 0) parts.splice(at, 1);
      const later = parts.findIndex((known) => known.index > part.index);
      parts.splice(later < 0 ? parts.length : later, 0, part);
    });
  }

  openPart(turnId: string, messageId: string, part: Part, keepText: boolean): void {
    const known = keepText ? this.part(part.id) : undefined;
    const had = known ? streamingText(known) : "";
    this.putPart(turnId, messageId, had.length > streamingText(part).length ? withText(part, had) : part);
    const gap = keepText && (this.fold.open[part.id]?.gap ?? false);
    (this.fold.open = this.map(this.fold.open))[part.id] = { turnId, messageId, gap };
  }

  finishPart(turnId: string, messageId: string, part: Part): void {
    this.putPart(turnId, messageId, part);
    this.close(part.id);
  }

  removePart(messageId: string, partId: string): void {
    this.close(partId);
    for (const block of this.fold.blocks.toReversed()) {
      if (block.kind !== "turn") continue;
      const holds = block.turn.items.some((item) => item.kind === "message" && item.message.id === messageId);
      if (!holds) continue;
      this.updateMessage(block.turn.id, messageId, (message) => {
        message.parts = message.parts.filter((part) => part.id !== partId);
      });
      return;
    }
  }

  private close(partId: string): void {
    if (!(partId in this.fold.open)) return;
    this.fold.open = Object.fromEntries(Object.entries(this.fold.open).filter(([id]) => id !== partId));
  }

  /** An open part. */
  part(partId: string): Part | undefined {
    const where = this.fold.open[partId];
    if (!where) return undefined;
    for (const block of this.fold.blocks.toReversed()) {
      if (block.kind !== "turn" || block.turn.id !== where.turnId) continue;
      for (const item of block.turn.items.toReversed()) {
        if (item.kind !== "message" || item.message.id !== where.messageId) continue;
        return item.message.parts.find((part) => part.id === partId);
      }
    }
    return undefined;
  }

  delta({ partId, offset, text, reset }: Delta): void {
    const where = this.fold.open[partId];
    const part = this.part(partId);
    if (!where || !part) return;
    const had = reset ? "" : streamingText(part);
    if (!reset && (where.gap || offset > had.length)) {
      if (!where.gap) (this.fold.open = this.map(this.fold.open))[partId] = { ...where, gap: true };
      return;
    }
    if (reset && where.gap) (this.fold.open = this.map(this.fold.open))[partId] = { ...where, gap: false };
    const news = text.slice(had.length - offset);
    if (news === "" && !reset) return;
    this.putPart(where.turnId, where.messageId, withText(part, had + news));
  }

  prompt(prompt: Prompt): void {
    (this.fold.prompts = this.map(this.fold.prompts))[prompt.id] = prompt;
  }

  editPrompt(id: string, change: Partial<Prompt>): void {
    const known = this.fold.prompts[id];
    if (known) this.prompt({ ...known, ...change });
  }

  startTurn(id: string, promptId: string, at: string): void {
    const turn = this.turn(id);
    turn.promptId = promptId;
    turn.startedAt = at;
    this.editPrompt(promptId, { state: "running" });
  }

  endTurn(id: string, promptId: string, end: TurnEnd): void {
    const turn = this.turn(id);
    turn.promptId = promptId;
    turn.end = end;
    const still = Object.entries(this.fold.open).filter(([, where]) => where.turnId !== id);
    this.fold.open = Object.fromEntries(still);
    this.editPrompt(promptId, { state: end.outcome });
  }

  notice(notice: Notice, turnId?: string): void {
    const last = this.fold.blocks.at(-1);
    const running = turnId ?? (last?.kind === "turn" && !last.turn.end ? last.turn.id : undefined);
    if (running !== undefined) {
      const turn = this.turn(running);
      const items = this.list(turn.items);
      items.push({ kind: "notice", notice });
      turn.items = items;
      return;
    }
    const blocks = this.list(this.fold.blocks);
    blocks.push({ kind: "notice", notice });
    this.fold.blocks = blocks;
  }

  ask(interaction: Interaction): void {
    const turn = this.turn(interaction.turnId);
    if (turn.asked.some((asked) => asked.interaction.id === interaction.id)) return;
    turn.asked = [...turn.asked, { interaction }];
  }

  settle(interactionId: string, resolution: Resolution): void {
    for (const block of this.fold.blocks.toReversed()) {
      if (block.kind !== "turn") continue;
      if (!block.turn.asked.some((asked) => asked.interaction.id === interactionId)) continue;
      const turn = this.turn(block.turn.id);
      turn.asked = turn.asked.map((asked) =>
        asked.interaction.id === interactionId ? { ...asked, resolution } : asked,
      );
      return;
    }
  }

  step(generation: number, attempt: number, step: StartStep, at: string): void {
    const known = this.fold.startup;
    const same = known?.generation === generation && known.attempt === attempt && known.readyAt === undefined;
    const steps = same ? known.steps.filter((done) => done.step !== step) : [];
    this.fold.startup = { ...(same ? known : { generation, attempt }), steps: [...steps, { step, at }] };
  }

  startup(change: Partial<Startup>): Startup | undefined {
    if (this.fold.startup) this.fold.startup = { ...this.fold.startup, ...change };
    return this.fold.startup;
  }
}

/** The text that deltas append to; empty for parts that have none. */
export function streamingText(part: Part): string {
  if (part.type === "text" || part.type === "reasoning") return part.text;
  return part.type === "tool" ? (part.output ?? "") : "";
}

function withText(part: Part, text: string): Part {
  if (part.type === "text" || part.type === "reasoning") return { ...part, text };
  return part.type === "tool" ? { ...part, output: text } : part;
}

/** Folds events, in order of their positions. */
export function foldEvents(fold: Fold, events: readonly Event[]): Fold {
  const draft = new Draft(fold);
  for (const event of events) apply(draft, event);
  return draft.done();
}

/** Applies previews of open parts. */
export function foldDeltas(fold: Fold, deltas: readonly Delta[]): Fold {
  const draft = new Draft(fold);
  for (const delta of deltas) draft.delta(delta);
  return draft.done();
}

/** What is known beside the log. */
export interface Beside {
  readonly open: readonly OpenPart[];
  readonly interactions: readonly Interaction[];
  readonly prompts: readonly Prompt[];
}

/** Puts what a greeting says about open parts, open questions and waiting prompts over the fold of the log up to it. */
export function overlay(fold: Fold, beside: Beside): Fold {
  const draft = new Draft(fold);
  for (const prompt of beside.prompts) if (!(prompt.id in fold.prompts)) draft.prompt(prompt);
  for (const { turnId, messageId, part } of beside.open) draft.openPart(turnId, messageId, part, false);
  for (const interaction of beside.interactions) draft.ask(interaction);
  return draft.done();
}

/** The open parts with their text so far, in order of appearance: what an {@link overlay} over another fold needs. */
export function openParts(fold: Fold): OpenPart[] {
  const draft = new Draft(fold);
  return Object.entries(fold.open).flatMap(([id, { turnId, messageId }]) => {
    const part = draft.part(id);
    return part ? [{ turnId, messageId, part }] : [];
  });
}

function apply(draft: Draft, event: Event): void {
  switch (event.type) {
    case "prompt.queued":
      return draft.prompt(event.prompt);
    case "prompt.edited":
      return draft.editPrompt(event.promptId, { text: event.text });
    case "prompt.withdrawn":
      return draft.editPrompt(event.promptId, { state: "withdrawn" });
    case "turn.started":
      return draft.startTurn(event.turnId, event.promptId, event.at);
    case "turn.finished": {
      const { type: _type, turnId, promptId, seq: _seq, ...end } = event;
      return draft.endTurn(turnId, promptId, end);
    }
    case "message.started":
      return draft.message(event.turnId, event.messageId);
    case "message.finished":
      return draft.message(event.turnId, event.messageId, event.cause);
    case "part.started":
      return draft.openPart(event.turnId, event.messageId, event.part, true);
    case "part.finished":
      return draft.finishPart(event.turnId, event.messageId, event.part);
    case "part.removed":
      return draft.removePart(event.messageId, event.partId);
    case "interaction.opened":
      return draft.ask(event.interaction);
    case "interaction.resolved":
      return draft.settle(event.interactionId, event);
    case "note.todos":
    case "session.created":
    case "session.titled":
    case "session.archived":
      return;
    case "turn.aborting":
    case "turn.retrying":
    case "session.phase":
    case "sandbox.step":
    case "sandbox.ready":
    case "sandbox.trouble":
    case "git.cloned":
      return applyNotice(draft, event);
    default:
      // A type that this client does not know: newer than the page. Skipped, as event.rs asks.
      return event satisfies never;
  }
}

type NoticeEvent = Extract<
  Event,
  {
    type:
      | "turn.aborting" | "turn.retrying" | "session.phase" | "sandbox.step"
      | "sandbox.ready" | "sandbox.trouble" | "git.cloned";
  }
>;

function applyNotice(draft: Draft, event: NoticeEvent): void {
  const { seq, at } = event;
  switch (event.type) {
    case "turn.aborting": {
      const body = event.by ? ({ kind: "stopping", by: event.by.name } as const) : ({ kind: "stopping" } as const);
      return draft.notice({ seq, at, body }, event.turnId);
    }
    case "turn.retrying": {
      const { attempt, message, nextAt } = event;
      return draft.notice({ seq, at, body: { kind: "retry", attempt, message, nextAt } }, event.turnId);
    }
    case "session.phase":
      if (event.phase === "terminated") return draft.notice({ seq, at, body: { kind: "terminated" } });
      if (event.phase === "error" && event.cause) return draft.notice({ seq, at, body: { kind: "failed", cause: event.cause } });
      return;
    case "sandbox.step":
      return draft.step(event.generation, event.attempt, event.step, at);
    case "git.cloned":
      draft.startup({ branch: event.branch, commit: event.commit });
      return;
    case "sandbox.trouble":
      return draft.notice({ seq, at, body: { kind: "trouble", cause: event.cause } });
    case "sandbox.ready": {
      const startup = draft.startup({ readyAt: at });
      const first = startup?.steps[0]?.at;
      const tookMs = first === undefined ? {} : { tookMs: Date.parse(at) - Date.parse(first) };
      const where = { ...(startup?.branch ? { branch: startup.branch } : {}), ...(startup?.commit ? { commit: startup.commit } : {}) };
      return draft.notice({ seq, at, body: { kind: "ready", ...tookMs, ...where } });
    }
  }
}
