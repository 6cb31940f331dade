/** Why it waits: what stands in the way and what is done about it, and where the time of a start goes. */
import { Check, Circle, CircleAlert, CircleCheck, CircleStop, Clock, Dot, LoaderCircle, TriangleAlert, X } from "lucide-react";
import type { ReactNode } from "react";
import { Skeleton } from "@/components/bits";
import { Button } from "@/components/button";
import { terminalLines } from "@/components/terminal-output";
import type { Startup as LiveStart } from "@/features/session/draft";
import { usePowers } from "@/features/session/powers";
import { useStartup } from "@/features/session/use-startup";
import { waterfall, withLive, type Bar } from "@/features/session/waterfall";
import { messageOf } from "@/lib/api";
import { useNow } from "@/lib/clock";
import { cx } from "@/lib/cx";
import { clock, duration, plural } from "@/lib/format";
import type { Remedy } from "@/protocol/Remedy";
import type { Start } from "@/protocol/Start";
import type { Startup } from "@/protocol/Startup";
import type { Typical } from "@/protocol/Typical";
import type { Verdict } from "@/protocol/Verdict";
import type { Waiting } from "@/protocol/Waiting";
import type { Watchdog } from "@/protocol/Watchdog";

/** What both views of it need. */
export interface StartupProps {
  readonly sessionId: string;
  /** The start as the log tells it, while it goes on: there before the answer is, and ahead of it. */
  readonly live: LiveStart | null;
  readonly waitSeq: number;
  readonly turnRuns: boolean;
  readonly onRemedy: (remedy: Remedy) => void;
}

/** In the transcript, while nothing moves. */
export function StartupCard({ onDetails, ...props }: StartupProps & { onDetails: () => void }) {
  const { sessionId, live, waitSeq, turnRuns, onRemedy } = props;
  const { data } = useStartup(sessionId, waitSeq);
  const [start] = withLive(data?.starts ?? [], live);
  const going = start?.outcome === "going" ? start : undefined;
  return (
    <div data-testid="startup" data-step={going?.marks.at(-1)?.point ?? "requested"} className="mt-2 rounded-lg border bg-surface px-3 py-2.5">
      {data?.waiting ? <WaitingWords waiting={data.waiting} /> : <Doing>{going ? "The sandbox is being made ready" : "Asking for a sandbox"}</Doing>}
      {going ? <Bars start={going} typical={data?.typical} answering={turnRuns} /> : null}
      {live?.setup === undefined ? null : <SetupOutput text={live.setup} />}
      <div className="mt-2 flex flex-wrap gap-2">
        <RemedyButton waiting={data?.waiting} onRemedy={onRemedy} />
        <Button look="ghost" data-testid="startup-details" onClick={onDetails}>
          All starts and watchdogs
        </Button>
      </div>
    </div>
  );
}

/** The end of what the repository's set-up script says. */
function SetupOutput({ text }: { text: string }) {
  const lines = terminalLines(text).slice(-12).join("\n");
  return (
    <figure className="mt-2">
      <figcaption className="mb-1 text-xs text-muted">The repository’s set-up script</figcaption>
      <pre data-testid="setup-output" dir="ltr" tabIndex={0} aria-label="Output of the set-up script" className="text-mono max-h-48 overflow-auto rounded-md border bg-bg px-2.5 py-1.5 whitespace-pre-wrap text-ink [overflow-wrap:anywhere]">
        {lines}
      </pre>
    </figure>
  );
}

/** All of it, for the dialog. */
export function StartupDetails({ sessionId, live, waitSeq, turnRuns, onRemedy }: StartupProps) {
  const { data, error, refetch } = useStartup(sessionId, waitSeq);
  if (!data) return error ? <NotLoaded error={error} onAgain={() => void refetch()} /> : <Skeleton className="h-40 w-full" />;
  const [newest, ...earlier] = withLive(data.starts, live);
  return (
    <div data-testid="startup-details-body" className="flex flex-col gap-4">
      <section aria-label="Now" className="rounded-lg border bg-surface px-3 py-2.5">
        {data.waiting ? (
          <>
            <WaitingWords waiting={data.waiting} />
            <div className="mt-2 empty:hidden">
              <RemedyButton waiting={data.waiting} onRemedy={onRemedy} />
            </div>
          </>
        ) : (
          <p className="flex items-center gap-2 text-sm">
            <CircleCheck size={14} aria-hidden className="text-green" />
            Nothing waits.
          </p>
        )}
      </section>
      <section aria-label="Last start">
        <h3 className="font-medium">{newest?.outcome === "going" ? "This start" : "Last start"}</h3>
        {newest ? <OneStart start={newest} startup={data} answering={turnRuns} /> : <p className="text-sm text-muted">No sandbox was asked for yet.</p>}
      </section>
      <Verdicts verdicts={data.verdicts} />
      {earlier.length === 0 ? null : (
        <section aria-label="Earlier starts">
          <h3 className="font-medium">Earlier starts</h3>
          {earlier.map((start) => (
            <details key={`${start.generation}-${start.attempt}`} data-testid="earlier-start" className="border-b py-1.5 text-sm last:border-b-0">
              <summary className="rounded-sm pointer-coarse:py-3">
                <Outcome start={start} />
              </summary>
              <Bars start={start} typical={data.typical} answering={false} />
              {start.cause ? <p className="mt-1 text-sm text-muted [overflow-wrap:anywhere]">{start.cause.message}</p> : null}
            </details>
          ))}
        </section>
      )}
    </div>
  );
}

function NotLoaded({ error, onAgain }: { error: Error; onAgain: () => void }) {
  return (
    <p role="alert" className="flex items-center gap-2 text-sm">
      <CircleAlert size={14} aria-hidden className="shrink-0 text-red" />
      <span className="min-w-0 flex-1">This did not load. {messageOf(error)}</span>
      <Button onClick={onAgain}>Try again</Button>
    </p>
  );
}

function Doing({ children }: { children: ReactNode }) {
  return (
    <p role="status" className="flex items-start gap-2 text-sm font-medium">
      <LoaderCircle size={14} aria-hidden className="spin mt-0.75 shrink-0 text-blue" />
      <span className="min-w-0 [overflow-wrap:anywhere]">{children}</span>
    </p>
  );
}

function WaitingWords({ waiting }: { waiting: Waiting }) {
  const { reason, doing, deadline } = waiting;
  return (
    <>
      {deadline === undefined ? (
        <p role="status" className="flex items-start gap-2 text-sm font-medium">
          <Clock size={14} aria-hidden className="mt-0.75 shrink-0 text-amber" />
          <span className="min-w-0 [overflow-wrap:anywhere]">{reason}</span>
        </p>
      ) : (
        <Doing>{reason}</Doing>
      )}
      <p className="pl-5.5 text-sm text-muted [overflow-wrap:anywhere]">
        {doing} {deadline === undefined ? null : <Patience until={deadline} />}
      </p>
    </>
  );
}

function Patience({ until }: { until: string }) {
  const left = Date.parse(until) - useNow(1000);
  return (
    <span data-testid="patience" className="whitespace-nowrap tabular-nums">
      {left > 0 ? `Patience left: ${duration(Math.ceil(left / 1000) * 1000)}.` : "Its patience is over; it acts now."}
    </span>
  );
}

const REMEDIES: Record<Remedy["type"], string> = {
  retry: "Retry",
  abort: "Stop the turn",
  answer: "Go to the question",
  terminate: "End session…",
};

function RemedyButton({ waiting, onRemedy }: { waiting: Waiting | undefined; onRemedy: (remedy: Remedy) => void }) {
  const remedy = waiting?.remedy;
  const { work, end } = usePowers();
  if (!remedy || !(remedy.type === "terminate" ? end : work)) return null;
  return (
    <Button data-testid="remedy" data-remedy={remedy.type} look={remedy.type === "terminate" ? "danger" : "primary"} onClick={() => onRemedy(remedy)}>
      {REMEDIES[remedy.type]}
    </Button>
  );
}

function OneStart({ start, startup, answering }: { start: Start; startup: Startup; answering: boolean }) {
  return (
    <>
      <p className="text-sm text-muted">
        <Outcome start={start} />
      </p>
      {start.cause ? <p className="text-sm text-muted [overflow-wrap:anywhere]">{start.cause.message}</p> : null}
      <Bars start={start} typical={startup.typical} answering={answering} />
      {startup.typical ? <Usual typical={startup.typical} /> : <NothingUsual />}
    </>
  );
}

function Usual({ typical }: { typical: Typical }) {
  if (typical.samples < 2) return <NothingUsual />;
  return (
    <p data-testid="typical" className="mt-1.5 text-xs text-muted">
      Of this repository&rsquo;s last {plural(typical.samples, "start")}, half were ready within {span(typical.readyP50)}, 95 % within{" "}
      {span(typical.readyP95)}.
    </p>
  );
}

function NothingUsual() {
  return <p className="mt-1.5 text-xs text-muted">No other start of this repository is known yet to compare with.</p>;
}

function Outcome({ start }: { start: Start }) {
  const now = useNow(null);
  const first = start.marks[0];
  const { readyMs } = waterfall(start, undefined, now, false);
  const words = {
    going: "goes on",
    ready: readyMs === undefined ? "ready" : `ready in ${span(readyMs)}`,
    failed: "failed",
    cancelled: "called off",
  }[start.outcome];
  const tried = start.attempt > 1 ? `, try ${start.attempt}` : "";
  return (
    <>
      Sandbox {start.generation}
      {tried}: {words}
      {start.resumed ? ", with the files of the one before" : ""}
      {first ? ` · ${clock(first.at, now)}` : ""}
    </>
  );
}

function Bars({ start, typical, answering }: { start: Start; typical: Typical | undefined; answering: boolean }) {
  const moves = start.outcome === "going" || (answering && start.outcome === "ready");
  const now = useNow(moves ? 1000 : null);
  const { bars, total } = waterfall(start, typical, now, answering);
  return (
    <ol data-testid="waterfall" className="mt-2 grid gap-y-2.5 sm:grid-cols-[1rem_auto_minmax(3rem,1fr)_auto_auto] sm:gap-x-2 sm:gap-y-1">
      {bars.map((bar) => (
        <BarRow key={bar.point} bar={bar} total={total} failed={start.outcome === "failed"} />
      ))}
    </ol>
  );
}

function BarRow({ bar, total, failed }: { bar: Bar; total: number; failed: boolean }) {
  const { point, words, state, from, ms, usual, slow } = bar;
  const left = (value: number) => `${Math.min(100, (value / total) * 100)}%`;
  return (
    <li
      data-testid="bar"
      data-point={point}
      data-state={state}
      className="grid grid-cols-[1rem_minmax(0,1fr)_auto] items-center gap-x-2 text-sm text-muted gap-y-1 sm:col-span-full sm:grid-cols-subgrid"
    >
      <BarIcon state={state} />
      <span className={cx("truncate", (state === "now" || state === "failed") && "font-medium text-ink")}>
        {words}
        {state === "failed" ? <span className="sr-only"> (failed here)</span> : null}
      </span>
      <span className="text-right text-xs tabular-nums sm:order-1">
        {state === "todo" ? <span className="sr-only">to come</span> : state === "reached" ? `at ${span(from)}` : <Took ms={ms ?? 0} state={state} />}
      </span>
      <span aria-hidden className="relative col-span-2 col-start-2 h-1.5 rounded-full bg-hover sm:col-span-1 sm:col-start-auto">
        {ms === undefined ? null : (
          <span
            className={cx("absolute inset-y-0 rounded-full", state === "failed" ? "bg-red/75" : slow ? "bg-amber/75" : state === "now" ? "bg-blue" : "bg-line-strong")}
            style={{ insetInlineStart: `min(${left(from)}, calc(100% - 4px))`, width: `max(4px, ${left(ms)})`, maxWidth: `calc(100% - min(${left(from)}, calc(100% - 4px)))` }}
          />
        )}
        {usual && ms !== undefined && from + usual.p50 <= total ? <Tick at={left(from + usual.p50)} /> : null}
        {usual && ms !== undefined && from + usual.p95 <= total ? <Tick at={left(from + usual.p95)} strong /> : null}
      </span>
      <span className="col-span-2 col-start-2 text-xs text-muted tabular-nums empty:hidden sm:order-2 sm:whitespace-nowrap sm:col-span-1 sm:col-start-auto sm:empty:block">
        {slow ? (
          <span className="font-medium text-amber">
            <TriangleAlert size={12} aria-hidden className="mr-1 inline align-[-1px]" />
            {failed ? "long" : "slow today"},{" "}
          </span>
        ) : null}
        {usual ? `usually ${span(usual.p50)}, 95 % ≤ ${span(usual.p95)}` : null}
      </span>
    </li>
  );
}

function Took({ ms, state }: { ms: number; state: Bar["state"] }) {
  return (
    <>
      {span(ms)}
      {state === "now" ? <span className="sr-only"> so far</span> : null}
    </>
  );
}

/** A time that may be next to nothing; unbroken. */
function span(ms: number): string {
  const words = ms < 50 ? "<0.1 s" : ms < 9950 ? `${(ms / 1000).toFixed(1)} s` : duration(ms);
  return words.replaceAll(" ", "\u00a0");
}

function Tick({ at, strong = false }: { at: string; strong?: boolean }) {
  return <span className={cx("absolute -inset-y-0.5 w-px", strong ? "bg-ink" : "bg-muted")} style={{ insetInlineStart: at }} />;
}

function BarIcon({ state }: { state: Bar["state"] }) {
  switch (state) {
    case "done":
      return <Check size={13} aria-hidden className="text-green" />;
    case "failed":
      return <X size={13} aria-hidden className="text-red" />;
    case "now":
      return <LoaderCircle size={13} aria-hidden className="spin text-blue" />;
    case "reached":
      return <Dot size={13} aria-hidden className="text-green" />;
    case "todo":
      return <Circle size={13} aria-hidden className="text-faint" />;
  }
}

const WATCHDOGS: Record<Watchdog, string> = {
  start: "Start",
  reconnect: "Connection",
  runner_silence: "Silent sandbox",
  accept: "Handing over",
  turn_silence: "Silent turn",
  turn_total: "Length of a turn",
  abort: "Stopping",
  interaction: "Question",
  idle: "Idle sandbox",
  pausing: "Pausing",
  lifetime: "Time of the sandbox",
  breaker: "Repeated failures",
  snapshot: "Saving the work",
};
const VERDICTS_SHOWN = 3;

function Verdicts({ verdicts }: { verdicts: readonly Verdict[] }) {
  return (
    <section aria-label="What watchdogs decided">
      <h3 className="font-medium">What watchdogs decided</h3>
      {verdicts.length === 0 ? <p className="text-sm text-muted">Nothing so far: no deadline has passed.</p> : null}
      <VerdictList verdicts={verdicts.slice(0, VERDICTS_SHOWN)} />
      {verdicts.length <= VERDICTS_SHOWN ? null : (
        <details className="text-sm">
          <summary className="rounded-sm py-1 text-muted pointer-coarse:py-3">{plural(verdicts.length - VERDICTS_SHOWN, "earlier one")}</summary>
          <VerdictList verdicts={verdicts.slice(VERDICTS_SHOWN)} />
        </details>
      )}
    </section>
  );
}

function VerdictList({ verdicts }: { verdicts: readonly Verdict[] }) {
  const now = useNow(null);
  return (
    <ul>
      {verdicts.map((verdict, at) => (
        <li key={at} data-testid="verdict" data-watchdog={verdict.watchdog} className="flex gap-2 border-b py-1.5 text-sm last:border-b-0">
          <CircleStop size={14} aria-hidden className="mt-0.75 shrink-0 text-amber" />
          <span className="min-w-0 [overflow-wrap:anywhere]">
            <span className="text-xs text-muted">
              {WATCHDOGS[verdict.watchdog]} · <time dateTime={verdict.at}>{clock(verdict.at, now)}</time>
            </span>
            <span className="block">{verdict.cause.message}</span>
            <span className="block text-muted">{verdict.action}</span>
          </span>
        </li>
      ))}
    </ul>
  );
}
