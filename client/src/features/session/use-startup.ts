/** The answer of `GET …/startup` for components: fetched while somebody looks, and again when something may have changed it. */
import { queryOptions, useQuery, useQueryClient, type UseQueryResult } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { call } from "@/lib/api";
import type { Startup } from "@/protocol/Startup";

const AT_MOST_EVERY_MS = 1000;
const WHILE_IT_WAITS_MS = 5000;

function startupQuery(sessionId: string) {
  return queryOptions({
    queryKey: ["startup", sessionId],
    queryFn: ({ signal }) => call<Startup>("GET", `/api/sessions/${sessionId}/startup`, undefined, signal),
    staleTime: AT_MOST_EVERY_MS,
    retry: false,
    refetchInterval: ({ state: { data } }) => {
      const waits = data?.waiting !== undefined || data?.starts[0]?.outcome === "going";
      return waits ? WHILE_IT_WAITS_MS : false;
    },
  });
}

/** `waitSeq`: the last event that may have changed the answer (see the reducer). */
export function useStartup(sessionId: string, waitSeq: number): UseQueryResult<Startup> {
  const client = useQueryClient();
  const asked = useRef({ at: 0, seq: waitSeq });
  useEffect(() => {
    if (asked.current.seq === waitSeq) return;
    const wait = Math.max(0, asked.current.at + AT_MOST_EVERY_MS - Date.now());
    const timer = setTimeout(() => {
      asked.current = { at: Date.now(), seq: waitSeq };
      void client.invalidateQueries({ queryKey: ["startup", sessionId] });
    }, wait);
    return () => clearTimeout(timer);
  }, [client, sessionId, waitSeq]);
  return useQuery(startupQuery(sessionId));
}
