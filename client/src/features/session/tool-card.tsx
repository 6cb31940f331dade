/** Tool calls: one line each, open on click, while they print, or when they failed. */
import {
  Ban, Bot, ChevronRight, CircleAlert, FilePen, FileText, FolderSearch, Globe, ListTodo, LoaderCircle, MessageCircleQuestion,
  Search, SquareTerminal, Wrench, type LucideIcon,
} from "lucide-react";
import { memo, useState, type ReactNode } from "react";
import { DiffView } from "@/components/diff/diff-view";
import type { SubtaskPart, ToolPart } from "@/features/session/projection";
import { ToolBody } from "@/features/session/tool-body";
import { groupLine, statusOf, toolLine, took } from "@/features/session/tool-line";
import { cx } from "@/lib/cx";
import { plural } from "@/lib/format";
import type { Part } from "@/protocol/Part";
import type { ToolStatus } from "@/protocol/ToolStatus";

const ICONS: Record<string, LucideIcon> = {
  bash: SquareTerminal, edit: FilePen, write: FilePen, read: FileText, grep: Search, glob: FolderSearch, list: FolderSearch,
  todowrite: ListTodo, webfetch: Globe, websearch: Globe, question: MessageCircleQuestion,
};

type Shown = ToolStatus | "interrupted";

const SPOKEN: Record<Shown, string> = {
  pending: "being prepared",
  running: "running",
  completed: "done",
  error: "failed",
  interrupted: "interrupted",
};

function StatusIcon({ status, icon: Icon }: { status: Shown; icon: LucideIcon }) {
  if (status === "pending" || status === "running") return <LoaderCircle size={14} aria-hidden className="spin text-blue" />;
  if (status === "error") return <CircleAlert size={14} aria-hidden className="text-red" />;
  if (status === "interrupted") return <Ban size={14} aria-hidden className="text-amber" />;
  return <Icon size={14} aria-hidden className="text-muted" />;
}

interface LineProps {
  readonly status: Shown;
  readonly icon: LucideIcon;
  readonly verb: string;
  readonly object: string;
  readonly mono?: boolean;
  readonly result?: string | undefined;
  readonly open: boolean;
  readonly onToggle?: (() => void) | undefined;
}

/** The line itself; a button when there is something behind it. */
function Line({ status, icon, verb, object, mono = false, result, open, onToggle }: LineProps) {
  const inside = (
    <>
      <span className="flex size-5 shrink-0 items-center justify-center">
        <StatusIcon status={status} icon={icon} />
      </span>
      <span className="flex min-w-0 flex-1 items-baseline gap-1.5">
        {verb === "" ? null : <span className="shrink-0 text-muted">{verb}</span>}
        <span dir="auto" className={cx("min-w-0 flex-1 truncate text-left text-ink", mono && "text-mono")}>
          {object}
        </span>
      </span>
      {result === undefined ? null : (
        <span className={cx("shrink-0 text-xs tabular-nums", status === "error" ? "text-red" : "text-muted")}>{result}</span>
      )}
      {status === "completed" ? null : <span className="sr-only">{SPOKEN[status]}</span>}
      {onToggle ? (
        <ChevronRight size={13} aria-hidden className={cx("shrink-0 text-faint transition-transform", open && "rotate-90")} />
      ) : null}
    </>
  );
  const look = "flex min-h-7 w-full min-w-0 items-center gap-1.5 rounded-md px-1 text-sm pointer-coarse:min-h-11";
  if (!onToggle) return <div className={look}>{inside}</div>;
  return (
    <button type="button" aria-expanded={open} onClick={onToggle} className={cx(look, "hover:bg-hover")}>
      {inside}
    </button>
  );
}

function hasBody(part: ToolPart): boolean {
  return part.tool === "bash" || Boolean(part.output) || Boolean(part.error) || Boolean(part.diff) || part.tool === "todowrite";
}

/** One tool call. */
export const ToolCard = memo(function ToolCard({ part, over }: { part: ToolPart; over: boolean }) {
  const [chosen, setChosen] = useState<boolean | null>(null);
  const status = statusOf(part.status, over);
  const printing = status === "running" && part.tool === "bash" && Boolean(part.output);
  const body = hasBody(part);
  const open = body && (chosen ?? (printing || status === "error"));
  const { verb, object, mono, result } = toolLine(part);
  const words = [result, took(part)].filter((text) => text !== undefined).join(" · ");
  return (
    <div data-testid="tool" data-tool={part.tool} data-status={status} className="min-w-0">
      <Line
        status={part.exitCode !== undefined && part.exitCode !== 0 && status === "completed" ? "error" : status}
        icon={ICONS[part.tool] ?? Wrench}
        verb={verb}
        object={object}
        mono={mono}
        result={words === "" ? (status === "interrupted" ? "interrupted" : undefined) : words}
        open={open}
        onToggle={body ? () => setChosen(!open) : undefined}
      />
      {open ? (
        <Body>
          <ToolBody part={part} />
        </Body>
      ) : null}
    </div>
  );
});

function Body({ children }: { children: ReactNode }) {
  return <div className="mt-0.5 mb-1.5 ml-6 overflow-hidden rounded-lg border bg-bg">{children}</div>;
}

/** Several reads and searches in a row. */
export const ToolGroup = memo(function ToolGroup({ parts }: { parts: readonly ToolPart[] }) {
  const [open, setOpen] = useState(false);
  return (
    <div data-testid="tool-group">
      <Line
        status="completed"
        icon={Search}
        verb=""
        object={groupLine(parts)}
        open={open}
        onToggle={() => setOpen(!open)}
      />
      {open ? (
        <div className="ml-5 border-l pl-1.5">
          {parts.map((part) => (
            <ToolCard key={part.id} part={part} over={false} />
          ))}
        </div>
      ) : null}
    </div>
  );
});

/** A sub-agent: its task, and inside what it did. */
export const SubtaskCard = memo(function SubtaskCard({
  part,
  inner,
  over,
  renderPart,
}: {
  part: SubtaskPart;
  inner: readonly Part[];
  over: boolean;
  renderPart: (part: Part) => ReactNode;
}) {
  const [chosen, setChosen] = useState<boolean | null>(null);
  const status = statusOf(part.status, over);
  const open = chosen ?? (status === "running" || status === "error");
  const tools = inner.filter((p) => p.type === "tool").length;
  const words = [tools > 0 ? plural(tools, "tool") : undefined, took(part)].filter((text) => text !== undefined).join(" · ");
  return (
    <div data-testid="tool" data-tool="task" data-status={status}>
      <Line
        status={status}
        icon={Bot}
        verb={part.agent === "" ? "Sub-agent" : part.agent}
        object={part.description}
        result={words === "" ? undefined : words}
        open={open}
        onToggle={() => setChosen(!open)}
      />
      {open ? (
        <div className="ml-2.5 flex flex-col gap-1 border-l pl-3">
          {inner.map((p) => (
            <div key={p.id}>{renderPart(p)}</div>
          ))}
          {part.error === undefined ? null : <p className="text-sm text-red">{part.error}</p>}
          {part.output === undefined || part.output === "" || inner.some((p) => p.type === "text") ? null : (
            <p className="text-sm whitespace-pre-wrap text-muted">{part.output}</p>
          )}
        </div>
      ) : null}
    </div>
  );
});

/** A file that a turn changed: path, counts, and the diff behind it. */
export function ChangedFile({ path, added, removed, note, patch }: {
  path: string;
  added: number;
  removed: number;
  note: string | undefined;
  patch: string | undefined;
}) {
  const [open, setOpen] = useState(false);
  return (
    <li data-testid="changed-file" data-path={path} className="border-t first:border-t-0">
      <button
        type="button"
        disabled={patch === undefined}
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="flex min-h-8 w-full items-center gap-2 px-2.5 text-sm enabled:hover:bg-hover pointer-coarse:min-h-11"
      >
        <ChevronRight
          size={13}
          aria-hidden
          className={cx("shrink-0 text-faint transition-transform", open && "rotate-90", patch === undefined && "invisible")}
        />
        <span dir="ltr" className="text-mono min-w-0 flex-1 truncate text-left">
          {path}
        </span>
        {note === undefined ? null : <span className="text-xs text-muted">{note}</span>}
        {patch === undefined ? (
          <span className="text-xs text-muted">no text diff</span>
        ) : (
          <>
            <span className="text-xs tabular-nums text-green">+{added}</span>
            <span className="text-xs tabular-nums text-red">−{removed}</span>
          </>
        )}
      </button>
      {open && patch !== undefined ? (
        <div className="border-t">
          <DiffView patch={patch} path={path} />
        </div>
      ) : null}
    </li>
  );
}
