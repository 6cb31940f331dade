/** The list of sessions, in sections, live. */
import { useInfiniteQuery, useMutation, useQuery, useQueryClient, type UseInfiniteQueryResult } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Archive, ArchiveRestore, Building2, ChevronLeft, CircleAlert } from "lucide-react";
import { useState, type ReactNode } from "react";
import { ActivityIcon, activityWord } from "@/components/activity";
import { Card, Skeleton } from "@/components/bits";
import { Button, IconButton } from "@/components/button";
import { sections } from "@/features/sessions/sections";
import { archivedQuery, everybodysQuery, restoreSession, sessionsQuery, upsertSession } from "@/features/sessions/list";
import { meQuery } from "@/lib/account";
import { messageOf } from "@/lib/api";
import { useNow } from "@/lib/clock";
import { age, repoName } from "@/lib/format";
import type { Session } from "@/protocol/Session";

/** See the head of the file. */
export function SessionListView() {
  const [list, setList] = useState<"open" | "archived" | "everybodys">("open");
  const onBack = () => setList("open");
  if (list === "archived") return <ArchivedList onBack={onBack} />;
  if (list === "everybodys") return <EverybodysList onBack={onBack} />;
  return <OpenList onArchived={() => setList("archived")} onEverybodys={() => setList("everybodys")} />;
}

const LINK = "mx-1.5 flex h-8 items-center gap-2 rounded-md px-2 text-left text-sm text-muted hover:bg-hover pointer-coarse:h-11";

function OpenList({ onArchived, onEverybodys }: { onArchived: () => void; onEverybodys: () => void }) {
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
      <div>
        <button type="button" data-testid="show-everybodys" onClick={onEverybodys} className={LINK}>
          <Building2 size={14} aria-hidden />
          Everybody’s
        </button>
        <button type="button" data-testid="show-archived" onClick={onArchived} className={LINK}>
          <Archive size={14} aria-hidden />
          Archived
        </button>
      </div>
    </div>
  );
}

/** What of the whole org this person may see. */
function EverybodysList({ onBack }: { onBack: () => void }) {
  const list = useInfiniteQuery(everybodysQuery);
  const now = useNow(30_000);
  const sessions = list.data?.pages.flatMap((page) => page.sessions) ?? [];
  return (
    <OtherList title="Everybody’s" testId="everybodys-list" list={list} empty={sessions.length === 0 ? "Nobody has shared a session with the org." : undefined} onBack={onBack}>
      {sessions.map((session) => (
        <SessionRow key={session.id} session={session} now={now} />
      ))}
    </OtherList>
  );
}

function ArchivedList({ onBack }: { onBack: () => void }) {
  const list = useInfiniteQuery(archivedQuery);
  const client = useQueryClient();
  const now = useNow(30_000);
  const restore = useMutation({ mutationFn: restoreSession, onSuccess: (session) => upsertSession(client, session) });
  const sessions = list.data?.pages.flatMap((page) => page.sessions) ?? [];
  return (
    <OtherList title="Archived" testId="archived-list" list={list} empty={sessions.length === 0 ? "Nothing is archived." : undefined} onBack={onBack}>
      {restore.isError ? (
        <li role="alert" className="px-3 text-sm text-red">
          It was not restored. {messageOf(restore.error)}
        </li>
      ) : null}
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
    </OtherList>
  );
}

type Pages = Pick<UseInfiniteQueryResult, "isPending" | "isError" | "isSuccess" | "error" | "refetch"> & PagesOf;

/** A list that one goes to and comes back from. */
function OtherList({ title, testId, list, empty, onBack, children }: {
  title: string;
  testId: string;
  list: Pages;
  empty: string | undefined;
  onBack: () => void;
  children: ReactNode;
}) {
  return (
    <div data-testid={testId} className="flex flex-col gap-1 pb-2">
      <button type="button" data-testid="show-open" onClick={onBack} className={LINK}>
        <ChevronLeft size={14} aria-hidden />
        Back to yours
      </button>
      <section aria-label={title} className="flex flex-col gap-1">
        <h2 className="px-3 pb-0.5 text-xs font-medium text-muted">{title}</h2>
        {list.isPending ? <ListSkeleton /> : null}
        {list.isError ? <NotLoaded error={list.error ?? new Error(title)} onAgain={() => void list.refetch()} /> : null}
        {list.isSuccess && empty !== undefined ? <p className="px-3 text-sm text-muted">{empty}</p> : null}
        <ul>{children}</ul>
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

interface PagesOf {
  readonly hasNextPage: boolean;
  readonly isFetchingNextPage: boolean;
  readonly fetchNextPage: () => Promise<unknown>;
}

function Older({ list }: { list: PagesOf }) {
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
