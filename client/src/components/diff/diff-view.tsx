/** A unified diff with line numbers and signs; colour only repeats the signs. */
import { memo, useMemo, useState } from "react";
import { Button } from "@/components/button";
import { parseDiff, type DiffLine } from "@/components/diff/parse";
import { cx } from "@/lib/cx";

const FIRST_LINES = 200;
const SIGNS = { add: "+", del: "−", same: " ", gap: "" } as const;
const ROWS = { add: "bg-green-soft", del: "bg-red-soft", same: "", gap: "bg-surface text-faint" } as const;

/** See the head of the file. */
export const DiffView = memo(function DiffView({ patch, path }: { patch: string; path: string }) {
  const lines = useMemo(() => parseDiff(patch), [patch]);
  const [all, setAll] = useState(false);
  const shown = all ? lines : lines.slice(0, FIRST_LINES);
  if (lines.length === 0) return <p className="px-3 py-2 text-sm text-muted">No text changed.</p>;
  return (
    <div data-testid="diff" className="overflow-hidden">
      <div tabIndex={0} role="region" aria-label={`Changes of ${path}`} className="max-h-112 overflow-auto">
        <table dir="ltr" className="text-mono w-full border-collapse">
          <caption className="sr-only">Changes of {path}</caption>
          <tbody>
            {shown.map((line, at) => (
              <DiffRow key={at} line={line} />
            ))}
          </tbody>
        </table>
      </div>
      {shown.length < lines.length ? (
        <Button look="ghost" onClick={() => setAll(true)} className="w-full rounded-none border-t border-t-line">
          Show all {lines.length} lines
        </Button>
      ) : null}
    </div>
  );
});

function DiffRow({ line }: { line: DiffLine }) {
  const number = "w-px px-1.5 text-right text-faint tabular-nums select-none align-top";
  if (line.kind === "gap") {
    return (
      <tr className={ROWS.gap}>
        <td colSpan={3} className="px-1.5 select-none text-center">
          ⋯
        </td>
        <td className="px-2">{line.text}</td>
      </tr>
    );
  }
  return (
    <tr className={ROWS[line.kind]}>
      <td className={number}>{line.before}</td>
      <td className={number}>{line.after}</td>
      <td className={cx("w-px px-1 select-none align-top", line.kind === "add" && "text-green", line.kind === "del" && "text-red")}>
        {SIGNS[line.kind]}
      </td>
      <td className="pr-3 break-words whitespace-pre-wrap [overflow-wrap:anywhere]">
        <Marked line={line} />
      </td>
    </tr>
  );
}

function Marked({ line }: { line: DiffLine }) {
  if (!line.mark || line.mark[0] >= line.mark[1]) return line.text || " ";
  const [from, to] = line.mark;
  return (
    <>
      {line.text.slice(0, from)}
      <mark className="rounded-xs text-ink" style={{ background: line.kind === "add" ? "var(--mark-add)" : "var(--mark-del)" }}>
        {line.text.slice(from, to)}
      </mark>
      {line.text.slice(to)}
    </>
  );
}
