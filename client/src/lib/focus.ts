/** Where the focus goes when what had it is gone: to the nearest thing around it that is still there, never to nowhere. */
import { useEffect, type RefObject } from "react";

/** An element with all that is around it, from the inside out. */
export function ancestry(element: Element | null): readonly HTMLElement[] {
  const chain: HTMLElement[] = [];
  for (let at = element; at !== null && at !== document.body; at = at.parentElement) {
    if (at instanceof HTMLElement) chain.push(at);
  }
  return chain;
}

/** What a person thinks of as one thing: a row, a list, a part of the page. */
const PLACE = "li, ul, section, form, main, [role=dialog]";

/** Gives the focus to the first of `chain`, or, when that is gone, to the nearest place around it. */
export function focusNearest(chain: readonly HTMLElement[]): void {
  const [first] = chain;
  const target = first?.isConnected ? first : chain.find((element) => element.isConnected && element.matches(PLACE));
  if (target === undefined) return;
  if (target !== first && !target.hasAttribute("tabindex")) target.tabIndex = -1;
  target.focus({ preventScroll: true });
}

/** Looks after the focus within `container`: rows and forms come and go there. */
export function useKeptFocus(container: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const node = container.current;
    if (node === null) return undefined;
    let chain: readonly HTMLElement[] = [];
    const onFocus = (event: FocusEvent) => {
      chain = event.target instanceof Element ? ancestry(event.target) : [];
    };
    const observer = new MutationObserver(() => {
      if (document.activeElement !== document.body || chain[0] === undefined || chain[0].isConnected) return;
      // Where nothing of it is left, another page has come.
      if (chain.some((element) => element !== node && element.isConnected && node.contains(element))) focusNearest(chain);
      chain = [];
    });
    node.addEventListener("focusin", onFocus);
    observer.observe(node, { childList: true, subtree: true });
    return () => {
      node.removeEventListener("focusin", onFocus);
      observer.disconnect();
    };
  }, [container]);
}
