/** Why it waits: the steps of a start, each with its time. */
import { Check, Circle, LoaderCircle } from "lucide-react";
import type { Startup } from "@/features/session/draft";
import { useNow } from "@/lib/clock";
import { duration } from "@/lib/format";
import type { StartStep } from "@/protocol/StartStep";

const STEPS: readonly { step: StartStep; doing: string; done: string }[] = [
  { step: "requested", doing: "Asking for a sandbox", done: "Sandbox promised" },
  { step: "booting", doing: "Starting the sandbox", done: "Sandbox started" },
  { step: "cloning", doing: "Cloning the repository", done: "Repository cloned" },
  { step: "setup", doing: "Running the repository's set-up", done: "Set-up done" },
  { step: "engine", doing: "Starting the agent", done: "Agent started" },
];

/** See the head of the file. */
export function StartupCard({ startup }: { startup: Startup | null }) {
  const ticked = useNow(1000);
  const steps = startup?.steps ?? [];
  const last = steps.at(-1);
  const first = steps[0];
  // Neither a tick that is still to come nor a clock that runs behind the server's may make a step end before it began.
  const now = Math.max(ticked, last ? Date.parse(last.at) : 0);
  const total = first ? Math.max(1, now - Date.parse(first.at)) : 1;
  const doing = STEPS.find((known) => known.step === last?.step)?.doing ?? "Asking for a sandbox";
  return (
    <div data-testid="startup" data-step={last?.step ?? "requested"} className="rounded-lg border bg-surface px-3 py-2.5">
      <p role="status" className="flex items-center gap-2 text-sm font-medium">
        <LoaderCircle size={14} aria-hidden className="spin text-blue" />
        {doing}…
        {startup && startup.attempt > 1 ? <span className="font-normal text-muted">attempt {startup.attempt}</span> : null}
      </p>
      <ol className="mt-2 flex flex-col gap-1">
        {STEPS.map(({ step, doing: present, done }) => {
          const at = steps.findIndex((known) => known.step === step);
          const began = steps[at];
          const ended = steps[at + 1];
          if (!began && step === "setup" && steps.some((known) => known.step === "engine")) return null;
          const from = began ? Date.parse(began.at) : 0;
          const to = began && ended ? Date.parse(ended.at) : now;
          return (
            <li key={step} className="grid grid-cols-[1rem_minmax(0,13rem)_1fr_3.5rem] items-center gap-2 text-sm text-muted">
              {began && ended ? <Check size={13} aria-hidden className="text-green" /> : null}
              {began && !ended ? <LoaderCircle size={13} aria-hidden className="spin text-blue" /> : null}
              {began ? null : <Circle size={13} aria-hidden className="text-faint" />}
              <span className="truncate">{began && ended ? done : present}</span>
              <span aria-hidden className="relative h-1.5 rounded-full bg-hover">
                {began && first ? (
                  <span
                    className={ended ? "absolute inset-y-0 rounded-full bg-line-strong" : "absolute inset-y-0 rounded-full bg-blue"}
                    style={{
                      insetInlineStart: `${((from - Date.parse(first.at)) / total) * 100}%`,
                      width: `max(4px, ${(Math.max(0, to - from) / total) * 100}%)`,
                    }}
                  />
                ) : null}
              </span>
              <span className="text-right text-xs tabular-nums">{began ? duration(Math.max(0, to - from)) : ""}</span>
            </li>
          );
        })}
      </ol>
    </div>
  );
}
