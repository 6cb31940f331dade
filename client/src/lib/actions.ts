/**
 * Everything that can be done from here, in one list: the palette shows it, the keys run it, "?" explains it. Whoever can
 * do something says so while it is mounted.
 */
import { useEffect, useRef } from "react";
import { Store } from "@/lib/store";

/** One thing to do. */
export interface Action {
  readonly id: string;
  readonly label: string;
  readonly group: string;
  /** A key pressed alone, outside of text fields; or `mod+k`. */
  readonly key?: string;
  /** Not in the palette: it only explains a key. */
  readonly keyOnly?: boolean;
  readonly run: () => void;
}

/** The actions that can be done now, in the order in which they were offered. */
export const actions = new Store<readonly Action[]>([]);

/** Offers actions while the component is mounted. The list's ids must stay the same for one `deps` value. */
export function useActions(offer: readonly Action[]): void {
  const latest = useRef(offer);
  useEffect(() => {
    latest.current = offer;
  });
  const shape = offer.map((action) => `${action.id}\u0000${action.label}`).join("\u0001");
  useEffect(() => {
    const mine = latest.current.map((action) => ({
      ...action,
      run: () => latest.current.find((now) => now.id === action.id)?.run(),
    }));
    actions.set([...actions.get(), ...mine]);
    return () => actions.set(actions.get().filter((action) => !mine.includes(action)));
  }, [shape]);
}

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable]") !== null;
}

/** The action that a key press asks for. */
export function actionFor(event: KeyboardEvent): Action | undefined {
  if (event.defaultPrevented || event.isComposing) return undefined;
  const mod = event.metaKey || event.ctrlKey;
  const pressed = `${mod ? "mod+" : ""}${event.key.toLowerCase()}`;
  if (!mod && (typing(event.target) || event.altKey)) return undefined;
  if (!mod && document.querySelector("[role=dialog]")) return undefined;
  return actions.get().findLast((action) => action.key === pressed);
}

/** A key as people know it. */
export function keyName(key: string): string {
  const mac = typeof navigator !== "undefined" && navigator.userAgent.includes("Mac");
  return key
    .split("+")
    .map((part) => (part === "mod" ? (mac ? "⌘" : "Ctrl") : part.length === 1 ? part.toUpperCase() : part))
    .join(mac ? "" : " ");
}
