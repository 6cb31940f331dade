/** One row of the transcript, whatever it is. */
import {
  Brain, ChevronRight, CircleAlert, CircleStop, CornerDownRight, Info, Paperclip, Pencil, RotateCcw,
  TriangleAlert, Undo2,
} from "lucide-react";
import { memo, useState, type ReactNode } from "react";
import { Card, DemoBadge } from "@/components/bits";
import { Button, IconButton } from "@/components/button";
import { Markdown } from "@/components/markdown/markdown";
import type { Notice } from "@/features/session/draft";
import { AskedRow } from "@/features/session/interaction-card";
import { usePowers } from "@/features/session/powers";
import type { Row } from "@/features/session/projection";
import type { SessionStore } from "@/features/session/session-store";
import { StartupCard } from "@/features/session/startup-card";
import { RefusedHost } from "@/features/session/refused-host";
import { SubtaskCard, ToolCard, ToolGroup } from "@/features/session/tool-card";
import { TurnFooter } from "@/features/session/turn-footer";
import { useNow } from "@/lib/clock";
import { cx } from "@/lib/cx";
import { between, clock, duration } from "@/lib/format";
import { useModel } from "@/lib/models";
import { dollars } from "@/lib/money";
import type { Cause } from "@/protocol/Cause";
import type { Part } from "@/protocol/Part";
import type { Prompt } from "@/protocol/Prompt";
import type { Remedy } from "@/protocol/Remedy";

/** What rows need beside themselves. */
export interface RowContext {
  readonly store: SessionStore;
  readonly model: string;
  /** The interactions whose answer is on its way. */
  readonly answering: ReadonlySet<string>;
  readonly onEdit: (prompt: Prompt) => void;
  readonly onWithdraw: (promptId: string) => void;
  readonly onFork: (turnId: string) => void;
  readonly onRemedy: (remedy: Remedy) => void;
  /** Shows all about starts and watchdogs. */
  readonly onStartup: () => void;
  readonly onOlder: () => void;
  readonly older: "idle" | "loading" | "failed";
}

/** See the head of the file. */
export function RowView({ row, context }: { row: Row; context: RowContext }): ReactNode {
  const { store } = context;
  switch (row.kind) {
    case "beginning":
      return <Beginning more={row.more} context={context} />;
    case "prompt":
      return <PromptRow prompt={row.prompt} turnId={row.turnId} steered={row.steered ?? false} model={row.prompt?.model ?? context.model} />;
    case "pending":
      return <PendingRow prompt={row.prompt} sent={row.sent} context={context} />;
    case "part":
      return <PartView part={row.part} over={row.over} />;
    case "group":
      return <ToolGroup parts={row.parts} />;
    case "subtask":
      return <SubtaskCard part={row.part} inner={row.inner} over={row.over} renderPart={(part) => <PartView part={part} over={row.over} />} />;
    case "asked":
      return <AskedRow asked={row.asked} store={store} sending={context.answering.has(row.asked.interaction.id)} />;
    case "notice":
      return <NoticeRow notice={row.notice} last={row.last} sessionId={store.id} />;
    case "working":
      return <Working aborting={row.aborting} onWhy={context.onStartup} />;
    case "footer":
      return <TurnFooter turn={row.turn} context={context} />;
    case "startup":
      return (
        <StartupCard
          sessionId={store.id}
          live={row.startup}
          waitSeq={row.waitSeq}
          turnRuns={row.turnRuns}
          onRemedy={context.onRemedy}
          onDetails={context.onStartup}
        />
      );
    case "failure":
      return <Failure cause={row.cause} context={context} />;
  }
}

function Failure({ cause, context }: { cause: Cause; context: RowContext }) {
  const { work } = usePowers();
  return (
    <div className="pt-2">
      <Card
        tone="red"
        role="alert"
        testId="failure"
        icon={<CircleAlert size={16} aria-hidden />}
        title="The session stopped"
        actions={
          <>
            {work ? (
              <Button look="primary" data-testid="retry" onClick={() => context.store.send({ type: "retry" })}>
                <RotateCcw size={14} aria-hidden />
                Retry
              </Button>
            ) : null}
            <Button look="ghost" onClick={context.onStartup}>
              All starts and watchdogs
            </Button>
          </>
        }
      >
        {cause.message}
      </Card>
    </div>
  );
}

function Beginning({ more, context }: { more: boolean; context: RowContext }) {
  if (!more) return <p className="pt-4 pb-1 text-xs text-faint">Beginning of the session</p>;
  return (
    <div className="flex items-center gap-2 pt-4 pb-1 text-xs text-muted">
      {context.older === "failed" ? "Older events did not load." : "Loading older events…"}
      {context.older === "failed" ? (
        <Button look="ghost" onClick={context.onOlder} className="h-7">
          Try again
        </Button>
      ) : null}
    </div>
  );
}

function PromptRow({ prompt, turnId, steered, model }: { prompt: Prompt | null; turnId: string; steered: boolean; model: string }) {
  const info = useModel(model);
  return (
    <article
      data-testid={steered ? "steered-prompt" : "turn"}
      data-turn-id={turnId}
      aria-label={steered ? "Prompt during the turn" : "Prompt"}
      className={cx("rounded-lg border bg-surface px-3 py-2", steered ? "my-2" : "mt-4")}
    >
      <header className="flex items-center gap-1.5 text-xs text-muted">
        {steered ? <CornerDownRight size={13} aria-hidden className="shrink-0" /> : null}
        <span className="font-medium text-ink">{prompt?.author.name ?? "Prompt"}</span>
        {prompt ? <PromptTime at={prompt.createdAt} /> : null}
        {steered ? <span>· told to the agent while it worked</span> : null}
        {steered && prompt?.model === undefined ? null : (
          <span className="ml-auto flex items-center gap-1.5">
            {info.name}
            {info.demo ? <DemoBadge /> : null}
          </span>
        )}
      </header>
      {prompt ? <PromptText text={prompt.text} /> : <p className="text-sm text-muted">This prompt is further up; scroll there to load it.</p>}
    </article>
  );
}

function PromptTime({ at }: { at: string }) {
  const now = useNow(60_000);
  return (
    <time dateTime={at} className="whitespace-nowrap">
      {clock(at, now)}
    </time>
  );
}

const PROMPT_CHARS = 3000;

function PromptText({ text }: { text: string }) {
  const [all, setAll] = useState(false);
  const long = text.length > PROMPT_CHARS;
  return (
    <div className="mt-0.5">
      <p dir="auto" data-testid="prompt-text" className="whitespace-pre-wrap [overflow-wrap:anywhere]">
        {long && !all ? `${text.slice(0, PROMPT_CHARS)}…` : text}
      </p>
      {long ? (
        <Button look="ghost" onClick={() => setAll(!all)} className="mt-1 h-7">
          {all ? "Show less" : "Show all of it"}
        </Button>
      ) : null}
    </div>
  );
}

function PendingRow({ prompt, sent, context }: { prompt: Prompt; sent: boolean; context: RowContext }) {
  const { work } = usePowers();
  return (
    <article data-testid="pending-prompt" data-prompt-id={prompt.id} aria-label="Waiting prompt" className="mt-4 rounded-lg border border-dashed border-line-strong bg-surface px-3 py-2">
      <header className="flex items-center gap-1.5 text-xs text-muted">
        {/* One that is on its way is one's own, whoever owns the session. */}
        <span className="font-medium text-ink">{sent ? prompt.author.name : "You"}</span>
        <span>{sent ? "waits to run" : "being sent…"}</span>
        {sent && work ? (
          <span className="-my-0.5 -mr-1.5 ml-auto flex pointer-coarse:-my-2">
            <IconButton label="Edit this prompt" className="size-6" onClick={() => context.onEdit(prompt)}>
              <Pencil size={13} />
            </IconButton>
            <IconButton
              label="Withdraw this prompt"
              className="size-6"
              onClick={() => context.onWithdraw(prompt.id)}
            >
              <Undo2 size={13} />
            </IconButton>
          </span>
        ) : null}
      </header>
      <PromptText text={prompt.text} />
    </article>
  );
}

/** One part of the agent's work. */
const PartView = memo(function PartView({ part, over }: { part: Part; over: boolean }) {
  const growing = part.endedAt === undefined && !over;
  switch (part.type) {
    case "text":
      return (
        <div data-testid="text-part" className="px-1 py-1">
          <Markdown text={part.text} growing={growing} />
        </div>
      );
    case "reasoning":
      return <Reasoning part={part} growing={growing} />;
    case "tool":
      return <ToolCard part={part} over={over} />;
    case "file":
      return (
        <p className="flex items-center gap-2 px-1 text-sm">
          <Paperclip size={14} aria-hidden className="text-muted" />
          {part.url === undefined ? part.name : <a href={part.url} className="text-accent-ink underline">{part.name}</a>}
          <span className="text-xs text-muted">{part.mime}</span>
        </p>
      );
    case "patch":
    case "subtask":
      return null;
  }
});

function Reasoning({ part, growing }: { part: Extract<Part, { type: "reasoning" }>; growing: boolean }) {
  const [chosen, setChosen] = useState<boolean | null>(null);
  const open = chosen ?? growing;
  const took = part.endedAt === undefined ? undefined : between(part.startedAt, part.endedAt);
  const words = growing ? "Thinking…" : took === undefined ? "Thought" : `Thought for ${duration(took)}`;
  return (
    <div data-testid="reasoning">
      <button
        type="button"
        aria-expanded={open}
        onClick={() => setChosen(!open)}
        className="flex min-h-7 items-center gap-1.5 rounded-md px-1 pr-2 text-sm text-muted hover:bg-hover"
      >
        <span className="flex size-5 items-center justify-center">
          <Brain size={14} aria-hidden className={growing ? "pulse" : undefined} />
        </span>
        {words}
        <ChevronRight size={13} aria-hidden className={cx("text-faint transition-transform", open && "rotate-90")} />
      </button>
      {open ? (
        <div className="ml-3 border-l pb-1 pl-4 text-sm text-muted">
          <Markdown text={part.text} growing={growing} />
        </div>
      ) : null}
    </div>
  );
}

const LONG_MS = 10_000;

function Working({ aborting, onWhy }: { aborting: boolean; onWhy: () => void }) {
  const [since] = useState(() => Date.now());
  const long = useNow(LONG_MS / 2) - since >= LONG_MS;
  return (
    <div className="flex min-h-7 items-center gap-1 px-1">
      <p data-testid="working" role="status" className="pulse text-sm text-muted">
        {aborting ? "Stopping…" : "Thinking…"}
      </p>
      {long ? (
        <Button look="ghost" data-testid="why" onClick={onWhy} className="h-7 px-2 text-xs">
          Why does it wait?
        </Button>
      ) : null}
    </div>
  );
}

function NoticeRow({ notice, last, sessionId }: { notice: Notice; last: boolean; sessionId: string }) {
  const { body } = notice;
  if (body.kind === "refused") return <RefusedHost sessionId={sessionId} {...body} />;
  const warn = body.kind === "trouble" || body.kind === "retry" || body.kind === "failed" || body.kind === "budget";
  const Icon = warn ? TriangleAlert : body.kind === "stopping" || body.kind === "terminated" ? CircleStop : Info;
  return (
    <p data-testid="notice" data-kind={body.kind} className="flex min-h-7 items-start gap-1.5 px-1 py-1 text-sm text-muted">
      <span className="flex size-5 shrink-0 items-center justify-center">
        <Icon size={14} aria-hidden className={warn ? "text-amber" : undefined} />
      </span>
      <span className="min-w-0 [overflow-wrap:anywhere]">
        {body.kind === "retry" ? <RetryWords body={body} live={last} /> : noticeWords(body)}
      </span>
    </p>
  );
}

function RetryWords({ body, live }: { body: Extract<Notice["body"], { kind: "retry" }>; live: boolean }) {
  const now = useNow(live ? 1000 : null);
  const left = Date.parse(body.nextAt) - now;
  const words = body.message.replace(/[.:]$/, "");
  if (!live || left <= 0) return `${words}: tried again (attempt ${body.attempt + 1})`;
  return `${words}: trying again in ${Math.ceil(left / 1000)} s (attempt ${body.attempt + 1})`;
}

function noticeWords(body: Exclude<Notice["body"], { kind: "retry" | "refused" }>): string {
  switch (body.kind) {
    case "budget": {
      const { what, spent, limit } = body.notice;
      const stands = `${what}: ${dollars(spent)} of ${dollars(limit)} is spent.`;
      return body.usedUp ? `${stands} The agent is asked for a hand-over note; then the session rests.` : `${stands} At the limit the session rests.`;
    }
    case "pushed":
      return `Pushed to ${body.branch} at ${body.commit.slice(0, 7)}`;
    case "trouble":
    case "failed":
      return body.cause.message;
    case "ready": {
      const where = body.branch === undefined ? "" : ` · ${body.branch}${body.commit === undefined ? "" : ` at ${body.commit.slice(0, 7)}`}`;
      return `Sandbox ready${body.tookMs === undefined ? "" : ` in ${duration(body.tookMs)}`}${where}`;
    }
    case "stopping":
      return body.by === undefined ? "Stopping: the turn took too long" : `${body.by} stopped the turn`;
    case "terminated":
      return "The session was ended. Its transcript stays.";
  }
}
