/** The list of sessions, in sections, live. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Archive, ArchiveRestore, ChevronLeft, CircleAlert } from "lucide-react";
import { useState, type ReactNode } from "react";
import { ActivityIcon, activityWord } from "@/components/activity";
import { Card, Skeleton } from "@/components/bits";
import { Button, IconButton } from "@/components/button";
import { sections } from "@/features/sessions/sections";
import { archivedQuery, restoreSession, sessionsQuery, upsertSession } from "@/features/sessions/list";
import { meQuery } from "@/lib/account";
import { messageOf } from "@/lib/api";
import { useNow } from "@/lib/clock";
import { age, repoName } from "@/lib/format";
import type { Session } from "@/protocol/Session";

/** See the head of the file. */
export function SessionListView() {
  const [archived, setArchived] = useState(false);
  return archived ? <ArchivedList onBack={() => setArchived(false)} /> : <OpenList onArchived={() => setArchived(true)} />;
}

const LINK = "mx-1.5 flex h-8 items-center gap-2 rounded-md px-2 text-left text-sm text-muted hover:bg-hover pointer-coarse:h-11";

function OpenList({ onArchived }: { onArchived: () => void }) {
  const list = useInfiniteQuery(sessionsQuery);
  const now = useNow(30_000);
  if (list.isPending) return <ListSkeleton />;
  if (list.isError && !list.data) return <NotLoaded error={list.error} onAgain={() => void list.refetch()} />;
  const shown = sections(list.data.pages.flatMap((page) => page.sessions), now);
  return (
    <div data-testid="session-list" className="flex flex-col gap-3 pb-2">
      {shown.length === 0 ? <p className="px-3 py-2 text-sm text-muted">No sessions yet. Each piece of work you hand over appears here.</p> : null}
      {shown.map((section) => (
        <section key={section.title} aria-label={section.title}>
          <h2 className="px-3 pb-0.5 text-xs font-medium text-muted">{section.title}</h2>
          <ul>
            {section.sessions.map((session) => (
              <SessionRow key={session.id} session={session} now={now} />
            ))}
          </ul>
        </section>
      ))}
      <Older list={list} />
      <button type="button" data-testid="show-archived" onClick={onArchived} className={LINK}>
        <Archive size={14} aria-hidden />
        Archived
      </button>
    </div>
  );
}

function ArchivedList({ onBack }: { onBack: () => void }) {
  const list = useInfiniteQuery(archivedQuery);
  const client = useQueryClient();
  const now = useNow(30_000);
  const restore = useMutation({ mutationFn: restoreSession, onSuccess: (session) => upsertSession(client, session) });
  const sessions = list.data?.pages.flatMap((page) => page.sessions) ?? [];
  return (
    <div data-testid="archived-list" className="flex flex-col gap-1 pb-2">
      <button type="button" data-testid="show-open" onClick={onBack} className={LINK}>
        <ChevronLeft size={14} aria-hidden />
        All sessions
      </button>
      <section aria-label="Archived" className="flex flex-col gap-1">
        <h2 className="px-3 pb-0.5 text-xs font-medium text-muted">Archived</h2>
        {list.isPending ? <ListSkeleton /> : null}
        {list.isError ? <NotLoaded error={list.error} onAgain={() => void list.refetch()} /> : null}
        {list.isSuccess && sessions.length === 0 ? <p className="px-3 text-sm text-muted">Nothing is archived.</p> : null}
        {restore.isError ? (
          <p role="alert" className="px-3 text-sm text-red">
            It was not restored. {messageOf(restore.error)}
          </p>
        ) : null}
        <ul>
          {sessions.map((session) => (
            <SessionRow
              key={session.id}
              session={session}
              now={now}
              action={
                <IconButton
                  label={`Restore: ${session.title.slice(0, 40)}`}
                  data-testid="row-restore"
                  disabled={restore.isPending}
                  onClick={() => restore.mutate(session.id)}
                  className="mt-1 mr-1.5"
                >
                  <ArchiveRestore size={14} />
                </IconButton>
              }
            />
          ))}
        </ul>
      </section>
      <Older list={list} />
    </div>
  );
}

function NotLoaded({ error, onAgain }: { error: Error; onAgain: () => void }) {
  return (
    <div className="p-2">
      <Card tone="red" icon={<CircleAlert size={16} />} title="The list did not load" actions={<Button onClick={onAgain}>Try again</Button>}>
        {messageOf(error)}
      </Card>
    </div>
  );
}

function Older({ list }: { list: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => Promise<unknown> } }) {
  if (!list.hasNextPage) return null;
  return (
    <Button look="ghost" disabled={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()} className="mx-2">
      {list.isFetchingNextPage ? "Loading…" : "Show older"}
    </Button>
  );
}

function SessionRow({ session, now, action }: { session: Session; now: number; action?: ReactNode }) {
  const word = activityWord(session.activity);
  const { data: me } = useQuery(meQuery);
  const where = session.repo ? repoName(session.repo.url) : "empty workspace";
  const about = me && me.user.id !== session.owner.id ? `${session.owner.name} · ${where}` : where;
  return (
    <li className="flex items-start">
      <Link
        to="/sessions/$sessionId"
        params={{ sessionId: session.id }}
        data-testid="session-row"
        data-session-id={session.id}
        data-activity={session.activity}
        className="mx-1.5 flex min-w-0 flex-1 items-start gap-2 rounded-md px-2 py-1.5 hover:bg-hover aria-[current=page]:bg-selected pointer-coarse:py-2.5"
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
      {action}
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
