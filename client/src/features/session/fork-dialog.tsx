/** Makes a fork: a new session that goes on where this one was after one of its turns. */
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { CircleAlert } from "lucide-react";
import { useRef, useState } from "react";
import { Card } from "@/components/bits";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { CONTROL, Field, Form, TextInput } from "@/components/fields";
import { call, messageOf } from "@/lib/api";
import { cx } from "@/lib/cx";
import { newId } from "@/lib/ids";
import type { PostFork } from "@/protocol/PostFork";
import type { Session } from "@/protocol/Session";

const MOST_TITLE_CHARS = 200;

/** The dialog; open while a turn is named. */
export function ForkDialog({ session, turnId, onClose }: { session: Session; turnId: string | undefined; onClose: () => void }) {
  return (
    <Dialog
      open={turnId !== undefined}
      onOpenChange={(open) => !open && onClose()}
      title="Fork the session"
      description="A new session that knows the conversation up to the end of this turn, with the files as they were then. Files that git ignores are left out. This session stays as it is."
      testId="fork-dialog"
    >
      {turnId === undefined ? null : <ForkForm session={session} turnId={turnId} onDone={onClose} />}
    </Dialog>
  );
}

function ForkForm({ session, turnId, onDone }: { session: Session; turnId: string; onDone: () => void }) {
  const navigate = useNavigate();
  // Made once: pressing twice, or again after an answer that was lost, makes one session.
  const [id] = useState(() => newId("ses"));
  const [title, setTitle] = useState(() => `Fork of ${session.title}`.slice(0, MOST_TITLE_CHARS));
  const [prompt, setPrompt] = useState("");
  // The mutation says a moment later that it is pending: too late for the second press of two.
  const going = useRef(false);
  const fork = useMutation({
    mutationFn: (body: PostFork) => call<Session>("POST", `/api/sessions/${session.id}/fork`, body),
    onSettled: () => {
      going.current = false;
    },
    onSuccess: (made) => {
      onDone();
      void navigate({ to: "/sessions/$sessionId", params: { sessionId: made.id } });
    },
  });
  const submit = () => {
    if (going.current) return;
    going.current = true;
    const named = title.trim();
    fork.mutate({ id, turnId, ...(named === "" ? {} : { title: named }), ...(prompt.trim() === "" ? {} : { prompt }) });
  };
  return (
    <Form onSubmit={submit} className="flex flex-col gap-3">
      <Field label="Title">
        {(field) => (
          <TextInput {...field} data-testid="fork-title" dir="auto" maxLength={MOST_TITLE_CHARS} value={title} onChange={(event) => setTitle(event.target.value)} />
        )}
      </Field>
      <Field label="First prompt" hint="May stay empty: the fork then waits for one.">
        {(field) => (
          <textarea
            {...field}
            data-testid="fork-prompt"
            dir="auto"
            rows={3}
            data-first
            value={prompt}
            onChange={(event) => setPrompt(event.target.value)}
            className={cx(CONTROL, "resize-y py-1.5")}
          />
        )}
      </Field>
      {fork.isError ? (
        <Card tone="red" role="alert" icon={<CircleAlert size={16} />} title="The fork was not made">
          {messageOf(fork.error)} What you wrote is kept.
        </Card>
      ) : null}
      <div className="flex justify-end gap-2">
        <Button onClick={onDone}>Cancel</Button>
        <Button look="primary" type="submit" data-testid="fork-submit" disabled={fork.isPending}>
          {fork.isPending ? "Forking…" : "Fork"}
        </Button>
      </div>
    </Form>
  );
}
