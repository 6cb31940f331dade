/** The list of sessions, in sections, live. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { CircleAlert } from "lucide-react";
import { ActivityIcon, activityWord } from "@/components/activity";
import { Card, Skeleton } from "@/components/bits";
import { Button } from "@/components/button";
import { sections } from "@/features/sessions/sections";
import { sessionsQuery } from "@/features/sessions/list";
import { messageOf } from "@/lib/api";
import { useNow } from "@/lib/clock";
import { age, repoName } from "@/lib/format";
import type { Session } from "@/protocol/Session";

/** See the head of the file. `onPick` is called when one is chosen, for a sheet to close. */
export function SessionListView({ onPick }: { onPick?: () => void }) {
  const list = useInfiniteQuery(sessionsQuery);
  const now = useNow(30_000);
  if (list.isPending) return <ListSkeleton />;
  if (list.isError && !list.data) {
    return (
      <div className="p-2">
        <Card
          tone="red"
          icon={<CircleAlert size={16} />}
          title="The list did not load"
          actions={<Button onClick={() => void list.refetch()}>Try again</Button>}
        >
          {messageOf(list.error)}
        </Card>
      </div>
    );
  }
  const all = list.data.pages.flatMap((page) => page.sessions);
  const shown = sections(all, now);
  if (shown.length === 0) {
    return <p className="px-3 py-2 text-sm text-muted">No sessions yet. Each piece of work you hand over appears here.</p>;
  }
  return (
    <div data-testid="session-list" className="flex flex-col gap-3 pb-2">
      {shown.map((section) => (
        <section key={section.title} aria-label={section.title}>
          <h2 className="px-3 pb-0.5 text-xs font-medium text-muted">{section.title}</h2>
          <ul>
            {section.sessions.map((session) => (
              <SessionRow key={session.id} session={session} now={now} {...(onPick ? { onPick } : {})} />
            ))}
          </ul>
        </section>
      ))}
      {list.hasNextPage ? (
        <Button look="ghost" disabled={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()} className="mx-2">
          {list.isFetchingNextPage ? "Loading…" : "Show older"}
        </Button>
      ) : null}
    </div>
  );
}

function SessionRow({ session, now, onPick }: { session: Session; now: number; onPick?: () => void }) {
  const word = activityWord(session.activity);
  const about = session.repo ? repoName(session.repo.url) : "empty workspace";
  return (
    <li>
      <Link
        to="/sessions/$sessionId"
        params={{ sessionId: session.id }}
        data-testid="session-row"
        data-session-id={session.id}
        data-activity={session.activity}
        onClick={onPick}
        className="mx-1.5 flex items-start gap-2 rounded-md px-2 py-1.5 hover:bg-hover aria-[current=page]:bg-selected pointer-coarse:py-2.5"
      >
        <span className="mt-1 shrink-0">
          <ActivityIcon activity={session.activity} />
        </span>
        <span className="min-w-0 flex-1">
          <span dir="auto" className="block truncate text-sm text-ink">
            {session.title}
          </span>
          <span className="flex min-w-0 gap-1 text-xs text-muted">
            <span className="shrink-0">{word}</span>
            <span aria-hidden>·</span>
            <span className="min-w-0 truncate">{about}</span>
            <span className="ml-auto shrink-0 pl-1 tabular-nums">{age(session.updatedAt, now)}</span>
          </span>
        </span>
      </Link>
    </li>
  );
}

function ListSkeleton() {
  return (
    <div aria-label="Loading sessions" role="status" className="flex flex-col gap-3 px-3 py-1">
      {[0, 1, 2, 3, 4].map((row) => (
        <div key={row} className="flex flex-col gap-1.5">
          <Skeleton className="h-3.5 w-4/5" />
          <Skeleton className="h-3 w-1/2" />
        </div>
      ))}
    </div>
  );
}
