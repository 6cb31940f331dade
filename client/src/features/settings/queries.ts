/** What the settings read, and the names under which it is kept. Everything of an org is forgotten when the page loads anew, as it does on switching. */
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { call } from "@/lib/api";
import type { ApiKeyList } from "@/protocol/ApiKeyList";
import type { AuditPage } from "@/protocol/AuditPage";
import type { BudgetList } from "@/protocol/BudgetList";
import type { Dimension } from "@/protocol/Dimension";
import type { GitCredentialList } from "@/protocol/GitCredentialList";
import type { GroupDetail } from "@/protocol/GroupDetail";
import type { GroupList } from "@/protocol/GroupList";
import type { InvitationList } from "@/protocol/InvitationList";
import type { MemberList } from "@/protocol/MemberList";
import type { ModelKeyList } from "@/protocol/ModelKeyList";
import type { PriceList } from "@/protocol/PriceList";
import type { RepositoryList } from "@/protocol/RepositoryList";
import type { SecretList } from "@/protocol/SecretList";
import type { SessionList } from "@/protocol/SessionList";
import type { SettingsPatch } from "@/protocol/SettingsPatch";
import type { SignInList } from "@/protocol/SignInList";
import type { UsageHistory } from "@/protocol/UsageHistory";
import type { UsageReport } from "@/protocol/UsageReport";

function read<T>(path: string) {
  return queryOptions({
    queryKey: ["settings", path],
    queryFn: ({ signal }) => call<T>("GET", path, undefined, signal),
    staleTime: 15_000,
  });
}

/** Where one is signed in. */
export const signInsQuery = read<SignInList>("/api/auth/sign-ins");
/** One's own API keys, or everybody's. */
export const keysQuery = (all: boolean) => read<ApiKeyList>(all ? "/api/keys?all=true" : "/api/keys");
/** Invitations to the org. */
export const invitationsQuery = read<InvitationList>("/api/admin/invitations");
/** What the org says. */
export const orgSettingsQuery = read<SettingsPatch>("/api/admin/settings");
/** What is said of a member. */
export const userSettingsQuery = (id: string) => read<SettingsPatch>(`/api/admin/settings/users/${id}`);
/** What is said of a group. */
export const groupSettingsQuery = (id: string) => read<SettingsPatch>(`/api/admin/settings/groups/${id}`);
/** The groups of the org. */
export const groupsQuery = read<GroupList>("/api/groups");
/** One group with its people. */
export const groupQuery = (id: string) => read<GroupDetail>(`/api/groups/${id}`);

/** Whose model keys: one's own, or the org's. */
export type KeyScope = "own" | "org";
/** Stored keys of providers, without the keys. */
export const modelKeysQuery = (scope: KeyScope) => read<ModelKeyList>(scope === "own" ? "/api/model-keys" : "/api/admin/model-keys");

/** Whose secrets: one's own, the org's, or a repository's. */
export type SecretScope = { readonly of: "own" | "org" } | { readonly of: "repository"; readonly url: string };

/** Where the secrets of a scope are; with a name: that one. */
export function secretPath(scope: SecretScope, name?: string): string {
  const base = scope.of === "own" ? "/api/secrets" : "/api/admin/secrets";
  const of = scope.of === "repository" ? `?url=${encodeURIComponent(scope.url)}` : "";
  return `${base}${name === undefined ? "" : `/${name}`}${of}`;
}

/** Stored secrets, without their values. */
export const secretsQuery = (scope: SecretScope) => read<SecretList>(secretPath(scope));
/** What the org says of its repositories. */
export const repositoriesQuery = read<RepositoryList>("/api/admin/repositories");
/** The org's credentials for git hosts, without the secrets. */
export const gitCredentialsQuery = read<GitCredentialList>("/api/admin/git-credentials");
/** The org's budgets. */
export const budgetsQuery = read<BudgetList>("/api/admin/budgets");
/** The org's own prices. */
export const pricesQuery = read<PriceList>("/api/admin/prices");
/** Sessions that one may see, in use and put away: the newest of each, for their titles. */
export const titlesQueries = [read<SessionList>("/api/sessions?limit=100&filter=all"), read<SessionList>("/api/sessions?limit=100&filter=all&archived=true")] as const;
/** This month. */
export const usageQuery = read<UsageReport>("/api/usage");

/** Days on which something was spent. `subject`: absent for the whole org, and for oneself. */
export function historyQuery(dimension: Dimension, subject: string | undefined, days: number) {
  const of = subject === undefined ? "" : `&subject=${encodeURIComponent(subject)}`;
  return read<UsageHistory>(`/api/usage/history?dimension=${dimension}&days=${days}${of}`);
}

/** The people of the org, a hundred at a time. */
export const membersQuery = infiniteQueryOptions({
  queryKey: ["settings", "members"],
  queryFn: ({ pageParam, signal }) => {
    const cursor = pageParam === null ? "" : `&cursor=${encodeURIComponent(pageParam)}`;
    return call<MemberList>("GET", `/api/admin/members?limit=100${cursor}`, undefined, signal);
  },
  initialPageParam: null as string | null,
  getNextPageParam: (page) => page.cursor ?? null,
  staleTime: 15_000,
});

/** What of the audit log is wanted; empty texts want everything. */
export interface AuditFilter {
  readonly user: string;
  readonly action: string;
  readonly target: string;
  readonly outcome: string;
  /** Days, `2026-11-21`, both included. */
  readonly from: string;
  readonly to: string;
}

/** The address of a page of the audit log. */
export function auditPath(filter: AuditFilter, limit: number, cursor: string | null, format?: "csv"): string {
  const query = new URLSearchParams({ limit: String(limit) });
  for (const name of ["user", "action", "target", "outcome"] as const) {
    const value = filter[name].trim();
    if (value !== "") query.set(name, value);
  }
  const from = dayStart(filter.from, 0);
  const to = dayStart(filter.to, 1);
  if (from !== undefined) query.set("from", from);
  if (to !== undefined) query.set("to", to);
  if (cursor !== null) query.set("cursor", cursor);
  if (format !== undefined) query.set("format", format);
  return `/api/admin/audit?${query.toString()}`;
}

/** When a day of this browser's calendar begins, `later` days on. */
function dayStart(day: string, later: number): string | undefined {
  const [year, month, date] = day.split("-").map(Number);
  if (year === undefined || month === undefined || date === undefined || !Number.isFinite(year + month + date)) return undefined;
  return new Date(year, month - 1, date + later).toISOString();
}

/** The audit log, newest first. */
export function auditQuery(filter: AuditFilter) {
  return infiniteQueryOptions({
    queryKey: ["settings", "audit", filter],
    queryFn: ({ pageParam, signal }) => call<AuditPage>("GET", auditPath(filter, 50, pageParam), undefined, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.cursor ?? null,
    staleTime: 0,
  });
}
