/** What a session is doing: an icon with its colour, and the word for it. Colour never stands alone. */
import { Check, CircleAlert, CircleDashed, CircleHelp, CirclePause, CircleStop, LoaderCircle, Clock } from "lucide-react";
import { cx } from "@/lib/cx";
import type { Activity } from "@/protocol/Activity";

const WORDS: Record<Activity, string> = {
  idle: "Done",
  queued: "Waiting",
  thinking: "Thinking",
  tool: "Working",
  awaiting_input: "Needs you",
  starting: "Starting",
  paused: "Paused",
  error: "Failed",
  terminated: "Ended",
};

/** The word for an activity. */
export function activityWord(activity: Activity, fresh = false): string {
  return activity === "idle" && fresh ? "Ready" : WORDS[activity];
}

/** The icon for an activity, with its word for those who listen. */
export function ActivityIcon({ activity, size = 14 }: { activity: Activity; size?: number }) {
  const shared = { size, "aria-hidden": true } as const;
  switch (activity) {
    case "idle":
      return <Check {...shared} className="text-green" />;
    case "queued":
      return <Clock {...shared} className="text-muted" />;
    case "starting":
      return <CircleDashed {...shared} className={cx("spin text-muted")} />;
    case "thinking":
    case "tool":
      return <LoaderCircle {...shared} className="spin text-blue" />;
    case "awaiting_input":
      return <CircleHelp {...shared} className="text-amber" />;
    case "paused":
      return <CirclePause {...shared} className="text-muted" />;
    case "error":
      return <CircleAlert {...shared} className="text-red" />;
    case "terminated":
      return <CircleStop {...shared} className="text-faint" />;
  }
}
