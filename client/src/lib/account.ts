/** Who is signed in, and what this installation offers: read by every screen. */
import { queryOptions, useQuery } from "@tanstack/react-query";
import { ApiError, call } from "@/lib/api";
import { atLeast } from "@/lib/may";
import type { Installation } from "@/protocol/Installation";
import type { Me } from "@/protocol/Me";
import type { OrgList } from "@/protocol/OrgList";
import type { OrgRole } from "@/protocol/OrgRole";

/** Who is signed in; `null` when nobody is. */
export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: async ({ signal }): Promise<Me | null> => {
    try {
      return await call<Me>("GET", "/api/auth/me", undefined, signal);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
  // A role can be changed at any time; what it no longer lets one do is soon no longer offered.
  staleTime: 30_000,
});

/** What this installation offers. */
export const installationQuery = queryOptions({
  queryKey: ["installation"],
  queryFn: ({ signal }) => call<Installation>("GET", "/api/config", undefined, signal),
  staleTime: 60_000,
});

/** Whether the one who looks has at least this role in their org; `false` until it is known. */
export function useAtLeast(role: OrgRole): boolean {
  const { data: me } = useQuery(meQuery);
  return me ? atLeast(me.role, role) : false;
}

/** The orgs that this person belongs to. */
export const orgsQuery = queryOptions({
  queryKey: ["orgs"],
  queryFn: ({ signal }) => call<OrgList>("GET", "/api/orgs", undefined, signal),
  staleTime: 60_000,
});

/** Acts in another org from now on. A fresh page: nothing of the org before stays in its memory. */
export async function switchOrg(org: string): Promise<void> {
  await call<Me>("POST", "/api/auth/org", { org });
  window.location.assign("/");
}

/** To the sign-in, by a fresh page: nothing of this person stays in its memory. */
export function leave(): void {
  window.location.assign("/sign-in");
}

/** Ends this sign-in. */
export async function signOut(): Promise<void> {
  await call("POST", "/auth/logout").catch(() => undefined);
  leave();
}
