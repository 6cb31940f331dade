/**
 * Dragging a row of a list by its handle, with mouse, pen or finger. The list is shown in the order that a drop would bring
 * about; what a drop means is the caller's business. Rows are of one height.
 */
import { useState, type PointerEvent as ReactPointerEvent } from "react";

/** See the head of the file. */
export interface Reorder {
  /** The ids in the order to show. */
  readonly shown: readonly string[];
  /** The one that is being dragged. */
  readonly dragged: string | undefined;
  /** Belongs on the handle of the row with this id. */
  readonly onPointerDown: (id: string, event: ReactPointerEvent<HTMLElement>) => void;
}

const EDGE = 20;
const STEP = 6;

/** `onDrop` gets the id and its new index among `ids`. */
export function useReorder(ids: readonly string[], onDrop: (id: string, at: number) => void): Reorder {
  const [drag, setDrag] = useState<{ id: string; at: number } | null>(null);

  const onPointerDown = (id: string, event: ReactPointerEvent<HTMLElement>) => {
    const row = event.currentTarget.closest("li");
    const node = row?.parentElement;
    if (event.button !== 0 || !row || !node) return;
    const from = ids.indexOf(id);
    const height = row.offsetHeight;
    const startY = event.clientY + node.scrollTop;
    let at = from;
    const { pointerId } = event;
    const move = (moved: PointerEvent) => {
      if (moved.pointerId !== pointerId) return;
      const frame = node.getBoundingClientRect();
      if (moved.clientY < frame.top + EDGE) node.scrollTop -= STEP;
      if (moved.clientY > frame.bottom - EDGE) node.scrollTop += STEP;
      const rows = Math.round((moved.clientY + node.scrollTop - startY) / height);
      at = Math.max(0, Math.min(ids.length - 1, from + rows));
      setDrag({ id, at });
    };
    const over = new AbortController();
    const { signal } = over;
    const end = (drop: boolean) => {
      over.abort();
      setDrag(null);
      if (drop && at !== from) onDrop(id, at);
    };
    // On the window: a row that changes its place in the page loses the pointer.
    window.addEventListener("pointermove", move, { signal });
    window.addEventListener("pointerup", () => end(true), { signal });
    window.addEventListener("pointercancel", () => end(false), { signal });
    const onKey = (key: KeyboardEvent) => {
      if (key.key !== "Escape") return;
      // It calls off the drag, not the turn.
      key.preventDefault();
      end(false);
    };
    window.addEventListener("keydown", onKey, { signal, capture: true });
  };

  const others = drag ? ids.filter((id) => id !== drag.id) : ids;
  const shown = drag && ids.includes(drag.id) ? others.toSpliced(drag.at, 0, drag.id) : ids;
  return { shown, dragged: drag?.id, onPointerDown };
}
