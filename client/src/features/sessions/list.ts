/** The list of sessions: pages by REST, kept live by the EventBus. */
import { infiniteQueryOptions, type InfiniteData, type QueryClient } from "@tanstack/react-query";
import { meQuery } from "@/lib/account";
import { call } from "@/lib/api";
import { LiveSocket, socketUrl, type LinkState } from "@/lib/live-socket";
import { Store } from "@/lib/store";
import type { BusFrame } from "@/protocol/BusFrame";
import type { CreateSession } from "@/protocol/CreateSession";
import type { Session } from "@/protocol/Session";
import type { SessionList } from "@/protocol/SessionList";

const WHICH = { open: "", archived: "&archived=true", all: "&filter=all" } as const;

function listQuery(which: keyof typeof WHICH) {
  return infiniteQueryOptions({
    queryKey: ["sessions", which],
    queryFn: ({ pageParam, signal }) => {
      const cursor = pageParam === null ? "" : `&cursor=${encodeURIComponent(pageParam)}`;
      return call<SessionList>("GET", `/api/sessions?limit=50${WHICH[which]}${cursor}`, undefined, signal);
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.cursor ?? null,
    staleTime: 60_000,
  });
}

/** This person's sessions, and those that links share with them, that were not put away; newest first, fifty at a time. */
export const sessionsQuery = listQuery("open");
/** Those that were put away. */
export const archivedQuery = listQuery("archived");
/** All of the org that this person may see. The feed does not tell of them: they are asked for again now and then. */
export const everybodysQuery = { ...listQuery("all"), refetchInterval: 15_000 };
const EVERY_LIST = ["sessions"];

/** Makes a session; the id is the client's, so that repeating is harmless. */
export function createSession(body: CreateSession): Promise<Session> {
  return call<Session>("POST", "/api/sessions", body);
}

/** Takes a session back out of the archive. */
export function restoreSession(id: string): Promise<Session> {
  return call<Session>("POST", `/api/sessions/${id}/restore`);
}

type Pages = InfiniteData<SessionList>;

/** The pages with one session put in, in place of what they had of it; new ones stand first. */
export function withSession(pages: Pages, session: Session): Pages {
  const newer = (known: Session) => (known.headSeq > session.headSeq ? known : session);
  const changed = pages.pages.map((page) => ({
    ...page,
    sessions: page.sessions.map((known) => (known.id === session.id ? newer(known) : known)),
  }));
  const found = pages.pages.some((page) => page.sessions.some((known) => known.id === session.id));
  const [first, ...rest] = changed;
  if (found || !first) return { ...pages, pages: changed };
  return { ...pages, pages: [{ ...first, sessions: [session, ...first.sessions] }, ...rest] };
}

function withoutSession(pages: Pages, id: string): Pages {
  const keep = (page: SessionList) => ({ ...page, sessions: page.sessions.filter((session) => session.id !== id) });
  return { ...pages, pages: pages.pages.map(keep) };
}

/** Puts a session into that of the two lists where it belongs, as far as they are loaded. */
export function upsertSession(client: QueryClient, session: Session): void {
  const [its, other] = session.archivedAt === undefined ? [sessionsQuery, archivedQuery] : [archivedQuery, sessionsQuery];
  client.setQueryData(its.queryKey, (pages) => pages && withSession(pages, session));
  // What is known there may be newer than what came: then this is late, and the list is right as it is.
  const known = client.getQueryData(other.queryKey)?.pages.flatMap((page) => page.sessions).find(({ id }) => id === session.id);
  if (known && known.headSeq > session.headSeq) client.setQueryData(its.queryKey, (pages) => pages && withoutSession(pages, session.id));
  else client.setQueryData(other.queryKey, (pages) => pages && withoutSession(pages, session.id));
}

/** The close code of a feed whose listener is nobody any more (close.rs). */
const SIGNED_OUT = 4401;

/** Where the live feed stands. */
export const busLink = new Store<LinkState>({ kind: "connecting" });

/** Keeps the list live until the answer is called. */
export function followBus(client: QueryClient): () => void {
  let rev: number | null = null;
  const socket: LiveSocket = new LiveSocket({
    url: () => socketUrl(`/api/events/ws${rev === null ? "" : `?after=${rev}`}`),
    onState: (state) => {
      busLink.set(state);
      if (state.kind === "closed" && state.code === SIGNED_OUT) void client.invalidateQueries({ queryKey: meQuery.queryKey });
    },
    diagnose: async () => {
      const me = await client.query({ ...meQuery, staleTime: 0 }).catch(() => undefined);
      return me === null ? SIGNED_OUT : undefined;
    },
    onFrame: (text) => {
      const frame = JSON.parse(text) as BusFrame;
      // A greeting where none was due, or a position that went back: what is here may have holes.
      if (frame.type === "hello" && (rev === null || frame.rev < rev)) {
        void client.invalidateQueries({ queryKey: EVERY_LIST });
      }
      if (frame.type === "session") upsertSession(client, frame.session);
      if (frame.type === "removed") {
        for (const { queryKey } of [sessionsQuery, archivedQuery]) {
          client.setQueryData(queryKey, (pages) => pages && withoutSession(pages, frame.sessionId));
        }
      }
      // After a resume the greeting may come before what was missed: it must not move the position past that.
      if (frame.type !== "hello" || rev === null || frame.rev < rev) rev = frame.rev;
    },
  });
  socket.start();
  return () => socket.stop();
}
