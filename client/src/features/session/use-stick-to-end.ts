/**
 * Keeps a scrolling list at its end while the reader is there. Content grows and is measured in several steps, so "at the
 * end" is the reader's wish, not the distance at some moment: only a scroll upwards that nobody here made takes it back.
 */
import { useEffect, useEffectEvent, useLayoutEffect, useRef, useState, type RefObject } from "react";

const NEAR = 48;

/** See the head of the file. */
export interface StickToEnd {
  readonly scroller: RefObject<HTMLDivElement | null>;
  readonly atEnd: boolean;
  /** Belongs on the scroller. */
  readonly onScroll: () => void;
  /** Whoever else moves the scroller says so, right after. */
  readonly moved: () => void;
  readonly toEnd: () => void;
}

/** See the head of the file. */
export function useStickToEnd(): StickToEnd {
  const scroller = useRef<HTMLDivElement>(null);
  const [atEnd, setAtEnd] = useState(true);
  const stick = useRef(true);
  const lastTop = useRef(0);

  const moved = () => {
    lastTop.current = scroller.current?.scrollTop ?? 0;
  };
  const settle = () => {
    const node = scroller.current;
    if (!node) return;
    if (stick.current && distance(node) > 1) node.scrollTop = node.scrollHeight;
    moved();
    setAtEnd(stick.current);
  };
  // After every render: whatever was rendered or measured may have moved the end.
  useLayoutEffect(settle);

  const resized = useEffectEvent(settle);
  useEffect(() => {
    const node = scroller.current;
    if (!node) return;
    const observer = new ResizeObserver(() => resized());
    observer.observe(node);
    return () => observer.disconnect();
  }, []);

  const onScroll = () => {
    const node = scroller.current;
    if (!node) return;
    if (distance(node) <= NEAR) stick.current = true;
    else if (node.scrollTop < lastTop.current - 1) stick.current = false;
    moved();
    setAtEnd(stick.current);
  };
  const toEnd = () => {
    stick.current = true;
    settle();
  };
  return { scroller, atEnd, onScroll, moved, toEnd };
}

function distance(node: HTMLElement): number {
  return node.scrollHeight - node.scrollTop - node.clientHeight;
}
