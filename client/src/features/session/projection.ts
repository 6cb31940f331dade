/**
 * From what is known to what is shown: the transcript as rows with stable keys, for the virtual list. Pure. The rows of a
 * turn are kept as long as the turn is the same object, so that a streaming part touches only its own turn.
 */
import type { Asked, Fold, Notice, Startup, Turn } from "@/features/session/draft";
import { enqueued, moved } from "@/features/session/order";
import type { Sent } from "@/features/session/session-store";
import type { SessionState } from "@/features/session/reducer";
import type { Cause } from "@/protocol/Cause";
import type { Part } from "@/protocol/Part";
import type { Prompt } from "@/protocol/Prompt";

/** A tool part. */
export type ToolPart = Extract<Part, { type: "tool" }>;
/** A sub-agent's part. */
export type SubtaskPart = Extract<Part, { type: "subtask" }>;

/** One row of the transcript. */
export type Row =
  | { readonly kind: "beginning"; readonly key: string; readonly more: boolean }
  | { readonly kind: "prompt"; readonly key: string; readonly turnId: string; readonly prompt: Prompt | null; readonly steered?: true }
  | { readonly kind: "pending"; readonly key: string; readonly prompt: Prompt; readonly sent: boolean }
  | { readonly kind: "part"; readonly key: string; readonly turnId: string; readonly part: Part; readonly over: boolean }
  | { readonly kind: "group"; readonly key: string; readonly turnId: string; readonly parts: readonly ToolPart[] }
  | {
      readonly kind: "subtask";
      readonly key: string;
      readonly turnId: string;
      readonly part: SubtaskPart;
      readonly inner: readonly Part[];
      readonly over: boolean;
    }
  | { readonly kind: "asked"; readonly key: string; readonly turnId: string; readonly asked: Asked }
  | { readonly kind: "notice"; readonly key: string; readonly notice: Notice; readonly last: boolean }
  | { readonly kind: "working"; readonly key: string; readonly turnId: string; readonly aborting: boolean }
  | { readonly kind: "footer"; readonly key: string; readonly turn: Turn }
  | { readonly kind: "startup"; readonly key: string; readonly startup: Startup | null; readonly waitSeq: number; readonly turnRuns: boolean }
  | { readonly kind: "failure"; readonly key: string; readonly cause: Cause };

const EXPLORING = new Set(["read", "grep", "glob", "list"]);

/** Whether a part has anything to show: engines open text parts that they never fill. */
function visible(part: Part): boolean {
  switch (part.type) {
    case "text":
    case "reasoning":
      return part.text.trim() !== "";
    case "patch":
      return false;
    case "tool":
      return part.tool !== "todoread";
    case "file":
    case "subtask":
      return true;
  }
}

function explored(part: Part): part is ToolPart {
  return part.type === "tool" && EXPLORING.has(part.tool) && part.status === "completed";
}

/** A prompt that waits; `sent`: the server has it as it stands here. */
export interface WaitingPrompt {
  readonly prompt: Prompt;
  readonly sent: boolean;
}

const promptOf = (row: WaitingPrompt) => row.prompt;
const idOf = (row: WaitingPrompt) => row.prompt.id;

/**
 * The queue with what this person did to it and the server has not answered yet: new prompts, edits and moves applied,
 * withdrawn ones gone. What was refused is not applied, so the queue goes back to what it is.
 */
export function waiting(state: SessionState, outbox: readonly Sent[]): readonly WaitingPrompt[] {
  const known = state.queue.map((prompt): WaitingPrompt => ({ prompt, sent: true }));
  return outbox.filter((sent) => sent.refused === undefined).reduce<readonly WaitingPrompt[]>((rows, sent) => applied(state, rows, sent), known);
}

function applied(state: SessionState, rows: readonly WaitingPrompt[], { frame, at }: Sent): readonly WaitingPrompt[] {
  switch (frame.type) {
    case "edit_prompt":
      return rows.map((row) => (idOf(row) === frame.promptId ? { prompt: { ...row.prompt, text: frame.text }, sent: false } : row));
    case "withdraw_prompt":
      return rows.filter((row) => idOf(row) !== frame.promptId);
    case "move_prompt":
      return moved(rows, idOf, frame.promptId, frame.to);
    case "promote_prompt":
      return moved(rows, idOf, frame.promptId, "first");
    case "prompt": {
      const { promptId: id, text, mode } = frame;
      if (!state.session || id in state.fold.prompts || rows.some((row) => idOf(row) === id)) return rows;
      const { owner: author } = state.session;
      const prompt: Prompt = { id, text, author, state: "queued", createdAt: new Date(at).toISOString(), ...(mode ? { mode } : {}) };
      return enqueued(rows, { prompt, sent: false }, promptOf, state.turn !== null);
    }
    default:
      return rows;
  }
}

/** The first waiting prompt stands in the transcript while no turn runs; the others in the queue above the composer. */
export function pendingFirst(state: SessionState): boolean {
  return state.turn === null && state.session?.phase !== "terminated";
}

/** The rows of the transcript. */
export function project(state: SessionState, outbox: readonly Sent[]): readonly Row[] {
  const { session, fold } = state;
  if (!session) return [];
  const rows: Row[] = [{ kind: "beginning", key: "beginning", more: state.firstSeq > 1 }];
  fold.blocks.forEach((block, at) => {
    if (block.kind === "asked") {
      rows.push({ kind: "asked", key: `asked-${block.asked.interaction.id}`, turnId: block.asked.interaction.turnId, asked: block.asked });
      return;
    }
    if (block.kind === "notice") {
      const last = at === fold.blocks.length - 1;
      if (last && block.notice.body.kind === "failed" && session.phase === "error") return;
      rows.push({ kind: "notice", key: `notice-${block.notice.seq}`, notice: block.notice, last });
      return;
    }
    rows.push(...turnRows(block.turn, fold));
    if (!block.turn.end && state.turn?.id === block.turn.id) rows.push(...workingRow(state, block.turn));
  });
  const first = pendingFirst(state) ? waiting(state, outbox)[0] : undefined;
  if (first) rows.push({ kind: "pending", key: `prompt-${first.prompt.id}`, prompt: first.prompt, sent: first.sent });
  if (waitsForSandbox(state)) {
    const startup = session.phase === "reconnecting" ? null : running(fold.startup);
    rows.push({ kind: "startup", key: "startup", startup, waitSeq: state.waitSeq, turnRuns: state.turn !== null });
  }
  if (session.phase === "error") {
    const cause = session.cause ?? { code: "unknown", message: "The session stopped for a reason that was not recorded." };
    rows.push({ kind: "failure", key: "failure", cause });
  }
  return rows;
}

/** Nothing can move before its sandbox is there. */
function waitsForSandbox({ session, queue }: SessionState): boolean {
  switch (session?.phase) {
    case "starting":
    case "resuming":
    case "reconnecting":
      return true;
    case "pausing":
      return queue.length > 0;
    default:
      return false;
  }
}

function running(startup: Startup | undefined): Startup | null {
  return startup && startup.readyAt === undefined ? startup : null;
}

/** The turn runs and nothing on the screen moves: say that the model is at work. */
function workingRow(state: SessionState, turn: Turn): Row[] {
  if (state.interactions.some((interaction) => interaction.turnId === turn.id)) return [];
  const aborting = state.turn?.aborting ?? false;
  const moving = Object.values(state.fold.open).some((where) => where.turnId === turn.id) && lastVisibleMoves(turn, state.fold);
  return moving && !aborting ? [] : [{ kind: "working", key: `working-${turn.id}`, turnId: turn.id, aborting }];
}

function lastVisibleMoves(turn: Turn, fold: Fold): boolean {
  const parts = turn.items.flatMap((item) => (item.kind === "message" ? item.message.parts : []));
  const last = parts.filter((part) => part.parentPartId === undefined && visible(part)).at(-1);
  return last !== undefined && last.id in fold.open;
}

type Known = (id: string) => Prompt | null;
const cache = new WeakMap<Turn, { prompts: readonly (Prompt | null)[]; rows: readonly Row[] }>();

function turnRows(turn: Turn, fold: Fold): readonly Row[] {
  const known: Known = (id) => fold.prompts[id] ?? null;
  const steered = turn.items.flatMap((item) => (item.kind === "prompt" ? [known(item.promptId)] : []));
  const prompts = [turn.promptId === undefined ? null : known(turn.promptId), ...steered];
  const before = cache.get(turn);
  if (before?.prompts.length === prompts.length && before.prompts.every((prompt, at) => prompt === prompts[at])) return before.rows;
  const rows = makeTurnRows(turn, known);
  cache.set(turn, { prompts, rows });
  return rows;
}

function makeTurnRows(turn: Turn, known: Known): readonly Row[] {
  const turnId = turn.id;
  const over = turn.end !== undefined;
  const promptKey = `prompt-${turn.promptId ?? turnId}`;
  const rows: Row[] = [{ kind: "prompt", key: promptKey, turnId, prompt: turn.promptId === undefined ? null : known(turn.promptId) }];
  const inner = innerParts(turn);
  const settled = new Map(turn.asked.filter((a) => a.resolution && a.interaction.partId).map((a) => [a.interaction.partId, a]));
  for (const item of turn.items) {
    if (item.kind === "notice") {
      rows.push({ kind: "notice", key: `notice-${item.notice.seq}`, notice: item.notice, last: item === turn.items.at(-1) && !over });
      continue;
    }
    if (item.kind === "prompt") {
      rows.push({ kind: "prompt", key: `prompt-${item.promptId}`, turnId, prompt: known(item.promptId), steered: true });
      continue;
    }
    for (const part of item.message.parts) {
      if (part.parentPartId !== undefined || !visible(part)) continue;
      pushPart(rows, turnId, part, inner, over);
      const asked = settled.get(part.id);
      if (asked) rows.push({ kind: "asked", key: `asked-${asked.interaction.id}`, turnId, asked });
    }
  }
  const shown = new Set(rows.map((row) => row.key));
  for (const asked of turn.asked) {
    const key = `asked-${asked.interaction.id}`;
    if (!shown.has(key)) rows.push({ kind: "asked", key, turnId, asked });
  }
  if (over) rows.push({ kind: "footer", key: `footer-${turnId}`, turn });
  return rows;
}

function innerParts(turn: Turn): ReadonlyMap<string, Part[]> {
  const inner = new Map<string, Part[]>();
  for (const item of turn.items) {
    if (item.kind !== "message") continue;
    for (const part of item.message.parts) {
      if (part.parentPartId === undefined || !visible(part)) continue;
      inner.set(part.parentPartId, [...(inner.get(part.parentPartId) ?? []), part]);
    }
  }
  return inner;
}

function pushPart(rows: Row[], turnId: string, part: Part, inner: ReadonlyMap<string, Part[]>, over: boolean): void {
  if (part.type === "subtask") {
    rows.push({ kind: "subtask", key: part.id, turnId, part, inner: inner.get(part.id) ?? [], over });
    return;
  }
  const last = rows.at(-1);
  if (explored(part) && last?.kind === "group") {
    rows[rows.length - 1] = { ...last, parts: [...last.parts, part] };
  } else if (explored(part) && last?.kind === "part" && explored(last.part)) {
    rows[rows.length - 1] = { kind: "group", key: last.key, turnId, parts: [last.part, part] };
  } else {
    rows.push({ kind: "part", key: part.id, turnId, part, over });
  }
}
