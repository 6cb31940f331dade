/** The head of a session's page: title, what it does, where it works, what can be done with it. */
import { Link } from "@tanstack/react-router";
import { Building2, ChevronLeft, GitBranch, Link2, Lock, TriangleAlert } from "lucide-react";
import { useState, type KeyboardEvent } from "react";
import { ActivityIcon, activityWord } from "@/components/activity";
import { DemoBadge } from "@/components/bits";
import { Button } from "@/components/button";
import { Connection } from "@/components/connection";
import { usePowers } from "@/features/session/powers";
import { SessionMenu, type SessionMenuProps } from "@/features/session/session-menu";
import type { SessionStore } from "@/features/session/session-store";
import { useSpending } from "@/features/session/use-spending";
import { cx } from "@/lib/cx";
import { repoName } from "@/lib/format";
import type { LinkState } from "@/lib/live-socket";
import { useModel } from "@/lib/models";
import { dollars } from "@/lib/money";
import type { Person } from "@/protocol/Person";
import type { Session } from "@/protocol/Session";
import type { Visibility } from "@/protocol/Visibility";

interface HeaderProps {
  readonly session: Session;
  readonly store: SessionStore;
  readonly link: LinkState;
  readonly behind: number;
  readonly presence: readonly Person[];
  readonly menu: Omit<SessionMenuProps, "session" | "store" | "onRename">;
}

/** See the head of the file. */
export function SessionHeader({ session, store, link, behind, presence, menu }: HeaderProps) {
  const [renaming, setRenaming] = useState(false);
  const model = useModel(session.model);
  const powers = usePowers();
  const fixed = session.phase === "terminated" || !powers.manage;
  return (
    <header className="flex min-h-12 shrink-0 items-center gap-2 border-b px-2 py-1 sm:px-4">
      <Link to="/" aria-label="All sessions" className="-mr-2 -ml-1 flex size-11 shrink-0 items-center justify-center rounded-md text-muted hover:bg-hover md:hidden">
        <ChevronLeft size={18} aria-hidden />
      </Link>
      <div className="relative min-w-0 flex-1">
        <Title session={session} store={store} renaming={renaming} onRenaming={setRenaming} disabled={fixed} />
        <div className="flex min-w-0 items-center gap-1.5 text-xs text-muted">
          <span data-testid="activity" data-activity={session.activity} data-phase={session.phase} className="flex shrink-0 items-center gap-1">
            <ActivityIcon activity={session.activity} size={12} />
            {activityWord(session.activity, session.headSeq < 3)}
          </span>
          {session.repo ? (
            <span className="flex min-w-0 items-center gap-1" title={session.repo.url}>
              <span aria-hidden>·</span>
              <GitBranch size={12} aria-hidden className="shrink-0" />
              <span className="truncate">
                {repoName(session.repo.url)}
                {session.repo.branch === undefined ? "" : ` · ${session.repo.branch}`}
                {session.pushed === undefined ? "" : ` → ${session.pushed.branch}`}
              </span>
            </span>
          ) : null}
          <span className="flex min-w-0 shrink items-center gap-1.5 max-sm:hidden">
            <span aria-hidden>·</span>
            <span className="truncate">{model.name}</span>
          </span>
          {model.demo ? <DemoBadge /> : null}
          <Cost session={session} turnRuns={menu.circumstances.turnRuns} />
        </div>
      </div>
      {presence.length > 1 ? (
        <span className="shrink-0 text-xs text-muted max-sm:hidden" title={presence.map((person) => person.name).join(", ")}>
          {presence.length} looking
        </span>
      ) : null}
      <span className={cx(link.kind === "open" && behind === 0 && "sr-only")}>
        <Connection link={link} behind={behind} brief testId="session-connection" />
      </span>
      {powers.share ? (
        <Button data-testid="share-button" className="max-sm:hidden" onClick={menu.onShare}>
          <VisibilityIcon visibility={session.visibility ?? "private"} />
          Share
        </Button>
      ) : null}
      <SessionMenu session={session} store={store} onRename={() => setRenaming(true)} {...menu} />
    </header>
  );
}

/** What it cost so far; with a mark once a budget is nearly used up. */
function Cost({ session, turnRuns }: { session: Session; turnRuns: boolean }) {
  const spent = useSpending(session.id, turnRuns)?.session.cost ?? 0;
  const { budget } = session;
  if (spent === 0 && budget === undefined) return null;
  const words = budget === "used_up" ? "A budget is used up" : budget === "soft" ? "A budget is nearly used up" : "What this session cost so far";
  return (
    <span data-testid="session-cost" data-budget={budget} title={words} className={cx("flex shrink-0 items-center gap-1 tabular-nums", budget === "used_up" ? "text-red" : budget === "soft" && "text-amber")}>
      <span aria-hidden className="max-sm:hidden">
        ·
      </span>
      {budget === undefined ? null : <TriangleAlert size={12} aria-hidden />}
      {spent === 0 ? null : dollars(spent)}
      <span className="sr-only">{words}</span>
    </span>
  );
}

const VISIBLE = {
  private: { icon: Lock, words: "Only you and the org’s admins see it" },
  link: { icon: Link2, words: "People of the org with a link see it" },
  org: { icon: Building2, words: "Everybody in the org sees it" },
} as const;

function VisibilityIcon({ visibility }: { visibility: Visibility }) {
  const { icon: Icon, words } = VISIBLE[visibility];
  return (
    <span title={words}>
      <Icon size={14} aria-hidden className="text-muted" />
      <span className="sr-only">{words}.</span>
    </span>
  );
}

function Title({
  session,
  store,
  renaming,
  onRenaming,
  disabled,
}: {
  session: Session;
  store: SessionStore;
  renaming: boolean;
  onRenaming: (is: boolean) => void;
  disabled: boolean;
}) {
  const done = (value: string | null) => {
    onRenaming(false);
    const title = value?.trim() ?? "";
    if (title !== "" && title !== session.title) store.send({ type: "rename", title });
  };
  if (!renaming) {
    return (
      <h1 className="flex min-w-0">
        <button
          type="button"
          data-testid="session-title"
          dir="auto"
          disabled={disabled}
          title={disabled ? session.title : `${session.title}\nClick to rename`}
          onClick={() => onRenaming(true)}
          className="-mx-1 min-w-0 truncate rounded-sm px-1 text-left text-base font-semibold enabled:hover:bg-hover pointer-coarse:after:absolute pointer-coarse:after:-inset-y-1 pointer-coarse:after:inset-x-0"
        >
          {session.title}
        </button>
      </h1>
    );
  }
  return (
    <input
      aria-label="Title"
      data-testid="session-title-input"
      dir="auto"
      defaultValue={session.title}
      maxLength={200}
      autoFocus
      onFocus={(event) => event.target.select()}
      onBlur={(event) => done(event.target.value)}
      onKeyDown={(event: KeyboardEvent<HTMLInputElement>) => {
        if (event.nativeEvent.isComposing) return;
        if (event.key === "Enter") done(event.currentTarget.value);
        if (event.key === "Escape") {
          event.stopPropagation();
          event.currentTarget.value = session.title;
          done(null);
        }
      }}
      className="-mx-1 w-full rounded-sm border border-line-strong bg-bg px-1 text-base font-semibold"
    />
  );
}
