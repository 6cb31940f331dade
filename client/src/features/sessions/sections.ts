/** In which section of the list a session stands: who needs me, what runs, what was today. Pure. */
import type { Session } from "@/protocol/Session";

/** A section with its sessions, newest first. */
export interface Section {
  readonly title: "Needs you" | "Running" | "Today" | "Earlier";
  readonly sessions: readonly Session[];
}

function titleOf(session: Session, now: number): Section["title"] {
  switch (session.activity) {
    case "awaiting_input":
    case "error":
      return "Needs you";
    case "thinking":
    case "tool":
    case "starting":
    case "queued":
      return "Running";
    case "idle":
    case "paused":
    case "terminated":
      return new Date(session.updatedAt).toDateString() === new Date(now).toDateString() ? "Today" : "Earlier";
  }
}

/** The sections that have something in them, in reading order. */
export function sections(sessions: readonly Session[], now: number): readonly Section[] {
  const titles: Section["title"][] = ["Needs you", "Running", "Today", "Earlier"];
  const open = sessions.filter((session) => session.archivedAt === undefined);
  const newest = open.toSorted((a, b) => b.updatedAt.localeCompare(a.updatedAt));
  return titles
    .map((title) => ({ title, sessions: newest.filter((session) => titleOf(session, now) === title) }))
    .filter((section) => section.sessions.length > 0);
}
