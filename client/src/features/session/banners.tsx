/** Lines below a session's head: what is special about it, each with at most one thing to do. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Archive, CirclePause, CloudOff, GitFork, ShieldAlert } from "lucide-react";
import type { ReactNode } from "react";
import { Button } from "@/components/button";
import { usePowers } from "@/features/session/powers";
import type { SessionStore } from "@/features/session/session-store";
import { call } from "@/lib/api";
import { useNow } from "@/lib/clock";
import { cx } from "@/lib/cx";
import { clock } from "@/lib/format";
import type { LinkState } from "@/lib/live-socket";
import type { ForkOrigin } from "@/protocol/ForkOrigin";
import type { Session } from "@/protocol/Session";

/** A line for every blink would make the page jump: so many dials have failed before it is said at length. */
const OFFLINE_ATTEMPTS = 3;

/** All that apply. */
export function Banners({ session, store, link }: { session: Session; store: SessionStore; link: LinkState }) {
  const now = useNow(null);
  const { work, manage } = usePowers();
  return (
    <>
      {link.kind === "offline" && link.attempt >= OFFLINE_ATTEMPTS ? (
        <Line
          testId="offline"
          tone="amber"
          icon={<CloudOff size={13} aria-hidden className="text-amber" />}
          action={<Button onClick={store.reconnect}>Try now</Button>}
        >
          Offline since {clock(new Date(link.since).toISOString(), now)}. Your draft is kept; what you send goes out as soon as Errand answers.
        </Line>
      ) : null}
      {session.isolation === "none" ? (
        <Line testId="no-isolation" icon={<ShieldAlert size={13} aria-hidden className="text-amber" />} tone="amber">
          No isolation on this machine: code in the sandbox can read your files
        </Line>
      ) : null}
      {session.forkedFrom ? <ForkedFrom origin={session.forkedFrom} /> : null}
      {session.archivedAt !== undefined ? (
        <Line
          testId="archived"
          icon={<Archive size={13} aria-hidden />}
          action={
            manage && (
              <Button data-testid="restore" onClick={() => store.send({ type: "restore" })}>
                Restore
              </Button>
            )
          }
        >
          Archived {clock(session.archivedAt, now)}: out of the list, nothing is lost.
        </Line>
      ) : session.budget === "used_up" ? (
        <Line testId="rests" icon={<CirclePause size={13} aria-hidden />}>
          Resting: a budget is used up. What waits goes on once it is extended or begins anew.
        </Line>
      ) : session.phase === "paused" ? (
        <Line
          testId="paused"
          icon={<CirclePause size={13} aria-hidden />}
          action={
            work && (
              <Button data-testid="resume" onClick={() => store.send({ type: "resume" })}>
                Resume
              </Button>
            )
          }
        >
          {session.cause?.code === "made_room" ? session.cause.message : `Paused: its files are kept.${work ? " The next prompt wakes it." : ""}`}
        </Line>
      ) : null}
    </>
  );
}

function Line({ testId, icon, tone = "plain", action, children }: { testId: string; icon: ReactNode; tone?: "plain" | "amber"; action?: ReactNode; children: ReactNode }) {
  const tones = { plain: "bg-surface text-muted", amber: "border-amber/40 bg-amber-soft text-ink" } as const;
  return (
    <div data-testid={testId} className={cx("flex min-h-6 shrink-0 items-center gap-2 border-b px-4 py-1 text-xs", tones[tone])}>
      <span className="shrink-0">{icon}</span>
      <span className="min-w-0 flex-1 [overflow-wrap:anywhere]">{children}</span>
      {action}
    </div>
  );
}

function ForkedFrom({ origin }: { origin: ForkOrigin }) {
  const { data } = useQuery({
    queryKey: ["session", origin.sessionId],
    queryFn: ({ signal }) => call<Session>("GET", `/api/sessions/${origin.sessionId}`, undefined, signal),
    staleTime: 60_000,
    // It may be somebody else's, or gone: then it has no name here.
    retry: false,
  });
  return (
    <Line testId="forked-from" icon={<GitFork size={13} aria-hidden />}>
      Forked from{" "}
      <Link to="/sessions/$sessionId" params={{ sessionId: origin.sessionId }} className="text-accent-ink underline underline-offset-2">
        {data?.title ?? "another session"}
      </Link>
    </Line>
  );
}
