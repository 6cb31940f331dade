/** The prompts that wait, in order: to be moved, changed, taken back, or run at once. */
import { ArrowDown, ArrowUp, ArrowUpToLine, CornerDownRight, Ellipsis, FastForward, GripVertical, Pencil, Undo2 } from "lucide-react";
import { useLayoutEffect, useRef, useState, type KeyboardEvent } from "react";
import { IconButton } from "@/components/button";
import { Menu, MenuItem, MenuLine } from "@/components/menu";
import { placeAt } from "@/features/session/order";
import { usePowers } from "@/features/session/powers";
import type { WaitingPrompt } from "@/features/session/projection";
import { useReorder, type Reorder } from "@/features/session/use-reorder";
import { cx } from "@/lib/cx";
import type { Place } from "@/protocol/Place";
import type { Prompt } from "@/protocol/Prompt";

interface QueueProps {
  /** The whole queue. */
  readonly waiting: readonly WaitingPrompt[];
  /** How many of its first stand elsewhere. */
  readonly skip: number;
  readonly turnRuns: boolean;
  readonly onMove: (promptId: string, to: Place) => void;
  readonly onPromote: (promptId: string) => void;
  readonly onEdit: (prompt: Prompt) => void;
  readonly onWithdraw: (promptId: string) => void;
}

/** See the head of the file. */
export function Queue({ waiting, skip, ...act }: QueueProps) {
  const rows = waiting.slice(skip);
  const ids = waiting.map((row) => row.prompt.id);
  const [said, setSaid] = useState("");
  const moveTo = (id: string, at: number) => {
    const to = placeAt(ids, id, Math.max(0, Math.min(ids.length - 1, at)));
    if (to === undefined) return;
    setSaid(`Place ${Math.max(0, at) + 1} of ${ids.length}`);
    act.onMove(id, to);
  };
  const reorder = useReorder(rows.map((row) => row.prompt.id), (id, at) => moveTo(id, at + skip));
  if (rows.length === 0) return null;
  const byId = new Map(rows.map((row) => [row.prompt.id, row]));
  return (
    <section data-testid="queue" aria-label="Waiting prompts" className="rounded-lg border bg-surface">
      <h2 className="px-2.5 pt-1.5 text-xs text-muted">Next</h2>
      <p role="status" className="sr-only">
        {said}
      </p>
      <ol className="max-h-44 overflow-y-auto pb-1 max-sm:max-h-33">
        {reorder.shown.map((id) => {
          const row = byId.get(id);
          return row === undefined ? null : <QueueRow key={id} row={row} at={ids.indexOf(id)} count={ids.length} reorder={reorder} moveTo={moveTo} {...act} />;
        })}
      </ol>
    </section>
  );
}

interface RowProps extends Omit<QueueProps, "waiting" | "skip" | "onMove"> {
  readonly row: WaitingPrompt;
  /** Its place in the whole queue, and how many there are. */
  readonly at: number;
  readonly count: number;
  readonly reorder: Reorder;
  readonly moveTo: (promptId: string, at: number) => void;
}

function QueueRow({ row: { prompt, sent }, at, count, reorder, moveTo, turnRuns, onPromote, onEdit, onWithdraw }: RowProps) {
  const { id } = prompt;
  const brief = prompt.text.slice(0, 40);
  const steers = prompt.mode === "steer" && turnRuns;
  const dragged = reorder.dragged === id;
  const { work } = usePowers();
  return (
    <li
      data-testid="queued-prompt"
      data-prompt-id={id}
      data-mode={prompt.mode ?? "queue"}
      className={cx("flex items-center gap-1 pr-1", work ? "pl-1 pointer-coarse:pl-0" : "min-h-7 pl-2.5", dragged && "rounded-md bg-selected")}
    >
      {work ? <Handle id={id} label={`Reorder: ${brief}`} at={at} count={count} disabled={!sent} reorder={reorder} moveTo={moveTo} /> : null}
      {steers ? (
        <span data-testid="steer-label" className="inline-flex shrink-0 items-center gap-1 rounded-sm border border-accent/45 bg-accent-soft px-1 text-xs leading-4 text-accent-ink">
          <CornerDownRight size={11} aria-hidden />
          <span className="sm:hidden">now</span>
          <span className="max-sm:hidden">for the running turn</span>
        </span>
      ) : null}
      <span dir="auto" className={cx("min-w-0 flex-1 truncate text-sm", !sent && "text-muted")}>
        {prompt.text}
      </span>
      {sent ? null : <span className="shrink-0 text-xs text-muted">sending…</span>}
      {work ? (
        <>
          <IconButton label={`Edit: ${brief}`} disabled={!sent} onClick={() => onEdit(prompt)} className="max-sm:hidden">
            <Pencil size={13} />
          </IconButton>
          <IconButton label={`Withdraw: ${brief}`} disabled={!sent} onClick={() => onWithdraw(id)} className="max-sm:hidden">
            <Undo2 size={14} />
          </IconButton>
          <Menu
            trigger={
              <IconButton label={`More: ${brief}`} data-testid="queue-menu" disabled={!sent}>
                <Ellipsis size={15} />
              </IconButton>
            }
          >
            {turnRuns ? (
              <MenuItem icon={<FastForward size={14} />} note="The running turn is stopped. What it has done stays." onSelect={() => onPromote(id)} testId="promote">
                Stop and run this next
              </MenuItem>
            ) : null}
            <MenuItem icon={<ArrowUpToLine size={14} />} disabled={at === 0} onSelect={() => moveTo(id, 0)} testId="move-first">
              Move to the top
            </MenuItem>
            <MenuItem icon={<ArrowUp size={14} />} disabled={at === 0} onSelect={() => moveTo(id, at - 1)} testId="move-up">
              Move up
            </MenuItem>
            <MenuItem icon={<ArrowDown size={14} />} disabled={at === count - 1} onSelect={() => moveTo(id, at + 1)} testId="move-down">
              Move down
            </MenuItem>
            <MenuLine />
            <MenuItem icon={<Pencil size={14} />} moves onSelect={() => onEdit(prompt)}>
              Edit
            </MenuItem>
            <MenuItem icon={<Undo2 size={14} />} moves onSelect={() => onWithdraw(id)}>
              Withdraw
            </MenuItem>
          </Menu>
        </>
      ) : null}
    </li>
  );
}

const KEYS: Record<string, (at: number, count: number) => number> = {
  ArrowUp: (at) => at - 1,
  ArrowDown: (at) => at + 1,
  Home: () => 0,
  End: (_, count) => count - 1,
};

function Handle({ id, label, at, count, disabled, reorder, moveTo }: Pick<RowProps, "at" | "count" | "reorder" | "moveTo"> & { id: string; label: string; disabled: boolean }) {
  const node = useRef<HTMLButtonElement>(null);
  const keyed = useRef(false);
  // A row that moves in the page loses the focus; whoever moves it by key wants to go on.
  useLayoutEffect(() => {
    if (keyed.current) node.current?.focus();
    keyed.current = false;
  }, [at]);
  const onKeyDown = (event: KeyboardEvent) => {
    const to = KEYS[event.key]?.(at, count);
    if (to === undefined) return;
    event.preventDefault();
    if (to < 0 || to >= count) return;
    keyed.current = true;
    moveTo(id, to);
  };
  return (
    <button
      ref={node}
      type="button"
      data-testid="queue-handle"
      aria-label={label}
      title="Drag, or press ↑ ↓"
      disabled={disabled || count < 2}
      onKeyDown={onKeyDown}
      onPointerDown={(event) => reorder.onPointerDown(id, event)}
      className="flex h-7 w-5 shrink-0 cursor-grab touch-none items-center justify-center rounded-md text-faint hover:text-ink disabled:invisible pointer-coarse:h-11 pointer-coarse:w-11"
    >
      <GripVertical size={14} aria-hidden />
    </button>
  );
}
