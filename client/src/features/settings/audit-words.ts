/** What an entry of the audit log says, in words; and putting pages of an export together. Pure. */
import type { AuditEntry } from "@/protocol/AuditEntry";

/** What can be filtered by: the beginnings of what entries say, with commas between. */
export const KINDS: readonly { value: string; words: string }[] = [
  { value: "", words: "Everything" },
  { value: "sign-in,POST /auth,DELETE /api/auth", words: "Sign-ins" },
  { value: "POST /api/keys", words: "API keys made" },
  { value: "DELETE /api/keys", words: "API keys revoked" },
  { value: "PATCH /api/admin/members", words: "Roles changed" },
  { value: "DELETE /api/admin/members", words: "People removed" },
  { value: "POST /api/admin/invitations,DELETE /api/admin/invitations,POST /api/auth/invitations", words: "Invitations" },
  { value: writes("groups"), words: "Groups" },
  { value: "PUT /api/admin/settings,PATCH /api/admin/org", words: "Settings and the org’s name" },
  { value: writes("admin/budgets"), words: "Budgets" },
  { value: "POST /api/sessions/:id/interactions,COMMAND answer", words: "Answers and budget extensions" },
  { value: "PUT /api/admin/prices", words: "Prices" },
  { value: `${writes("model-keys")},${writes("admin/model-keys")},USE model-key`, words: "Model keys" },
  { value: `${writes("secrets")},${writes("admin/secrets")},use secret`, words: "Secrets" },
  { value: "PUT /api/admin/repositories,POST /api/sessions/:id/egress", words: "Repositories and network access" },
  { value: `${writes("admin/git-credentials")},git.`, words: "Git credentials" },
  { value: `${writes("sessions/:id/shares")},POST /api/sessions/:id/join,COMMAND share`, words: "Shares" },
  { value: "POST /api/sessions,PATCH /api/sessions,DELETE /api/sessions,COMMAND", words: "Sessions and prompts" },
];

function writes(path: string): string {
  return ["POST", "PUT", "PATCH", "DELETE"].map((method) => `${method} /api/${path}`).join(",");
}

/** `orgDailySessions` → `org daily sessions`. */
export function detailName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

const ACTIONS: readonly [RegExp, string][] = [
  [/^sign-in/, "Signed in"],
  [/^POST \/auth\/logout$/, "Signed out"],
  [/^DELETE \/api\/auth\/sign-ins\/:id$/, "Signed a device out"],
  [/^DELETE \/api\/auth\/sign-ins$/, "Signed out everywhere"],
  [/^POST \/api\/auth\/org$/, "Switched org"],
  [/^POST \/api\/auth\/invitations$/, "Redeemed an invitation"],
  [/^POST \/api\/orgs$/, "Made an org"],
  [/^PATCH \/api\/admin\/org$/, "Renamed the org"],
  [/^POST \/api\/keys$/, "Made an API key"],
  [/^DELETE \/api\/keys\/:id$/, "Revoked an API key"],
  [/^PATCH \/api\/admin\/members\/:id$/, "Changed a role"],
  [/^DELETE \/api\/admin\/members\/:id$/, "Removed somebody"],
  [/^POST \/api\/admin\/invitations$/, "Invited somebody"],
  [/^DELETE \/api\/admin\/invitations\/:id$/, "Withdrew an invitation"],
  [/^PUT \/api\/admin\/settings$/, "Changed the org’s defaults and limits"],
  [/^PUT \/api\/admin\/settings\/users\/:id$/, "Changed somebody’s limits"],
  [/^PUT \/api\/admin\/settings\/groups\/:id$/, "Changed a group’s limits"],
  [/^POST \/api\/groups$/, "Made a group"],
  [/^PATCH \/api\/groups\/:id$/, "Renamed a group"],
  [/^DELETE \/api\/groups\/:id$/, "Removed a group"],
  [/^PUT \/api\/groups\/:id\/members\/:id$/, "Took somebody into a group"],
  [/^DELETE \/api\/groups\/:id\/members\/:id$/, "Took somebody out of a group"],
  [/^PUT \/api\/(admin\/)?model-keys\/[^/]+$/, "Stored a model key"],
  [/^DELETE \/api\/(admin\/)?model-keys\/[^/]+$/, "Removed a model key"],
  [/^PUT \/api\/(admin\/)?secrets\/[^/]+$/, "Stored a secret"],
  [/^DELETE \/api\/(admin\/)?secrets\/[^/]+$/, "Removed a secret"],
  [/^PUT \/api\/admin\/repositories$/, "Changed a repository’s settings"],
  [/^POST \/api\/sessions\/:id\/egress\/allow$/, "Allowed a host"],
  [/^PUT \/api\/admin\/git-credentials\/[^/]+$/, "Stored access to a git host"],
  [/^DELETE \/api\/admin\/git-credentials\/[^/]+$/, "Removed access to a git host"],
  [/^POST \/api\/admin\/budgets$/, "Made a budget"],
  [/^PATCH \/api\/admin\/budgets\/:id$/, "Changed a budget"],
  [/^DELETE \/api\/admin\/budgets\/:id$/, "Removed a budget"],
  [/^PUT \/api\/admin\/prices$/, "Changed the prices"],
  [/^use model-key /i, "Used a model key"],
  [/^use secret /i, "Gave a secret to a sandbox"],
  [/^POST \/api\/sessions$/, "Made a session"],
  [/^PATCH \/api\/sessions\/:id$/, "Changed a session"],
  [/^DELETE \/api\/sessions\/:id$/, "Ended a session"],
  [/^POST \/api\/sessions\/:id\/prompts$/, "Prompted"],
  [/^PATCH \/api\/sessions\/:id\/prompts\/:id$/, "Changed a waiting prompt"],
  [/^DELETE \/api\/sessions\/:id\/prompts\/:id$/, "Withdrew a prompt"],
  [/^POST \/api\/sessions\/:id\/interactions\/:id$/, "Answered a question"],
  [/^POST \/api\/sessions\/:id\/abort$/, "Stopped a turn"],
  [/^POST \/api\/sessions\/:id\/(pause|resume|retry|archive|restore|fork)$/, "$1"],
  [/^POST \/api\/sessions\/:id\/shares$/, "Made a share link"],
  [/^DELETE \/api\/sessions\/:id\/shares\/:id$/, "Removed a share link"],
  [/^POST \/api\/sessions\/:id\/join$/, "Redeemed a share link"],
];
const VERBS: Record<string, string> = {
  pause: "Paused a session", resume: "Resumed a session", retry: "Retried a session", archive: "Archived a session",
  restore: "Restored a session", fork: "Forked a session",
};

/** What was commanded over a session's connection. */
const COMMANDS: Record<string, string> = {
  prompt: "Prompted", edit_prompt: "Changed a waiting prompt", withdraw_prompt: "Withdrew a prompt", move_prompt: "Moved a waiting prompt",
  promote_prompt: "Ran a waiting prompt at once", abort: "Stopped a turn", answer: "Answered a question", rename: "Renamed a session",
  share: "Changed who sees a session", terminate: "Ended a session", ...VERBS,
};

/** In words; `undefined` for what has none: then the entry's own text says it. */
export function actionWords(action: string): string | undefined {
  const command = /^COMMAND (\w+)$/.exec(action)?.[1];
  if (command !== undefined) return COMMANDS[command];
  const known = ACTIONS.find(([pattern]) => pattern.test(action));
  if (!known) return undefined;
  const [pattern, words] = known;
  const verb = words === "$1" ? (pattern.exec(action)?.[1] ?? "") : undefined;
  return verb === undefined ? words : VERBS[verb];
}

/** The same of an entry, which knows more than what was asked for. */
export function entryWords({ action, outcome, details }: Pick<AuditEntry, "action" | "outcome" | "details">): string | undefined {
  if (action === "sign-in" && outcome !== "ok") return "Tried to sign in";
  if (action === "POST /api/sessions/:id/interactions/:id" && details["budget"] !== undefined) return "Extended a budget";
  return actionWords(action);
}

/** `done`, or how it was refused. */
export function outcomeWords(outcome: string): { words: string; ok: boolean } {
  if (outcome === "ok") return { words: "done", ok: true };
  const known: Record<string, string> = {
    "400": "malformed", "401": "not signed in", "402": "budget used up", "403": "not allowed", "404": "no such thing", "409": "conflict",
    "413": "too large", "422": "not acceptable", "429": "too many", "500": "failed", "503": "failed",
  };
  return { words: known[outcome] ?? outcome, ok: false };
}

/** By what kind of credential, from its id. */
export function credentialWords(credential: string): string {
  if (credential.startsWith("key_")) return "API key";
  if (credential.startsWith("ses_") || credential.startsWith("sbx")) return "sandbox";
  if (credential === "github" || credential === "google") return `way of ${credential === "github" ? "GitHub" : "Google"}`;
  return "sign-in";
}

/** Pages of CSV as one: the header line of the first only. */
export function joinCsv(pages: readonly string[]): string {
  return pages.map((page, at) => (at === 0 ? page : page.slice(page.indexOf("\r\n") + 2))).join("");
}
