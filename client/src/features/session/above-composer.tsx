/** What stands above the composer beside the queue: the agent's list while it is open, the commands that were refused. */
import { ChevronRight, CircleAlert, ListTodo, X } from "lucide-react";
import { useState } from "react";
import { IconButton } from "@/components/button";
import { TodoLine } from "@/features/session/tool-body";
import type { Sent } from "@/features/session/session-store";
import { cx } from "@/lib/cx";
import type { Todo } from "@/protocol/Todo";

/** The agent's list, while something in it is open. */
export function PinnedTodos({ todos }: { todos: readonly Todo[] }) {
  const [open, setOpen] = useState(false);
  const over = todos.filter((todo) => todo.status === "completed" || todo.status === "cancelled").length;
  if (todos.length === 0 || over === todos.length) return null;
  const current = todos.find((todo) => todo.status === "in_progress") ?? todos.find((todo) => todo.status === "pending");
  return (
    <section data-testid="todos" aria-label="The agent's list" className="rounded-lg border bg-surface">
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)} className="flex min-h-8 w-full items-center gap-2 px-2.5 text-sm">
        <ListTodo size={14} aria-hidden className="text-muted" />
        <span className="shrink-0 text-muted tabular-nums">
          {over} of {todos.length}
        </span>
        <span dir="auto" className="min-w-0 flex-1 truncate text-left">
          {current?.content}
        </span>
        <ChevronRight size={13} aria-hidden className={cx("text-faint transition-transform", open && "rotate-90")} />
      </button>
      {open ? (
        <ul className="max-h-48 overflow-y-auto border-t px-2.5 py-1.5">
          {todos.map((todo, at) => (
            <TodoLine key={at} content={todo.content} status={todo.status} />
          ))}
        </ul>
      ) : null}
    </section>
  );
}

/** What the server did not do, and why. */
export function Refusals({ outbox, onDismiss, onTakeBack }: {
  outbox: readonly Sent[];
  onDismiss: (commandId: string) => void;
  onTakeBack: (text: string) => void;
}) {
  return outbox.map(({ frame, refused }) =>
    refused === undefined ? null : (
      <div key={frame.id} role="alert" data-testid="refused" className="flex items-start gap-2 rounded-lg border border-red/40 [&>button]:-my-0.5 bg-red-soft px-2.5 py-1.5 text-sm">
        <CircleAlert size={14} aria-hidden className="mt-0.75 shrink-0 text-red" />
        <span className="min-w-0 flex-1 [overflow-wrap:anywhere]">
          {refused}
          {frame.type === "prompt" || frame.type === "edit_prompt" ? (
            <button
              type="button"
              className="ml-2 text-accent-ink underline underline-offset-2 pointer-coarse:my-1 pointer-coarse:ml-0 pointer-coarse:flex pointer-coarse:min-h-11 pointer-coarse:items-center"
              onClick={() => {
                onTakeBack(frame.text);
                onDismiss(frame.id);
              }}
            >
              Put it back into the composer
            </button>
          ) : null}
        </span>
        <IconButton label="Dismiss" className="size-6" onClick={() => onDismiss(frame.id)}>
          <X size={13} />
        </IconButton>
      </div>
    ),
  );
}
