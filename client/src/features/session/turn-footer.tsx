/** The end of a turn: how it went, what it changed, and what can be done from there. */
import { CircleAlert, CircleCheck, CircleStop, Ellipsis, GitFork, RotateCcw } from "lucide-react";
import { useState } from "react";
import { Card, Facts } from "@/components/bits";
import { Button, IconButton } from "@/components/button";
import { CopyButton } from "@/components/markdown/code-block";
import { Menu, MenuItem } from "@/components/menu";
import type { Turn } from "@/features/session/draft";
import { usePowers } from "@/features/session/powers";
import type { RowContext } from "@/features/session/row-view";
import { ChangedFile } from "@/features/session/tool-card";
import { useTurnCost } from "@/features/session/use-spending";
import { between, count, duration, plural } from "@/lib/format";
import { dollars } from "@/lib/money";
import { newId } from "@/lib/ids";

const OUTCOMES = {
  done: { words: "Done", icon: <CircleCheck size={14} aria-hidden className="text-green" /> },
  failed: { words: "Failed", icon: <CircleAlert size={14} aria-hidden className="text-red" /> },
  aborted: { words: "Stopped", icon: <CircleStop size={14} aria-hidden className="text-amber" /> },
} as const;

/** See the head of the file. */
export function TurnFooter({ turn, context }: { turn: Turn; context: RowContext }) {
  const { end } = turn;
  const booked = useTurnCost(context.store.id, turn.id);
  if (!end) return null;
  const { words, icon } = OUTCOMES[end.outcome];
  // What the engine says is in dollars.
  const cost = booked ?? end.usage.cost * 1_000_000;
  const tokens = end.usage.input + end.usage.output + end.usage.reasoning;
  const facts = [
    <span key="outcome" className="font-medium">
      {words}
    </span>,
    end.outcome === "aborted" ? end.cause?.message : undefined,
    turn.startedAt === undefined ? undefined : duration(between(turn.startedAt, end.at)),
    tokens === 0 ? undefined : `${count(tokens)} tokens`,
    cost <= 0 ? undefined : dollars(cost),
    end.files.length === 0 ? undefined : `${plural(end.files.length, "file")} changed`,
  ].filter((fact) => fact !== undefined);
  return (
    <footer data-testid="turn-footer" data-outcome={end.outcome} className="pt-1 pb-2">
      {end.cause === undefined || end.outcome !== "failed" ? null : (
        <div className="mb-2">
          <Card tone="red" icon={<CircleAlert size={16} aria-hidden />} title="The turn failed">
            {end.cause.message}
          </Card>
        </div>
      )}
      {end.files.length === 0 ? null : (
        <ul aria-label="Files changed" className="mb-1.5 overflow-hidden rounded-lg border">
          {end.files.map((file) => (
            <ChangedFile
              key={file.path}
              path={file.path}
              added={file.additions}
              removed={file.deletions}
              note={file.status === "modified" ? undefined : file.status === "added" ? "new" : "deleted"}
              patch={file.patch}
            />
          ))}
        </ul>
      )}
      <div className="flex min-h-7 items-center gap-x-1.5 px-1 text-xs text-muted tabular-nums">
        {icon}
        <Facts className="min-w-0 flex-1" facts={facts} />
        <span className="ml-auto flex shrink-0 items-center">
          <TurnActions turn={turn} context={context} />
        </span>
      </div>
    </footer>
  );
}

function TurnActions({ turn, context }: { turn: Turn; context: RowContext }) {
  const text = lastText(turn);
  const prompt = context.store.snapshot.get().state.fold.prompts[turn.promptId ?? ""];
  // Pressed twice it is still one prompt.
  const [sent, setSent] = useState(false);
  const { work } = usePowers();
  const again = () => {
    if (!prompt || sent) return;
    context.store.send({ type: "prompt", promptId: newId("prm"), text: prompt.text });
    setSent(true);
  };
  return (
    <>
      {text === undefined ? null : <CopyButton text={text} label="Copy the answer" />}
      {turn.end?.outcome === "done" || !prompt || !work ? null : (
        <Button look="ghost" data-testid="turn-again" disabled={sent} onClick={again} className="h-7 px-2 text-xs">
          <RotateCcw size={13} aria-hidden />
          Run again
        </Button>
      )}
      {work ? (
        <Menu
          trigger={
            <IconButton label="More about this turn" data-testid="turn-menu">
              <Ellipsis size={15} />
            </IconButton>
          }
        >
          <MenuItem
            icon={<GitFork size={14} />}
            moves
            note="A new session that knows the conversation up to here."
            onSelect={() => context.onFork(turn.id)}
            testId="fork"
          >
            Fork from here…
          </MenuItem>
        </Menu>
      ) : null}
    </>
  );
}

function lastText(turn: Turn): string | undefined {
  const texts = turn.items.flatMap((item) => (item.kind === "message" ? item.message.parts : [])).flatMap((part) =>
    part.type === "text" && part.parentPartId === undefined && part.text.trim() !== "" ? [part.text] : [],
  );
  return texts.at(-1);
}
