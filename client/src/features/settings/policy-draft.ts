/** A repository's policy while somebody edits it: lists are text. Pure; the server checks each name again. */
import { secretProblem } from "@/features/settings/secret-words";
import type { RepositoryPolicy } from "@/protocol/RepositoryPolicy";

/** See the head of the file. */
export interface PolicyDraft {
  readonly mode: "open" | "allowlist";
  /** One a line. */
  readonly hosts: string;
  readonly setup: string;
  /** Separated by spaces or commas. */
  readonly secrets: string;
}

const HOST = /^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:\d{1,5})?$/i;
const MOST_SCRIPT_BYTES = 64 * 1024;

/** What is said now, to be edited. */
export function policyDraft({ egress, setup, secrets }: RepositoryPolicy): PolicyDraft {
  return { mode: egress.mode, hosts: egress.mode === "allowlist" ? egress.hosts.join("\n") : "", setup: setup ?? "", secrets: secrets.join(" ") };
}

/** What is wrong, by field. */
export type PolicyProblems = Partial<Record<"hosts" | "setup" | "secrets", string>>;

/** The policy that was written, or what is wrong with it. */
export function policyOf(url: string, draft: PolicyDraft): { policy: RepositoryPolicy } | { problems: PolicyProblems } {
  const hosts = words(draft.hosts, /[\s,]+/);
  const secrets = words(draft.secrets, /[\s,]+/);
  const problems: PolicyProblems = {};
  const badHost = hosts.find((host) => !HOST.test(host));
  if (draft.mode === "allowlist" && badHost !== undefined) problems.hosts = `“${badHost}” is no host: write names, not addresses.`;
  const badSecret = secrets.find((name) => secretProblem(name) !== undefined);
  if (badSecret !== undefined) problems.secrets = `“${badSecret}”: ${secretProblem(badSecret) ?? ""}`;
  if (new Blob([draft.setup]).size > MOST_SCRIPT_BYTES) problems.setup = "At most 64 KiB: put the rest into the repository.";
  if (Object.keys(problems).length > 0) return { problems };
  const setup = draft.setup.trim() === "" ? {} : { setup: draft.setup };
  return { policy: { url, egress: draft.mode === "open" ? { mode: "open" } : { mode: "allowlist", hosts }, secrets, ...setup } };
}

function words(text: string, between: RegExp): string[] {
  return [...new Set(text.split(between).filter((word) => word !== ""))];
}
