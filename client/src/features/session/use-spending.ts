/** What the session and its turns cost by the ledger's books: asked for when the page opens, and again when a turn has ended. */
import { queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { call } from "@/lib/api";
import type { SessionUsage } from "@/protocol/SessionUsage";

function spendingQuery(sessionId: string) {
  return queryOptions({
    queryKey: ["spending", sessionId],
    queryFn: ({ signal }) => call<SessionUsage>("GET", `/api/sessions/${sessionId}/usage`, undefined, signal),
    staleTime: 30_000,
    // It only tells more: without it the page is whole.
    retry: false,
  });
}

/** `turnRuns`: its end is when the sums change. */
export function useSpending(sessionId: string, turnRuns: boolean): SessionUsage | undefined {
  const client = useQueryClient();
  const ran = useRef(turnRuns);
  useEffect(() => {
    if (ran.current && !turnRuns) void client.invalidateQueries({ queryKey: ["spending", sessionId] });
    ran.current = turnRuns;
  }, [client, sessionId, turnRuns]);
  return useQuery(spendingQuery(sessionId)).data;
}

/** What a turn cost, in micro-dollars; `undefined` while the books do not tell. */
export function useTurnCost(sessionId: string, turnId: string): number | undefined {
  const { data } = useQuery({ ...spendingQuery(sessionId), enabled: false });
  const of = data?.turns.find(({ subject }) => subject === turnId);
  return of === undefined ? undefined : of.cost;
}
