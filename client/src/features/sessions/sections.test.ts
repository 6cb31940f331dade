import { QueryClient, type InfiniteData } from "@tanstack/react-query";
import { describe, expect, it } from "vitest";
import { archivedQuery, sessionsQuery, upsertSession, withSession } from "@/features/sessions/list";
import { sections } from "@/features/sessions/sections";
import type { Activity } from "@/protocol/Activity";
import type { Session } from "@/protocol/Session";
import type { SessionList } from "@/protocol/SessionList";

const NOW = new Date(2026, 10, 21, 12).getTime();

function make(id: string, activity: Activity, hoursAgo: number, headSeq = 1): Session {
  const at = new Date(NOW - hoursAgo * 3_600_000).toISOString();
  return {
    id, title: id, phase: "running", activity, model: "a/b", owner: { id: "usr_1", name: "a", email: "a@b" },
    createdAt: at, updatedAt: at, headSeq, queue: 0,
  };
}

describe("the sections of the list", () => {
  it("go from what needs the person to what is past, newest first, empty ones left out", () => {
    const list = [
      make("old", "idle", 60), make("asks", "awaiting_input", 60), make("runs", "tool", 2), make("done", "idle", 3),
      make("newer", "terminated", 1), make("failed", "error", 1),
    ];
    expect(sections(list, NOW).map((s) => [s.title, s.sessions.map((x) => x.id)])).toEqual([
      ["Needs you", ["failed", "asks"]], ["Running", ["runs"]], ["Today", ["newer", "done"]], ["Earlier", ["old"]],
    ]);
  });

  it("leave out what was put away", () => {
    expect(sections([{ ...make("a", "idle", 1), archivedAt: "2026-11-21T00:00:00Z" }], NOW)).toEqual([]);
  });
});

describe("a live change", () => {
  const pages = (...sessions: Session[]): InfiniteData<SessionList> => ({ pages: [{ sessions }], pageParams: [null] });
  const ids = (data: InfiniteData<SessionList>) => data.pages.flatMap((page) => page.sessions.map((s) => `${s.id}:${s.headSeq}`));

  it("replaces what is known, puts new ones first, and never goes back", () => {
    const known = pages(make("a", "idle", 1, 5), make("b", "idle", 1, 5));
    expect(ids(withSession(known, make("b", "tool", 0, 6)))).toEqual(["a:5", "b:6"]);
    expect(ids(withSession(known, make("c", "tool", 0, 1)))).toEqual(["c:1", "a:5", "b:5"]);
    expect(ids(withSession(known, make("a", "tool", 0, 4)))).toEqual(["a:5", "b:5"]);
  });
});

describe("a session that is put away", () => {
  const both = (client: QueryClient) =>
    [sessionsQuery, archivedQuery].map(({ queryKey }) => client.getQueryData(queryKey)?.pages.flatMap((page) => page.sessions.map((s) => s.id)));
  const away = (session: Session) => ({ ...session, archivedAt: session.updatedAt });

  it("leaves one list for the other, and comes back", () => {
    const client = new QueryClient();
    client.setQueryData(sessionsQuery.queryKey, { pages: [{ sessions: [make("a", "idle", 1, 5), make("b", "idle", 1)] }], pageParams: [null] });
    client.setQueryData(archivedQuery.queryKey, { pages: [{ sessions: [] }], pageParams: [null] });
    upsertSession(client, away(make("a", "paused", 0, 6)));
    expect(both(client)).toEqual([["b"], ["a"]]);
    upsertSession(client, make("a", "paused", 0, 7));
    expect(both(client)).toEqual([["a", "b"], []]);
    // A summary from before comes late.
    upsertSession(client, away(make("a", "paused", 0, 6)));
    expect(both(client)).toEqual([["a", "b"], []]);
  });

  it("makes no list that nobody has loaded", () => {
    const client = new QueryClient();
    upsertSession(client, away(make("a", "paused", 0)));
    expect(both(client)).toEqual([undefined, undefined]);
  });
});
