/** A limit while somebody edits it: left open, a number that is still text, or none at all. Pure. */
import type { Limit } from "@/protocol/Limit";

/** See the head of the file. */
export interface LimitDraft {
  readonly kind: "open" | "most" | "unlimited";
  readonly most: string;
}

/** This level says nothing. */
export const LEFT_OPEN: LimitDraft = { kind: "open", most: "" };
const MOST = 1_000_000;

/** What is said now, to be edited. */
export function limitDraft(said: Limit | undefined): LimitDraft {
  if (said === undefined) return LEFT_OPEN;
  return said === "unlimited" ? { kind: "unlimited", most: "" } : { kind: "most", most: String(said) };
}

/** What was written: a limit, nothing (left open), or what is wrong with it. */
export function limitOf(draft: LimitDraft): { limit: Limit } | { open: true } | { problem: string } {
  if (draft.kind === "open") return { open: true };
  if (draft.kind === "unlimited") return { limit: "unlimited" };
  const text = draft.most.trim();
  if (!/^\d{1,7}$/.test(text) || Number(text) > MOST) return { problem: "Write a whole number, 0 to 1,000,000." };
  return { limit: Number(text) };
}
