/**
 * The transcript as a fold over the log: which event changes what. Pure. Turns, messages and notices stand in order of
 * first appearance.
 */
import { Draft, type Fold } from "@/features/session/draft";
import type { Delta } from "@/protocol/Delta";
import type { Event } from "@/protocol/Event";
import type { Interaction } from "@/protocol/Interaction";
import type { OpenPart } from "@/protocol/OpenPart";
import type { Prompt } from "@/protocol/Prompt";

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
  for (const { turnId, messageId, part } of beside.open) draft.openPart(turnId, messageId, part, true);
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
    case "prompt.steered":
      return draft.steer(event.turnId, event.promptId);
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
      return draft.openPart(event.turnId, event.messageId, event.part, false);
    case "part.finished":
      return draft.finishPart(event.turnId, event.messageId, event.part);
    case "part.removed":
      return draft.removePart(event.messageId, event.partId);
    case "interaction.opened":
      return draft.ask(event.interaction);
    case "interaction.resolved":
      return draft.settle(event.interactionId, event);
    case "sandbox.setup_output":
      return draft.setupOutput(event.text);
    case "note.todos":
    case "session.created":
    case "session.titled":
    case "session.archived":
    case "session.shared":
    case "session.joined":
    case "session.unshared":
    case "prompt.moved":
    case "sandbox.snapshot":
      return;
    case "turn.aborting":
    case "turn.retrying":
    case "session.phase":
    case "sandbox.step":
    case "sandbox.ready":
    case "sandbox.trouble":
    case "sandbox.egress_refused":
    case "budget.warned":
    case "budget.reached":
    case "git.pushed":
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
      | "sandbox.ready" | "sandbox.trouble" | "sandbox.egress_refused" | "git.cloned"
      | "git.pushed" | "budget.warned" | "budget.reached";
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
    case "budget.warned":
    case "budget.reached":
      return draft.notice({ seq, at, body: { kind: "budget", usedUp: event.type === "budget.reached", notice: event.notice } });
    case "git.pushed":
      return draft.notice({ seq, at, body: { kind: "pushed", branch: event.branch, commit: event.commit } });
    case "sandbox.egress_refused": {
      const { host, port, reason } = event;
      return draft.notice({ seq, at, body: { kind: "refused", host, port, reason } });
    }
    case "sandbox.ready": {
      const startup = draft.startup({ readyAt: at });
      const first = startup?.steps[0]?.at;
      const tookMs = first === undefined ? {} : { tookMs: Date.parse(at) - Date.parse(first) };
      const where = { ...(startup?.branch ? { branch: startup.branch } : {}), ...(startup?.commit ? { commit: startup.commit } : {}) };
      return draft.notice({ seq, at, body: { kind: "ready", ...tookMs, ...where } });
    }
  }
}
