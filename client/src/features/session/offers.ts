/** What can be done with a session as a whole, and why not when it cannot be done now (crates/session/src/rest.rs). Pure. */
import type { Powers } from "@/lib/may";
import type { Command } from "@/protocol/Command";
import type { Session } from "@/protocol/Session";

/** One thing to do. */
export interface Offer {
  readonly id: "pause" | "resume" | "retry" | "archive" | "restore" | "fork" | "terminate";
  readonly label: string;
  /** What comes of it. */
  readonly note?: string;
  /** Why the session would refuse it now. */
  readonly refused?: string;
  /** What to send; without it a dialog asks first. */
  readonly command?: Command;
}

/** What the offers depend on, beside the session. */
export interface Circumstances {
  readonly turnRuns: boolean;
  /** Prompts that wait. */
  readonly waiting: number;
  /** Whether a turn has ended. */
  readonly forkable: boolean;
}

/** The offers that make sense, in the order of the menu. */
export function offers(session: Session, circumstances: Circumstances): readonly Offer[] {
  const busy = busyWith(circumstances);
  const refused = busy === undefined ? {} : { refused: busy };
  const list: Offer[] = [];
  const { phase, archivedAt } = session;
  if (phase === "error") list.push({ id: "retry", label: "Retry", command: { type: "retry" } });
  if (phase === "paused" || phase === "idle") {
    const label = phase === "paused" ? "Resume" : "Start the sandbox";
    list.push({ id: "resume", label, note: "Brings the sandbox up without a prompt.", command: { type: "resume" } });
  }
  if (phase === "pausing") list.push({ id: "resume", label: "Keep it running", command: { type: "resume" } });
  if (phase === "running" || phase === "starting" || phase === "resuming" || phase === "reconnecting") {
    list.push({ id: "pause", label: "Pause", note: "Stops the sandbox and keeps its files.", command: { type: "pause" }, ...refused });
  }
  const unfinished = circumstances.forkable ? {} : { refused: "No turn has ended yet." };
  list.push({ id: "fork", label: "Fork…", note: "A new session that goes on from the last turn.", ...unfinished });
  if (archivedAt === undefined) {
    const note = phase === "terminated" ? "Takes it out of the list." : "Pauses it and takes it out of the list.";
    list.push({ id: "archive", label: "Archive", note, command: { type: "archive" }, ...refused });
  } else {
    list.push({ id: "restore", label: "Restore from the archive", command: { type: "restore" } });
  }
  if (phase !== "terminated") list.push({ id: "terminate", label: "End session…" });
  return list;
}

const TAKES: Record<Offer["id"], keyof Powers> = {
  pause: "work", resume: "work", retry: "work", fork: "work", archive: "manage", restore: "manage", terminate: "end",
};

/** Those of the offers that somebody may take. */
export function permitted(list: readonly Offer[], powers: Powers): readonly Offer[] {
  return list.filter(({ id }) => powers[TAKES[id]]);
}

function busyWith({ turnRuns, waiting }: Circumstances): string | undefined {
  if (turnRuns) return "A turn runs: stop it or let it finish first.";
  return waiting > 0 ? "Prompts wait: withdraw them or let them run first." : undefined;
}
