/**
 * Where prompts are written: Enter sends, Shift-Enter breaks, drafts are kept per session. While a turn runs a prompt waits
 * for its own turn, or is told to the agent now.
 */
import { useQuery } from "@tanstack/react-query";
import { ArrowUp, CornerDownRight, Square, X } from "lucide-react";
import { useCallback, useEffect, useImperativeHandle, useLayoutEffect, useRef, useState, type KeyboardEvent, type Ref } from "react";
import { DemoBadge } from "@/components/bits";
import { Button, IconButton } from "@/components/button";
import { cx } from "@/lib/cx";
import { keyName } from "@/lib/actions";
import { modelLabel, modelsQuery, splitEffort, useModel } from "@/lib/models";
import { keep, kept } from "@/lib/storage";
import type { Prompt } from "@/protocol/Prompt";
import type { PromptMode } from "@/protocol/PromptMode";

/** What the page can ask of the composer. */
export interface ComposerHandle {
  edit(prompt: Prompt): void;
  put(text: string): void;
  focus(): void;
}

interface ComposerProps {
  readonly ref: Ref<ComposerHandle>;
  readonly sessionId: string;
  readonly model: string;
  readonly running: boolean;
  readonly aborting: boolean;
  /** Why nothing can be sent. */
  readonly closed: string | undefined;
  readonly offline: boolean;
  readonly escHint: boolean;
  /** The prompts that wait, as the server has them. */
  readonly queued: readonly Prompt[];
  readonly onSend: (text: string, model: string | undefined, mode: PromptMode) => void;
  readonly onSaveEdit: (promptId: string, text: string) => void;
  readonly onAbort: () => void;
}

const MOST_BYTES = 512 * 1024;

function useDraft(sessionId: string): [string, (text: string) => void] {
  const key = `errand.draft.${sessionId}`;
  const [text, setText] = useState(() => kept(key) ?? "");
  const change = useCallback(
    (next: string) => {
      setText(next);
      keep(key, next === "" ? null : next);
    },
    [key],
  );
  return [text, change];
}

/** See the head of the file. */
export function Composer({ ref, ...props }: ComposerProps) {
  const { sessionId, running, aborting, closed, offline, escHint, queued, onSend, onSaveEdit, onAbort } = props;
  const [draft, setDraft] = useDraft(sessionId);
  const [editing, setEditing] = useState<{ prompt: Prompt; text: string } | null>(null);
  const [model, setModel] = useState<string | undefined>(undefined);
  const area = useRef<HTMLTextAreaElement>(null);
  const text = editing?.text ?? draft;
  const present = editing ? queued.find(({ id }) => id === editing.prompt.id) : undefined;
  const setText = (next: string) => (editing ? setEditing({ ...editing, text: next }) : setDraft(next));
  const focus = () => area.current?.focus();
  useImperativeHandle(ref, () => ({
    edit: (prompt) => {
      setEditing({ prompt, text: prompt.text });
      focus();
    },
    put: (back) => {
      setDraft(draft === "" ? back : `${draft}\n\n${back}`);
      focus();
    },
    focus,
  }));
  useLayoutEffect(() => {
    const node = area.current;
    if (!node) return;
    node.style.height = "auto";
    node.style.height = `${node.scrollHeight}px`;
  }, [text]);
  // A phone's keyboard must not jump up by itself.
  useEffect(() => {
    if (matchMedia("(pointer: fine)").matches) area.current?.focus({ preventScroll: true });
  }, []);

  const tooLong = text.length > MOST_BYTES / 4 && new Blob([text]).size > MOST_BYTES;
  const ready = text.trim() !== "" && closed === undefined && !tooLong;
  const steerable = running && !aborting && !editing;
  const submit = (mode: PromptMode = "queue") => {
    if (!ready) return;
    if (editing && present) {
      if (editing.text !== present.text) onSaveEdit(editing.prompt.id, editing.text);
    } else {
      onSend(text, model, steerable ? mode : "queue");
    }
    if (editing) setEditing(null);
    else setDraft("");
  };
  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- keyCode 229: Safari ends the composition before the Enter that confirms it arrives.
    if (event.nativeEvent.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      submit(event.metaKey || event.ctrlKey ? "steer" : "queue");
    } else if (event.key === "ArrowUp" && text === "" && !editing) {
      const last = queued.at(-1);
      if (!last) return;
      event.preventDefault();
      setEditing({ prompt: last, text: last.text });
    } else if (event.key === "Escape" && editing) {
      event.preventDefault();
      event.stopPropagation();
      setEditing(null);
    }
  };
  return (
    <div className="rounded-lg border border-line-strong bg-raised focus-within:border-accent">
      {editing ? (
        <EditingBar
          base={editing.prompt}
          present={present}
          onTake={(prompt) => {
            setEditing({ prompt, text: prompt.text });
            focus();
          }}
          onStop={() => {
            setEditing(null);
            focus();
          }}
        />
      ) : null}
      <textarea
        ref={area}
        data-testid="composer"
        aria-label="Prompt"
        dir="auto"
        rows={1}
        value={text}
        disabled={closed !== undefined}
        placeholder={closed ?? (running ? "The next prompt, or a word to the agent now" : "What should be done next?")}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
        className="block max-h-[38dvh] min-h-10 w-full resize-none pointer-coarse:min-h-11 bg-transparent px-3 pt-2.5 pb-1 text-base outline-none placeholder:text-faint"
      />
      <div className="flex items-center gap-2 pr-1.5 pb-1.5 pl-3">
        <ModelChoice crowded={running} session={props.model} chosen={model} onChoose={setModel} />
        <span role="status" className={cx("min-w-0 flex-1 truncate text-right text-xs", tooLong ? "text-red" : "text-muted")}>
          {tooLong ? "Too long: at most 512 KiB" : escHint ? "Press Esc again to stop the turn" : offline && ready ? <span className="max-sm:sr-only">Sent as soon as Errand answers</span> : ""}
        </span>
        {running ? (
          <button
            type="button"
            data-testid="abort"
            disabled={aborting}
            onClick={onAbort}
            title="Stop the turn (Esc Esc)"
            className="inline-flex h-7 shrink-0 items-center gap-1.5 rounded-md border border-line-strong px-2 text-xs font-medium hover:bg-hover disabled:opacity-55 pointer-coarse:h-11 pointer-coarse:px-3"
          >
            <Square size={11} aria-hidden fill="currentColor" />
            {aborting ? "Stopping…" : "Stop"}
          </button>
        ) : null}
        {steerable ? (
          <button
            type="button"
            data-testid="steer"
            disabled={!ready}
            onClick={() => submit("steer")}
            title={`The running turn takes it in at its next step (${keyName("mod+Enter")})`}
            className="inline-flex h-7 shrink-0 items-center gap-1.5 rounded-md border border-line-strong px-2 text-xs font-medium hover:bg-hover disabled:opacity-55 pointer-coarse:h-11 pointer-coarse:px-3"
          >
            <CornerDownRight size={13} aria-hidden />
            <span>
              Tell <span className="max-sm:sr-only">the agent </span>now
            </span>
          </button>
        ) : null}
        <button
          type="button"
          data-testid="send"
          aria-label={present ? "Save the prompt" : running ? "Queue the prompt" : "Send the prompt"}
          title={present ? "Save (Enter)" : running ? "Queue (Enter)" : "Send (Enter)"}
          disabled={!ready}
          onClick={() => submit()}
          className="inline-flex size-7 shrink-0 items-center justify-center rounded-md bg-accent text-on-accent hover:bg-accent-hover disabled:bg-hover disabled:text-faint pointer-coarse:size-11"
        >
          <ArrowUp size={16} aria-hidden />
        </button>
      </div>
    </div>
  );
}

/** Says what is edited, and what became of it meanwhile: another person, or this one in another window, may have been at it. */
function EditingBar({ base, present, onTake, onStop }: {
  base: Prompt;
  present: Prompt | undefined;
  onTake: (prompt: Prompt) => void;
  onStop: () => void;
}) {
  const changed = present !== undefined && present.text !== base.text;
  const words =
    present === undefined
      ? "This prompt no longer waits. What you write is sent as a new one."
      : changed
        ? "Its text was changed meanwhile. Saving yours replaces that."
        : "Editing a waiting prompt";
  return (
    <div data-testid="editing" className={cx("flex items-center gap-2 border-b py-1 pr-1.5 pl-3 text-xs", present === undefined || changed ? "bg-amber-soft text-ink" : "text-muted")}>
      <span role="status" className="min-w-0 flex-1">
        {words}
      </span>
      {changed ? (
        <Button data-testid="editing-take" className="h-7 px-2 text-xs" onClick={() => onTake(present)}>
          Show that text
        </Button>
      ) : null}
      <IconButton label="Stop editing" className="size-6" onClick={onStop}>
        <X size={13} />
      </IconButton>
    </div>
  );
}

function ModelChoice({ crowded, session, chosen, onChoose }: { crowded: boolean; session: string; chosen: string | undefined; onChoose: (id: string | undefined) => void }) {
  const { data } = useQuery(modelsQuery);
  const wanted = chosen ?? session;
  const { model, effort } = splitEffort(wanted);
  const current = useModel(wanted);
  const models = data?.models ?? [];
  const efforts = models.find(({ id }) => id === model)?.efforts ?? [];
  const choose = (id: string) => onChoose(id === session ? undefined : id);
  return (
    <span className="flex min-w-0 shrink-2 items-center gap-1.5 text-xs text-muted">
      {models.length < 2 ? (
        <span className={cx("truncate", current.demo && "max-sm:sr-only")}>{current.name}</span>
      ) : (
        <select aria-label="Model for this prompt" data-testid="composer-model" value={model} onChange={(event) => choose(event.target.value)} className={cx(CHOICE, "max-w-44 min-w-12 shrink")}>
          {models.some(({ id }) => id === model) ? null : <option value={model}>{current.name}</option>}
          {models.map((one) => (
            <option key={one.id} value={one.id} disabled={one.locked}>
              {modelLabel(one)}
            </option>
          ))}
        </select>
      )}
      {current.demo ? <span className={cx("shrink-0", crowded && "max-sm:sr-only")}><DemoBadge /></span> : null}
      {efforts.length === 0 ? null : (
        <select
          aria-label="How much it thinks"
          data-testid="composer-effort"
          value={effort ?? ""}
          onChange={({ target }) => choose(target.value === "" ? model : `${model}@${target.value}`)}
          className={cx(CHOICE, "max-sm:hidden")}
        >
          <option value="">thinks as usual</option>
          {efforts.map((one) => (
            <option key={one} value={one}>
              {`thinks ${EFFORTS[one]}`}
            </option>
          ))}
        </select>
      )}
    </span>
  );
}

const CHOICE = "h-7 truncate rounded-md bg-transparent text-xs text-muted hover:bg-hover pointer-coarse:h-11";
const EFFORTS = { low: "little", medium: "some", high: "much" } as const;
