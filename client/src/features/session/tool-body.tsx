/** What is behind a tool call's line: command and output, diff, list, or plainly what came back. */
import { Circle, CircleCheck, CircleDot, CircleMinus } from "lucide-react";
import { useMemo, useState } from "react";
import { Button } from "@/components/button";
import { DiffView } from "@/components/diff/diff-view";
import { CopyButton } from "@/components/markdown/code-block";
import { terminalLines, terminalPieces } from "@/components/terminal-output";
import type { ToolPart } from "@/features/session/projection";
import { argument } from "@/features/session/tool-line";
import { workspacePath } from "@/lib/format";
import type { JsonValue } from "@/protocol/serde_json/JsonValue";

const TAIL = 12;
const MOST = 2000;

/** See the head of the file. */
export function ToolBody({ part }: { part: ToolPart }) {
  if (part.tool === "todowrite") return <PlanBody input={part.input} />;
  const path = argument(part.input, "filePath");
  return (
    <>
      {part.tool === "bash" ? <Command text={argument(part.input, "command") ?? ""} /> : null}
      {part.diff === undefined ? null : <DiffView patch={part.diff} path={workspacePath(path ?? "file")} />}
      {part.diff === undefined && part.output !== undefined ? <Output text={part.output} live={part.status === "running"} /> : null}
      {part.error === undefined ? null : (
        <p className="text-mono px-3 py-2 whitespace-pre-wrap text-red [overflow-wrap:anywhere]">{part.error}</p>
      )}
      {part.tool === "bash" ? <Exit part={part} /> : null}
      {part.truncated ? <p className="border-t px-3 py-1 text-xs text-muted">Shortened: the beginning and the end are kept.</p> : null}
    </>
  );
}

function Command({ text }: { text: string }) {
  return (
    <div className="flex items-start gap-1 border-b bg-surface py-1 pr-1 pl-3">
      <pre dir="ltr" className="text-mono min-w-0 flex-1 py-0.5 whitespace-pre-wrap [overflow-wrap:anywhere]">
        <span aria-hidden className="text-faint select-none">
          ${" "}
        </span>
        {text}
      </pre>
      <CopyButton text={text} label="Copy command" />
    </div>
  );
}

function Exit({ part }: { part: ToolPart }) {
  if (part.exitCode === undefined) return null;
  return (
    <p data-testid="exit-code" className={part.exitCode === 0 ? "border-t px-3 py-1 text-xs text-muted" : "border-t px-3 py-1 text-xs text-red"}>
      Exit code {part.exitCode}
    </p>
  );
}

/** The last lines of what was printed; all of it on request. */
export function Output({ text, live }: { text: string; live: boolean }) {
  const [all, setAll] = useState(false);
  const lines = useMemo(() => terminalLines(text), [text]);
  const shown = useMemo(() => lines.slice(all ? -MOST : -TAIL), [lines, all]);
  const pieces = useMemo(() => terminalPieces(shown), [shown]);
  const hidden = lines.length - shown.length;
  if (lines.length === 0) return live ? null : <p className="px-3 py-2 text-sm text-muted">No output.</p>;
  return (
    <div data-testid="tool-output">
      {hidden > 0 || all ? (
        <Button look="ghost" onClick={() => setAll(!all)} className="h-7 w-full rounded-none border-b border-b-line text-xs">
          {all ? "Show the end only" : `Show ${Math.min(hidden, MOST)} more lines`}
        </Button>
      ) : null}
      <pre
        tabIndex={0}
        aria-label="Output"
        dir="ltr"
        className="text-mono max-h-112 overflow-auto px-3 py-2 whitespace-pre-wrap [overflow-wrap:anywhere]"
      >
        {pieces.map((piece, at) => (
          <span key={at} style={{ color: piece.color, fontWeight: piece.bold ? 600 : undefined, fontStyle: piece.dim ? "italic" : undefined }}>
            {piece.text}
          </span>
        ))}
      </pre>
    </div>
  );
}

const TODO_ICONS = {
  completed: <CircleCheck size={14} className="text-green" aria-hidden />,
  in_progress: <CircleDot size={14} className="text-blue" aria-hidden />,
  cancelled: <CircleMinus size={14} className="text-faint" aria-hidden />,
  pending: <Circle size={14} className="text-faint" aria-hidden />,
} as const;

const TODO_WORDS: Record<string, string> = { completed: "done", in_progress: "in progress", cancelled: "cancelled", pending: "open" };

/** One entry of the agent's list. */
export function TodoLine({ content, status }: { content: string; status: string }) {
  const icon = status in TODO_ICONS ? TODO_ICONS[status as keyof typeof TODO_ICONS] : TODO_ICONS.pending;
  const over = status === "completed" || status === "cancelled";
  return (
    <li className="flex items-start gap-2 py-0.5 text-sm" data-status={status}>
      <span className="mt-0.75 shrink-0">{icon}</span>
      <span dir="auto" className={over ? "text-muted line-through decoration-line-strong" : "text-ink"}>
        {content}
        <span className="sr-only">, {TODO_WORDS[status] ?? status}</span>
      </span>
    </li>
  );
}

function PlanBody({ input }: { input: JsonValue }) {
  const todos = typeof input === "object" && input !== null && !Array.isArray(input) ? input["todos"] : undefined;
  if (!Array.isArray(todos)) return null;
  return (
    <ul className="px-3 py-1.5">
      {todos.map((todo, at) => (
        <TodoLine key={at} content={argument(todo, "content") ?? ""} status={argument(todo, "status") ?? "pending"} />
      ))}
    </ul>
  );
}
