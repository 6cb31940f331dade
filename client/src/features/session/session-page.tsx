/** The page of one session. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Eye, ShieldAlert } from "lucide-react";
import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Card, CenterPage, Skeleton } from "@/components/bits";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { activityWord } from "@/components/activity";
import { Composer, type ComposerHandle } from "@/features/session/composer";
import { PinnedTodos, Refusals } from "@/features/session/above-composer";
import { Banners } from "@/features/session/banners";
import { ForkDialog } from "@/features/session/fork-dialog";
import { PowersContext } from "@/features/session/powers";
import { pendingFirst, project, waiting } from "@/features/session/projection";
import { Queue } from "@/features/session/queue";
import type { RowContext } from "@/features/session/row-view";
import { SessionHeader } from "@/features/session/session-header";
import { EndDialog } from "@/features/session/session-menu";
import type { SessionSnapshot, SessionStore } from "@/features/session/session-store";
import { StartupDetails } from "@/features/session/startup-card";
import { Transcript } from "@/features/session/transcript";
import { useSession } from "@/features/session/use-session";
import { meQuery, orgsQuery } from "@/lib/account";
import { newId } from "@/lib/ids";
import { LOOK_ONLY, powersOn } from "@/lib/may";
import type { Prompt } from "@/protocol/Prompt";
import type { Remedy } from "@/protocol/Remedy";

const ShareDialog = lazy(() => import("@/features/session/share-dialog"));
const ESC_AGAIN_MS = 2000;

/** See the head of the file. */
export function SessionPage({ sessionId }: { sessionId: string }) {
  const { store, snapshot } = useSession(sessionId);
  const { link, state } = snapshot;
  useEffect(() => {
    document.title = state.session ? `${state.session.title} · Errand` : "Errand";
    return () => {
      document.title = "Errand";
    };
  }, [state.session]);
  if (link.kind === "closed" && (link.code === 4404 || !state.session)) return <Closed code={link.code} store={store} />;
  if (!state.session) return <Loading offline={link.kind === "offline"} />;
  return <LoadedSession store={store} snapshot={snapshot} />;
}

/** Why the connection was ended for good, in words. */
const CLOSED: Record<number, { title: string; words: string; reload: boolean }> = {
  4400: { title: "Errand did not understand this page", words: "Reload it to get the present version. Nothing was lost.", reload: true },
  4401: { title: "You are signed out", words: "Sign in again to go on. Your draft is kept.", reload: true },
  4410: { title: "This session has ended", words: "Its transcript stays; nothing can be added.", reload: false },
  4413: { title: "That was too large to send", words: "Reload the page, shorten it and try again.", reload: true },
  4426: { title: "Errand was updated", words: "Reload the page to go on. Nothing was lost.", reload: true },
};

function Closed({ code, store }: { code: number; store: SessionStore }) {
  if (code === 4404) return <NotFound />;
  const known = CLOSED[code];
  return (
    <CenterPage title={known?.title ?? "The connection was closed"} testId="closed">
      <p>{known?.words ?? "Try to connect again. Nothing was lost."}</p>
      <Button look="primary" onClick={() => (known?.reload ? window.location.reload() : store.reconnect())}>
        {known?.reload ? "Reload" : "Connect again"}
      </Button>
    </CenterPage>
  );
}

/** Whether it is in another of their orgs is not known here, and is said to all who have one: where it is, is not told. */
function NotFound() {
  const { data: me } = useQuery(meQuery);
  const { data: list } = useQuery(orgsQuery);
  const others = list?.orgs.filter(({ org }) => org.id !== me?.org.id) ?? [];
  return (
    <CenterPage title="There is no such session" testId="not-found">
      <p>It does not exist, or it belongs to somebody else.</p>
      {others.length === 0 || !me ? null : (
        <p data-testid="other-orgs">
          You act in {me.org.name} now. If the session is in {others.length === 1 ? others[0]?.org.name : "another of your orgs"}, switch to that org first, and open the link again.
        </p>
      )}
      <Link to="/" className="text-accent-ink underline underline-offset-2">
        Go to your sessions
      </Link>
    </CenterPage>
  );
}

function Loading({ offline }: { offline: boolean }) {
  return (
    <main aria-busy="true" className="flex h-full flex-col">
      <p role="status" className="sr-only">
        {offline ? "Errand does not answer; trying again" : "Loading the session"}
      </p>
      <div className="flex h-12 items-center border-b px-4">
        <Skeleton className="h-4 w-64" />
      </div>
      <div className="mx-auto w-full max-w-190 flex-1 px-4 pt-6">
        {offline ? (
          <Card tone="amber" icon={<ShieldAlert size={16} aria-hidden />} title="Errand does not answer">
            Trying again by itself. Nothing that was accepted is lost.
          </Card>
        ) : (
          <div className="flex flex-col gap-3">
            <Skeleton className="h-16 w-full" />
            <Skeleton className="h-4 w-2/3" />
            <Skeleton className="h-4 w-1/2" />
            <Skeleton className="h-4 w-3/5" />
          </div>
        )}
      </div>
    </main>
  );
}

/** Which of the page's dialogs is open. */
type Dialogs = { readonly kind: "none" | "end" | "startup" | "share" } | { readonly kind: "fork"; readonly turnId: string };
const NO_DIALOG: Dialogs = { kind: "none" };

function LoadedSession({ store, snapshot }: { store: SessionStore; snapshot: SessionSnapshot }) {
  const { state, link, outbox, older } = snapshot;
  const { session, turn } = state;
  const composer = useRef<ComposerHandle>(null);
  const rows = useMemo(() => project(state, outbox), [state, outbox]);
  const queue = waiting(state, outbox);
  const [dialog, setDialog] = useState<Dialogs>(NO_DIALOG);
  const closeDialog = useCallback(() => setDialog(NO_DIALOG), []);
  const abort = useCallback(() => {
    if (turn) store.send({ type: "abort", turnId: turn.id });
  }, [store, turn]);
  const onEdit = useCallback((prompt: Prompt) => composer.current?.edit(prompt), []);
  const onWithdraw = useCallback(
    (promptId: string) => {
      store.send({ type: "withdraw_prompt", promptId });
      // The row goes, and with it what had the focus. A phone's keyboard must not jump up by itself.
      if (matchMedia("(pointer: fine)").matches) composer.current?.focus();
    },
    [store],
  );
  const onFork = useCallback((turnId: string) => setDialog({ kind: "fork", turnId }), []);
  const onStartup = useCallback(() => setDialog({ kind: "startup" }), []);
  const onRemedy = useCallback(
    ({ type }: Remedy) => {
      setDialog(type === "terminate" ? { kind: "end" } : NO_DIALOG);
      if (type === "retry") store.send({ type: "retry" });
      if (type === "abort") abort();
      // The question stands at the end of the transcript.
      if (type === "answer") document.querySelector<HTMLButtonElement>("[data-testid=to-end]")?.click();
    },
    [store, abort],
  );
  const onOlder = useCallback(() => void store.loadOlder(), [store]);
  const answering = outbox.flatMap((sent) => (sent.frame.type === "answer" && sent.refused === undefined ? [sent.frame.interactionId] : []));
  const answeringKey = answering.join(" ");
  const model = session?.model ?? "";
  const context = useMemo<RowContext>(
    () => ({ store, model, answering: new Set(answeringKey.split(" ")), onEdit, onWithdraw, onFork, onRemedy, onStartup, onOlder, older }),
    [store, model, answeringKey, onEdit, onWithdraw, onFork, onRemedy, onStartup, onOlder, older],
  );
  const aborting = (turn?.aborting ?? false) || outbox.some((sent) => sent.frame.type === "abort" && sent.refused === undefined);
  const { data: me } = useQuery(meQuery);
  const powers = useMemo(() => (me && session ? powersOn(me, session, state.guest) : LOOK_ONLY), [me, session, state.guest]);
  const escHint = useEscTwice(turn !== null && !aborting && powers.work, abort);
  if (!session) return null;
  const behind = Math.max(0, state.headSeq - state.lastSeq);
  const over = session.phase === "terminated";
  const lastTurn = state.fold.blocks.findLast((block) => block.kind === "turn" && block.turn.end);
  const sharing = outbox.flatMap(({ frame, refused }) => (frame.type === "share" && refused === undefined ? [frame.visibility] : [])).at(-1);
  return (
    <PowersContext value={powers}>
      <main data-testid="session" data-session-id={session.id} data-phase={session.phase} className="flex h-full min-h-0 flex-col">
        <p role="status" className="sr-only">
          {activityWord(session.activity)}
        </p>
        <SessionHeader
          session={session}
          store={store}
          link={link}
          behind={behind}
          presence={state.presence}
          menu={{
            circumstances: { turnRuns: turn !== null, waiting: queue.length, forkable: lastTurn !== undefined },
            onAbort: abort,
            onShare: () => setDialog({ kind: "share" }),
            onFork: () => lastTurn?.kind === "turn" && onFork(lastTurn.turn.id),
            onStartup,
            onEnd: () => setDialog({ kind: "end" }),
          }}
        />
        <Banners session={session} store={store} link={link} />
        {link.kind === "closed" && CLOSED[link.code] && !over ? <ClosedBar code={link.code} /> : null}
        <Transcript rows={rows} context={context} more={state.firstSeq > 1} />
        <div className="mx-auto flex w-full max-w-198 shrink-0 flex-col gap-1.5 px-3 pt-1.5 pb-3 sm:px-4">
          <Refusals outbox={outbox} onDismiss={store.dismiss} onTakeBack={(text) => composer.current?.put(text)} />
          {over ? null : <PinnedTodos todos={turn ? state.todos : []} />}
          <Queue
            waiting={queue}
            skip={pendingFirst(state) ? 1 : 0}
            turnRuns={turn !== null}
            onMove={(promptId, to) => store.send({ type: "move_prompt", promptId, to })}
            onPromote={(promptId) => store.send({ type: "promote_prompt", promptId })}
            onEdit={onEdit}
            onWithdraw={onWithdraw}
          />
          {powers.work ? (
            <Composer
              ref={composer}
              sessionId={session.id}
              model={session.model}
              running={turn !== null}
              aborting={aborting}
              closed={over ? "This session has ended" : undefined}
              offline={link.kind !== "open"}
              escHint={escHint}
              queued={queue.flatMap((row) => (row.sent ? [row.prompt] : []))}
              onSend={(text, chosen, mode) =>
                store.send({
                  type: "prompt",
                  promptId: newId("prm"),
                  text,
                  ...(chosen === undefined ? {} : { model: chosen }),
                  ...(mode === "steer" ? { mode } : {}),
                })
              }
              onSaveEdit={(promptId, text) => store.send({ type: "edit_prompt", promptId, text })}
              onAbort={abort}
            />
          ) : (
            <LookingOn owner={session.owner.name} />
          )}
        </div>
        <EndDialog open={dialog.kind === "end"} onClose={closeDialog} onEnd={() => store.send({ type: "terminate" })} />
        {dialog.kind === "share" ? (
          <Suspense fallback={null}>
            <ShareDialog onClose={closeDialog} session={session} store={store} chosen={sharing} />
          </Suspense>
        ) : null}
        <ForkDialog session={session} turnId={dialog.kind === "fork" ? dialog.turnId : undefined} onClose={closeDialog} />
        <Dialog open={dialog.kind === "startup"} onOpenChange={(open) => !open && closeDialog()} title="Start-up and watchdogs" testId="startup-dialog" className="sm:w-[44rem]">
          <StartupDetails
            sessionId={session.id}
            live={session.phase === "starting" || session.phase === "resuming" ? (state.fold.startup ?? null) : null}
            waitSeq={state.waitSeq}
            turnRuns={turn !== null}
            onRemedy={onRemedy}
          />
        </Dialog>
      </main>
    </PowersContext>
  );
}

function LookingOn({ owner }: { owner: string }) {
  return (
    <p data-testid="looking-on" className="flex min-h-11 items-center justify-center gap-2 rounded-lg border bg-surface px-3 text-center text-sm text-muted">
      <Eye size={15} aria-hidden className="shrink-0" />
      You look on. {owner} and those with whom it is shared to work on prompt here.
    </p>
  );
}

function ClosedBar({ code }: { code: number }) {
  const known = CLOSED[code];
  return (
    <div role="alert" className="flex items-center gap-3 border-b bg-surface px-4 py-1.5 text-sm">
      <span className="min-w-0 flex-1">
        {known?.title}. {known?.words}
      </span>
      <Button onClick={() => window.location.reload()}>Reload</Button>
    </div>
  );
}

/** Esc twice stops the turn; after the first press the answer is true for a moment. */
function useEscTwice(armed: boolean, run: () => void): boolean {
  const [hint, setHint] = useState(false);
  useEffect(() => {
    if (!armed) return;
    let first = 0;
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || event.defaultPrevented || event.isComposing || document.querySelector("[role=dialog], [role=menu]")) return;
      const now = Date.now();
      if (now - first < ESC_AGAIN_MS) {
        first = 0;
        setHint(false);
        run();
      } else {
        first = now;
        setHint(true);
      }
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, [armed, run]);
  useEffect(() => {
    if (!hint) return;
    const timer = setTimeout(() => setHint(false), ESC_AGAIN_MS);
    return () => clearTimeout(timer);
  }, [hint]);
  return hint && armed;
}
