/** What an API key can be good for, in words. A key never does more than the person who made it may. Pure. */
import { atLeast } from "@/lib/may";
import type { OrgRole } from "@/protocol/OrgRole";
import type { Scope } from "@/protocol/Scope";

/** A scope with its words; `least`: the role without which it is good for nothing. */
export interface ScopeWords {
  readonly scope: Scope;
  readonly words: string;
  readonly least: OrgRole;
}

// Scopes that the API knows and no route asks for yet (`pulls:write`, `workflows:*`) are not offered: they are good for nothing.
const WORDS: readonly ScopeWords[] = [
  { scope: "sessions:read", words: "Read sessions and their transcripts", least: "member" },
  { scope: "sessions:write", words: "Make, change and end sessions", least: "member" },
  { scope: "prompts:write", words: "Prompt, answer questions, stop turns", least: "member" },
  { scope: "keys:read", words: "List API keys", least: "member" },
  { scope: "keys:write", words: "Make and revoke API keys", least: "member" },
  { scope: "admin:read", words: "Read people, settings, usage, audit log", least: "admin" },
  { scope: "admin:write", words: "Change people, settings, budgets", least: "admin" },
];

/** The scopes that are of use to somebody with this role. */
export function scopesFor(role: OrgRole): readonly ScopeWords[] {
  return WORDS.filter(({ least }) => atLeast(role, least));
}

/** Where a key stands. */
export type KeyState = "live" | "revoked" | "expired";

/** See {@link KeyState}. */
export function keyState(key: { readonly expiresAt?: string; readonly revokedAt?: string }, now: number): KeyState {
  if (key.revokedAt !== undefined) return "revoked";
  return key.expiresAt !== undefined && Date.parse(key.expiresAt) <= now ? "expired" : "live";
}
