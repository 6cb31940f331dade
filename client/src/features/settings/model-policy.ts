/** Which models people of each role can use, while somebody edits it: lists are text. Pure; the server checks each again. */
import { ROLES } from "@/lib/may";
import type { OrgRole } from "@/protocol/OrgRole";
import type { SettingsPatch } from "@/protocol/SettingsPatch";

type Allowed = NonNullable<SettingsPatch["allowedModels"]>;

/** By role, patterns separated by spaces; nothing written: all models. */
export type PolicyText = Readonly<Record<OrgRole, string>>;

/** What is said now, to be edited. */
export function policyText(allowed: Allowed | undefined): PolicyText {
  const of = (role: OrgRole) => allowed?.[role]?.join(" ") ?? "";
  return { viewer: of("viewer"), member: of("member"), admin: of("admin"), owner: of("owner") };
}

/** What was written; a role that is left open is not mentioned. */
export function policyFrom(text: PolicyText): { allowed: Allowed | undefined } | { problem: string } {
  const allowed: Allowed = {};
  for (const role of ROLES) {
    const patterns = [...new Set(text[role].split(/[\s,]+/).filter((word) => word !== ""))];
    const bad = patterns.find((pattern) => pattern !== "*" && !/^[^/\s*]+\/(\*|[^\s*]+)$/.test(pattern));
    if (bad !== undefined) return { problem: `“${bad}”: write provider/model, provider/* or *.` };
    if (patterns.length > 0) allowed[role] = patterns;
  }
  return { allowed: Object.keys(allowed).length === 0 ? undefined : allowed };
}
