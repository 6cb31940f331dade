/** What only a person can settle: permissions and questions, and afterwards who chose what. */
import { CircleHelp, MessageCircleQuestion, ShieldQuestion } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Card, Kbd } from "@/components/bits";
import { Button } from "@/components/button";
import { DiffView } from "@/components/diff/diff-view";
import { CONTROL } from "@/components/fields";
import { BudgetCard } from "@/features/session/budget-card";
import type { Asked } from "@/features/session/draft";
import { usePowers } from "@/features/session/powers";
import type { SessionStore } from "@/features/session/session-store";
import { useActions, type Action } from "@/lib/actions";
import { useNow } from "@/lib/clock";
import { cx } from "@/lib/cx";
import { clock, workspacePath } from "@/lib/format";
import { dollars } from "@/lib/money";
import type { Answer } from "@/protocol/Answer";
import type { Interaction } from "@/protocol/Interaction";
import type { PermissionReply } from "@/protocol/PermissionReply";
import type { Question } from "@/protocol/Question";

type Permission = Extract<Interaction, { kind: "permission" }>;
interface Choice {
  readonly id: PermissionReply;
  readonly label: string;
}
type Questions = Extract<Interaction, { kind: "question" }>;

/** Open or settled. */
export function AskedRow({ asked, store, sending }: { asked: Asked; store: SessionStore; sending: boolean }) {
  const { work } = usePowers();
  if (asked.resolution) return <Settled asked={asked} />;
  const { interaction } = asked;
  if (interaction.kind === "budget") return <BudgetCard ask={interaction} sessionId={store.id} />;
  if (!work) return <AskedOthers interaction={interaction} />;
  const answer = (given: Answer) => store.send({ type: "answer", interactionId: interaction.id, answer: given });
  return interaction.kind === "permission" ? (
    <PermissionCard ask={interaction} answer={answer} sending={sending} />
  ) : (
    <QuestionCard ask={interaction} answer={answer} sending={sending} />
  );
}

/** To those who look on: what is asked, and that others answer it. */
function AskedOthers({ interaction }: { interaction: Interaction }) {
  return (
    <Card tone="plain" role="group" testId="asked-others" icon={<CircleHelp size={16} aria-hidden />} title="The agent waits for an answer">
      <span dir="auto">{aboutWords(interaction)}</span>
      <Deadline at={interaction.deadline} then="its default counts. You look on; those who work on the session answer" />
    </Card>
  );
}

/** Takes the focus when the person is doing nothing else, so that the keys 1–9 work at once. */
function useFocusWhenIdle() {
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const focused = document.activeElement;
    const idle = focused === document.body || (focused instanceof HTMLTextAreaElement && focused.value === "");
    if (idle) ref.current?.focus({ preventScroll: true });
  }, []);
  return ref;
}

function Deadline({ at, then }: { at: string; then: string }) {
  const now = useNow(60_000);
  return (
    <p className="mt-2 text-xs text-muted">
      Without an answer by {clock(at, now)}: {then}.
    </p>
  );
}

const ASKS: Record<string, string> = {
  bash: "May the agent run this command?",
  edit: "May the agent change this file?",
  webfetch: "May the agent fetch this address?",
  external_directory: "May the agent leave its workspace?",
  doom_loop: "The agent repeats itself. May it go on?",
};

function PermissionCard({ ask, answer, sending }: { ask: Permission; answer: (answer: Answer) => void; sending: boolean }) {
  const ref = useFocusWhenIdle();
  const [why, setWhy] = useState("");
  const reply = (choice: PermissionReply) => {
    if (sending) return;
    const message = why.trim();
    answer({ type: "permission", reply: choice, ...(choice === "reject" && message !== "" ? { message } : {}) });
  };
  const always: readonly Choice[] = ask.always.length > 0 ? [{ id: "always", label: `Always allow ${ask.always.join(", ")}` }] : [];
  const choices: readonly Choice[] = [{ id: "once", label: "Allow once" }, ...always, { id: "reject", label: "Refuse" }];
  useActions(choices.map(({ id, label }, at) => numbered(at, label, () => reply(id))));
  const subject = ask.command ?? (ask.path === undefined ? undefined : workspacePath(ask.path)) ?? ask.patterns.join("\n");
  return (
    <div ref={ref} tabIndex={-1} className="outline-none">
      <Card
        tone="amber"
        role="group"
        testId="permission-card"
        icon={<ShieldQuestion size={16} aria-hidden />}
        title={ASKS[ask.permission] ?? `May the agent use "${ask.permission}"?`}
      >
        <pre dir="ltr" className="text-mono mt-1.5 max-h-48 overflow-auto rounded-md border bg-bg px-2.5 py-1.5 whitespace-pre-wrap text-ink [overflow-wrap:anywhere]" tabIndex={0} aria-label="What is asked">
          {subject}
        </pre>
        {ask.diff === undefined ? null : (
          <div className="mt-1.5 overflow-hidden rounded-md border bg-bg text-ink">
            <DiffView patch={ask.diff} path={workspacePath(ask.path ?? "file")} />
          </div>
        )}
        <div className="mt-2.5 flex flex-wrap gap-2">
          {choices.map(({ id, label }, at) => (
            <Button
              key={id}
              look={id === "once" ? "primary" : id === "reject" ? "danger" : "secondary"}
              disabled={sending}
              data-testid={`permission-${id}`}
              onClick={() => reply(id)}
            >
              <span className="truncate">{label}</span>
              <Numbered n={at + 1} onAccent={id === "once"} />
            </Button>
          ))}
        </div>
        <input
          aria-label="What to tell the agent with a refusal"
          data-testid="permission-message"
          placeholder="What to do instead, when refused"
          value={why}
          onChange={(event) => setWhy(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && !event.nativeEvent.isComposing && why.trim() !== "") reply("reject");
          }}
          className={cx(CONTROL, "mt-2 h-8 pointer-coarse:h-11")}
        />
        <Deadline at={ask.deadline} then="it counts as refused. A refusal without a word ends the turn" />
      </Card>
    </div>
  );
}

function numbered(at: number, label: string, run: () => void): Action {
  return { id: `choice-${at + 1}`, label, group: "Answer", key: String(at + 1), run };
}

function Numbered({ n, onAccent = false }: { n: number; onAccent?: boolean }) {
  if (n > 9) return null;
  return onAccent ? <span aria-hidden className="text-xs opacity-85 max-sm:hidden">{n}</span> : <span aria-hidden className="max-sm:hidden"><Kbd>{n}</Kbd></span>;
}

function QuestionCard({ ask, answer, sending }: { ask: Questions; answer: (answer: Answer) => void; sending: boolean }) {
  const ref = useFocusWhenIdle();
  const { questions } = ask;
  const [chosen, setChosen] = useState<readonly (readonly string[])[]>(() => questions.map(() => []));
  const [texts, setTexts] = useState<readonly string[]>(() => questions.map(() => ""));
  const only = questions.length === 1 && questions[0]?.multiple === false;
  const given = questions.map((_, at) => {
    const text = texts[at]?.trim() ?? "";
    return text === "" ? [...(chosen[at] ?? [])] : [...(questions[at]?.multiple ? (chosen[at] ?? []) : []), text];
  });
  const complete = given.every((answers) => answers.length > 0);
  const send = (answers: string[][]) => {
    if (!sending) answer({ type: "question", answers });
  };
  const choose = (at: number, label: string) => {
    if (only) return send([[label]]);
    const toggled = questions[at]?.multiple ? toggle(chosen[at] ?? [], label) : [label];
    setChosen(chosen.map((labels, index) => (index === at ? toggled : labels)));
  };
  const open = Math.max(0, given.findIndex((answers) => answers.length === 0));
  useActions((questions[open]?.options ?? []).slice(0, 9).map(({ label }, at) => numbered(at, label, () => choose(open, label))));
  return (
    <div ref={ref} tabIndex={-1} className="outline-none">
      <Card
        tone="accent"
        role="group"
        testId="question-card"
        icon={<CircleHelp size={16} aria-hidden />}
        title={questions.length === 1 ? "The agent asks" : `The agent asks ${questions.length} questions`}
      >
        {questions.map((question, at) => (
          <QuestionFields
            key={at}
            question={question}
            chosen={chosen[at] ?? []}
            text={texts[at] ?? ""}
            keys={at === open}
            sending={sending}
            onChoose={(label) => choose(at, label)}
            onText={(text) => setTexts(texts.map((old, index) => (index === at ? text : old)))}
            onEnter={() => complete && send(given)}
          />
        ))}
        <div className="mt-2.5 flex flex-wrap gap-2">
          {only && !questions[0]?.custom ? null : (
            <Button look="primary" data-testid="question-send" disabled={!complete || sending} onClick={() => send(given)}>
              {questions.length === 1 ? "Send answer" : "Send answers"}
            </Button>
          )}
          <Button look="ghost" data-testid="question-dismiss" disabled={sending} onClick={() => answer({ type: "dismiss" })}>
            Dismiss and end the turn
          </Button>
        </div>
        <Deadline at={ask.deadline} then="the question is dismissed" />
      </Card>
    </div>
  );
}

function toggle(labels: readonly string[], label: string): readonly string[] {
  return labels.includes(label) ? labels.filter((known) => known !== label) : [...labels, label];
}

function QuestionFields({
  question,
  chosen,
  text,
  keys,
  sending,
  onChoose,
  onText,
  onEnter,
}: {
  question: Question;
  chosen: readonly string[];
  text: string;
  keys: boolean;
  sending: boolean;
  onChoose: (label: string) => void;
  onText: (text: string) => void;
  onEnter: () => void;
}) {
  return (
    <fieldset className="mt-1.5">
      <legend dir="auto" className="text-base text-ink">
        {question.question}
        {question.multiple ? <span className="text-sm text-muted"> Choose any.</span> : null}
      </legend>
      <div className="mt-1.5 flex flex-col gap-1.5">
        {question.options.map((option, at) => (
          <button
            key={option.label}
            type="button"
            disabled={sending}
            aria-pressed={chosen.includes(option.label)}
            data-testid="question-option"
            onClick={() => onChoose(option.label)}
            className="flex min-h-8 items-center gap-2 rounded-md border border-line-strong bg-raised px-2.5 py-1 text-left text-sm text-ink hover:bg-hover disabled:opacity-55 aria-pressed:border-accent aria-pressed:bg-accent-soft pointer-coarse:min-h-11"
          >
            <span dir="auto" className="min-w-0 flex-1">
              <span className="font-medium">{option.label}</span>
              {option.description === "" ? null : <span className="text-muted"> {option.description}</span>}
            </span>
            {keys ? <Numbered n={at + 1} /> : null}
          </button>
        ))}
        {question.custom ? (
          <input
            aria-label={`Another answer to: ${question.question}`}
            data-testid="question-text"
            dir="auto"
            placeholder="Another answer"
            value={text}
            onChange={(event) => onText(event.target.value)}
            onKeyDown={(event) => {
              if (event.key === "Enter" && !event.nativeEvent.isComposing) onEnter();
            }}
            className={cx(CONTROL, "h-8 pointer-coarse:h-11")}
          />
        ) : null}
      </div>
    </fieldset>
  );
}

/** In words, what was chosen. */
export function settledWords(asked: Asked): string {
  const { interaction, resolution } = asked;
  if (!resolution || resolution.how === "cancelled") return "No longer asked: the turn went on or ended without an answer";
  const who = resolution.how === "answered" ? resolution.by.name : "Nobody answered in time";
  const { answer } = resolution;
  if (answer.type === "extend") return `${who} extended the budget to ${dollars(answer.limit)}`;
  if (interaction.kind === "budget") return resolution.how === "expired" ? "The budget’s time was up; the work was taken up again" : `${who} took the work up again`;
  if (resolution.how === "expired") return `${who}: ${interaction.kind === "permission" ? "refused" : "dismissed"}`;
  if (answer.type === "permission") {
    const verb = { once: "allowed once", always: "always allows", reject: "refused" }[answer.reply];
    return answer.message === undefined ? `${who} ${verb}` : `${who} ${verb}: ${answer.message}`;
  }
  if (answer.type === "dismiss") return `${who} dismissed the question`;
  return `${who} answered: ${answer.answers.map((labels) => labels.join(", ")).join("; ")}`;
}

/** What it is about, in one line. */
function aboutWords(interaction: Interaction): string {
  if (interaction.kind === "budget") return interaction.notice.what;
  return interaction.kind === "permission"
    ? (interaction.command ?? interaction.path ?? interaction.patterns.join(", "))
    : interaction.questions.map((question) => question.question).join(" ");
}

function Settled({ asked }: { asked: Asked }) {
  const about = aboutWords(asked.interaction);
  return (
    <div data-testid="settled" className="flex min-h-7 items-center gap-1.5 px-1 text-sm text-muted">
      <span className="flex size-5 shrink-0 items-center justify-center">
        <MessageCircleQuestion size={14} aria-hidden />
      </span>
      <span dir="auto" className="shrink-0 max-w-2/3 truncate">
        {settledWords(asked)}
      </span>
      <span dir="auto" className="text-mono min-w-0 truncate text-faint" title={about}>
        {about}
      </span>
    </div>
  );
}
