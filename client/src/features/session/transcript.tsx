/** The transcript: a virtual list that opens at its end, stays there while the reader is there, and never jumps otherwise. */
import { elementScroll, useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown } from "lucide-react";
import { memo, useEffect, useState } from "react";
import type { Row } from "@/features/session/projection";
import { RowView, type RowContext } from "@/features/session/row-view";
import { useStickToEnd } from "@/features/session/use-stick-to-end";
import { cx } from "@/lib/cx";

const NEAR_BEGINNING = 4;

const ESTIMATES: Record<Row["kind"], number> = {
  beginning: 40, prompt: 84, pending: 84, part: 36, group: 30, subtask: 36, asked: 60, notice: 30, working: 30, footer: 60,
  startup: 190, failure: 110,
};

/** See the head of the file. */
export function Transcript({ rows, context, more }: { rows: readonly Row[]; context: RowContext; more: boolean }) {
  const { scroller, atEnd, onScroll, moved, toEnd } = useStickToEnd();
  const [left, setLeft] = useState<string | undefined>(undefined);
  // The virtualiser's functions change what they answer without changing identity: the compiler must leave this alone.
  // eslint-disable-next-line react-hooks/incompatible-library
  const list = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => ESTIMATES[rows[index]?.kind ?? "part"],
    getItemKey: (index) => rows[index]?.key ?? index,
    overscan: 8,
    anchorTo: "end",
    scrollToFn: (offset, options, instance) => {
      elementScroll(offset, options, instance);
      moved();
    },
    paddingEnd: 16,
  });
  const { readerAtEnd } = context.store;
  useEffect(() => readerAtEnd(atEnd), [readerAtEnd, atEnd]);
  const items = list.getVirtualItems();
  const firstShown = items[0]?.index ?? 0;
  const shown = items.length;
  const { onOlder, older } = context;
  useEffect(() => {
    if (more && older === "idle" && shown > 0 && firstShown < NEAR_BEGINNING) onOlder();
  }, [more, older, shown, firstShown, onOlder]);

  // Which row was the last one when the reader left the end: what comes after it is new to them.
  const lastKey = rows.at(-1)?.key;
  if (atEnd && left !== undefined) setLeft(undefined);
  if (!atEnd && left === undefined && lastKey !== undefined) setLeft(lastKey);
  const news = left === undefined ? 0 : rows.length - 1 - rows.findIndex((row) => row.key === left);
  return (
    <div className="relative min-h-0 flex-1">
      <div
        ref={scroller}
        data-testid="transcript"
        data-rows={rows.length}
        role="region"
        aria-label="Transcript"
        tabIndex={0}
        onScroll={onScroll}
        className="h-full overflow-y-auto overscroll-contain [overflow-anchor:none] outline-none"
      >
        <div className="relative w-full" style={{ height: list.getTotalSize() }}>
          {items.map((item) => {
            const row = rows[item.index];
            return row === undefined ? null : (
              <div
                key={item.key}
                data-index={item.index}
                ref={list.measureElement}
                className="absolute inset-x-0 top-0 px-3 sm:px-4"
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <div className="mx-auto max-w-190 py-0.5">
                  <MemoRow row={row} context={context} />
                </div>
              </div>
            );
          })}
        </div>
      </div>
      <button
        type="button"
        data-testid="to-end"
        onClick={toEnd}
        className={cx(
          "absolute bottom-3 left-1/2 flex h-7 -translate-x-1/2 items-center gap-1.5 rounded-full border border-line-strong bg-raised px-3 text-xs font-medium shadow-sm hover:bg-hover pointer-coarse:h-11",
          atEnd && "invisible",
        )}
      >
        <ArrowDown size={13} aria-hidden />
        {news > 0 ? `${news} new` : "Latest"}
      </button>
    </div>
  );
}

const MemoRow = memo(RowView, (before, after) => before.context === after.context && same(before.row, after.row));

/** Rows are made anew when their turn changes; what they show changes only when what they hold does. */
function same(before: Row, after: Row): boolean {
  if (before === after) return true;
  const left = Object.entries(before);
  const right = after as unknown as Record<string, unknown>;
  return left.length === Object.keys(after).length && left.every(([key, value]) => Object.is(value, right[key]));
}
