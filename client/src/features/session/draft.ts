/**
 * What the transcript is made of, and how one batch of changes is written into it. Which event changes what is said in
 * `fold.ts`. A page of the log may begin anywhere, so whatever an event names and nobody has seen is made as a shell.
 */
import type { BudgetNotice } from "@/protocol/BudgetNotice";
import type { Cause } from "@/protocol/Cause";
import type { Delta } from "@/protocol/Delta";
import type { EgressReason } from "@/protocol/EgressReason";
import type { Event } from "@/protocol/Event";
import type { Interaction } from "@/protocol/Interaction";
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
    | { readonly kind: "budget"; readonly usedUp: boolean; readonly notice: BudgetNotice }
    | { readonly kind: "pushed"; readonly branch: string; readonly commit: string }
    | { readonly kind: "refused"; readonly host: string; readonly port: number; readonly reason: EgressReason }
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
    // A prompt that the agent took in while it worked on another one.
    | { readonly kind: "prompt"; readonly promptId: string }
  )[];
  readonly asked: readonly Asked[];
  readonly end?: TurnEnd;
}

/** A turn, or what stands outside any: a notice, and what is asked while the session rests. */
export type Block =
  | { readonly kind: "turn"; readonly turn: Turn }
  | { readonly kind: "notice"; readonly notice: Notice }
  | { readonly kind: "asked"; readonly asked: Asked };

/** The start of a sandbox, step by step. */
export interface Startup {
  readonly generation: number;
  readonly attempt: number;
  readonly steps: readonly { readonly step: StartStep; readonly at: string }[];
  readonly readyAt?: string;
  /** The end of what the repository's set-up script has printed. */
  readonly setup?: string;
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

/** So much of the end of a set-up script's output is kept. */
const MOST_SETUP_CHARS = 16 * 1024;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * A batch of changes to a fold: what the batch itself has copied may be written again without another copy, so that a
 * page of events costs one copy of each array and not one an event.
 */
export class Draft {
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
    const blocks = (this.fold.blocks = this.list(this.fold.blocks));
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

  /**
   * A part is being written. Its text so far may be behind what was shown already: what is saved of it lags, and after a
   * crash that is all there is until the runner has sent the rest again. `whole`: none of that text is missing.
   */
  openPart(turnId: string, messageId: string, part: Part, whole: boolean): void {
    const known = this.part(part.id);
    const shown = known ? streamingText(known) : "";
    const told = streamingText(part);
    const ahead = shown.length > told.length && shown.startsWith(told);
    this.putPart(turnId, messageId, ahead ? withText(part, shown) : part);
    const gap = !whole && (this.fold.open[part.id]?.gap ?? false);
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
    // What is known already is not appended again; where it disagrees, the text was written anew since.
    const agrees = had.startsWith(text.slice(0, had.length - offset), offset);
    const next = agrees ? had + text.slice(had.length - offset) : had.slice(0, offset) + text;
    if (next === had && !reset) return;
    this.putPart(where.turnId, where.messageId, withText(part, next));
  }

  prompt(prompt: Prompt): void {
    (this.fold.prompts = this.map(this.fold.prompts))[prompt.id] = prompt;
  }

  editPrompt(id: string, change: Partial<Prompt>): void {
    const known = this.fold.prompts[id];
    if (known) this.prompt({ ...known, ...change });
  }

  startTurn(id: string, promptId: string, at: string): void {
    const before = this.takeNotices(this.fold.prompts[promptId]?.createdAt);
    const turn = this.turn(id);
    turn.items = [...before, ...turn.items];
    turn.promptId = promptId;
    turn.startedAt = at;
    this.editPrompt(promptId, { state: "running" });
  }

  /** The running turn took a prompt in; it ends with that turn, as failed when that had ended already. */
  steer(turnId: string, promptId: string): void {
    const turn = this.turn(turnId);
    if (turn.items.some((item) => item.kind === "prompt" && item.promptId === promptId)) return;
    turn.items = [...turn.items, { kind: "prompt", promptId }];
    this.editPrompt(promptId, { state: turn.end ? "failed" : "steered" });
  }

  /** What was said since a prompt was asked, as items of its turn: the prompt stands above what happened for it. */
  private takeNotices(since: string | undefined): Turn["items"] {
    if (since === undefined) return [];
    const from = this.fold.blocks.findLastIndex((block) => block.kind !== "notice" || block.notice.at < since) + 1;
    const taken = this.fold.blocks.slice(from).flatMap((block) => (block.kind === "notice" ? [block] : []));
    if (taken.length > 0) this.fold.blocks = this.fold.blocks.slice(0, from);
    return taken;
  }

  endTurn(id: string, promptId: string, end: TurnEnd): void {
    const turn = this.turn(id);
    turn.promptId = promptId;
    turn.end = end;
    const still = Object.entries(this.fold.open).filter(([, where]) => where.turnId !== id);
    this.fold.open = Object.fromEntries(still);
    this.editPrompt(promptId, { state: end.outcome });
    for (const item of turn.items) if (item.kind === "prompt") this.editPrompt(item.promptId, { state: end.outcome });
  }

  notice(notice: Notice, turnId?: string): void {
    const last = this.fold.blocks.at(-1);
    const running = turnId ?? (last?.kind === "turn" && !last.turn.end ? last.turn.id : undefined);
    if (running !== undefined) {
      const turn = this.turn(running);
      const items = this.list(turn.items);
      // A message that was begun and holds nothing yet will be filled later: it comes after what is said now.
      const filled = items.findLastIndex((item) => item.kind !== "message" || item.message.parts.some((part) => !blank(part)));
      items.splice(filled + 1, 0, { kind: "notice", notice });
      turn.items = items;
      return;
    }
    const blocks = this.list(this.fold.blocks);
    blocks.push({ kind: "notice", notice });
    this.fold.blocks = blocks;
  }

  ask(interaction: Interaction): void {
    if (interaction.kind === "budget") return this.askAlone(interaction);
    const turn = this.turn(interaction.turnId);
    if (turn.asked.some((asked) => asked.interaction.id === interaction.id)) return;
    turn.asked = [...turn.asked, { interaction }];
  }

  /** Of no turn: asked while the session rests. */
  private askAlone(interaction: Interaction): void {
    const known = this.fold.blocks.some((block) => block.kind === "asked" && block.asked.interaction.id === interaction.id);
    if (!known) this.fold.blocks = [...this.fold.blocks, { kind: "asked", asked: { interaction } }];
  }

  settle(interactionId: string, resolution: Resolution): void {
    this.fold.blocks = this.fold.blocks.map((block) =>
      block.kind === "asked" && block.asked.interaction.id === interactionId ? { kind: "asked", asked: { ...block.asked, resolution } } : block,
    );
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

  /** The set-up script printed something. */
  setupOutput(text: string): void {
    if (this.fold.startup) this.fold.startup = { ...this.fold.startup, setup: `${this.fold.startup.setup ?? ""}${text}`.slice(-MOST_SETUP_CHARS) };
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

function blank(part: Part): boolean {
  return (part.type === "text" || part.type === "reasoning") && part.text === "";
}

function withText(part: Part, text: string): Part {
  if (part.type === "text" || part.type === "reasoning") return { ...part, text };
  return part.type === "tool" ? { ...part, output: text } : part;
}
