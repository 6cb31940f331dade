/**
 * What somebody may do, so that what would be refused is not offered. The server decides (crates/access); this only says
 * the same beforehand. Pure.
 */
import type { Me } from "@/protocol/Me";
import type { OrgRole } from "@/protocol/OrgRole";
import type { Session } from "@/protocol/Session";

const RANK: Record<OrgRole, number> = { viewer: 0, member: 1, admin: 2, owner: 3 };

/** The roles, the least first. */
export const ROLES: readonly OrgRole[] = ["viewer", "member", "admin", "owner"];

/** What whoever has the role does, in a few words. */
export const ROLE_WORDS: Record<OrgRole, string> = {
  viewer: "looks on",
  member: "starts sessions and prompts",
  admin: "does what members do, and answers for the org: people, limits, budgets, audit",
  owner: "does what admins do, and makes and unmakes owners",
};

/** Each role may do all that the ones before it may. */
export function atLeast(role: OrgRole, least: OrgRole): boolean {
  return RANK[role] >= RANK[least];
}

/** What one may do with a session that one sees. */
export interface Powers {
  /** Prompt, steer, answer, stop, wake and rest it; fork it. */
  readonly work: boolean;
  /** Name it, put it away. */
  readonly manage: boolean;
  /** End it for good. */
  readonly end: boolean;
  /** Change who sees it. */
  readonly share: boolean;
  /** Answer for the org: grant more budget, allow a host. */
  readonly oversee: boolean;
}

/** Nothing but looking. */
export const LOOK_ONLY: Powers = { work: false, manage: false, end: false, share: false, oversee: false };

/** What `me` may do with `session`; `guest` is what a share link makes of them there. */
export function powersOn(me: Pick<Me, "user" | "role">, session: Pick<Session, "owner" | "visibility">, guest: OrgRole | null): Powers {
  const member = atLeast(me.role, "member");
  const admin = atLeast(me.role, "admin");
  const owns = member && session.owner.id === me.user.id;
  // An admin who sees somebody else's session answers for it, and does not work on it.
  const invited = session.visibility === "link" && guest !== null && atLeast(guest, "member");
  const shared = member && (session.visibility === "org" || invited);
  return { work: owns || shared, manage: owns || admin, end: owns || admin, share: owns, oversee: admin };
}
