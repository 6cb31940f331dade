/** Hands over a piece of work: which repository, which branch, which model, and what to do. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { CircleAlert } from "lucide-react";
import { useRef, useState, type KeyboardEvent } from "react";
import { Card, DemoBadge, Kbd } from "@/components/bits";
import { Button } from "@/components/button";
import { Combobox } from "@/components/combobox";
import { Dialog } from "@/components/dialog";
import { Choice, CONTROL, Field, Form, TextInput } from "@/components/fields";
import { EstimateLine } from "@/features/sessions/estimate-line";
import { createSession, upsertSession } from "@/features/sessions/list";
import { installationQuery } from "@/lib/account";
import { keyName } from "@/lib/actions";
import { messageOf } from "@/lib/api";
import { cx } from "@/lib/cx";
import { newId } from "@/lib/ids";
import { modelLabel, modelsQuery } from "@/lib/models";
import { repoProblem, reposQuery } from "@/lib/repos";
import { keep, kept } from "@/lib/storage";
import type { CreateSession } from "@/protocol/CreateSession";
import type { Session } from "@/protocol/Session";

interface NewSessionProps {
  readonly open: boolean;
  readonly onOpenChange: (open: boolean) => void;
  readonly onCreated: (session: Session) => void;
}

/** The dialog. */
export function NewSessionDialog({ open, onOpenChange, onCreated }: NewSessionProps) {
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title="New session" testId="new-session-dialog">
      <NewSessionForm onCreated={onCreated} />
    </Dialog>
  );
}

const DRAFT = "errand.draft.new";
const EFFORTS = { low: "Thinks little", medium: "Thinks some", high: "Thinks much" } as const;

function NewSessionForm({ onCreated }: { onCreated: (session: Session) => void }) {
  const client = useQueryClient();
  const { data: installation } = useQuery(installationQuery);
  const repos = useQuery(reposQuery);
  const known = repos.data?.repos ?? (installation?.sampleRepo ? [installation.sampleRepo] : []);
  // `null`: not touched. The first repository stands in the fields, and its suggestion until the person writes.
  const [url, setUrl] = useState<string | null>(null);
  const [branchTyped, setBranch] = useState<string | null>(null);
  const [model, setModel] = useState("");
  const [promptTyped, setPrompt] = useState(() => kept(DRAFT));
  const address = (url ?? known[0]?.url ?? "").trim();
  const repo = known.find((candidate) => candidate.url === address);
  const branch = branchTyped ?? repo?.branch ?? "";
  const prompt = promptTyped ?? repo?.suggestion ?? "";
  const [effort, setEffort] = useState("");
  const [tried, setTried] = useState(false);
  // What was tried last, with its id: the same again is a repetition, anything else another session.
  const last = useRef({ id: "", asked: "" });
  // The mutation says a moment later that it is pending: too late for the second press of two.
  const going = useRef(false);
  const create = useMutation({
    mutationFn: (body: CreateSession) => createSession(body),
    onSettled: () => {
      going.current = false;
    },
    onSuccess: (session) => {
      keep(DRAFT, null);
      upsertSession(client, session);
      void client.invalidateQueries({ queryKey: reposQuery.queryKey });
      onCreated(session);
    },
  });

  const wrongRepo = tried ? repoProblem(address) : undefined;
  const wrongPrompt = tried && prompt.trim() === "" ? "Say what should be done." : undefined;
  const submit = () => {
    setTried(true);
    if (going.current || repoProblem(address) !== undefined || prompt.trim() === "") return;
    going.current = true;
    const named = branch.trim();
    const asked = {
      prompt,
      ...(address === "" ? {} : { repo: { url: address, ...(named === "" ? {} : { branch: named }) } }),
      ...(chosen === undefined || (model === "" && effort === "") ? {} : { model: effort === "" ? chosen.id : `${chosen.id}@${effort}` }),
    };
    const text = JSON.stringify(asked);
    if (last.current.asked !== text) last.current = { id: newId("ses"), asked: text };
    create.mutate({ id: last.current.id, ...asked });
  };
  const onKeyDown = (event: KeyboardEvent<HTMLFormElement>) => {
    if (event.key === "Enter" && (event.metaKey || event.ctrlKey) && !event.nativeEvent.isComposing) event.currentTarget.requestSubmit();
  };
  const { data: list } = useQuery(modelsQuery);
  const models = list?.models ?? [];
  const chosen = models.find((m) => m.id === (model === "" ? list?.default : model));
  const locked = list !== undefined && list.default === undefined && model === "";
  return (
    <Form onSubmit={submit} onKeyDown={onKeyDown} className="flex flex-col gap-3">
      <Field label="What should be done?" error={wrongPrompt}>
        {(field) => (
          <textarea
            {...field}
            data-testid="new-session-prompt"
            dir="auto"
            rows={5}
            data-first
            placeholder="Fix the failing test and explain what was wrong."
            className={cx(CONTROL, "resize-y py-2 leading-snug")}
            value={prompt}
            onChange={(event) => {
              setPrompt(event.target.value);
              keep(DRAFT, event.target.value.trim() === "" ? null : event.target.value);
            }}
          />
        )}
      </Field>
      <div className="grid gap-3 sm:grid-cols-[1fr_10rem]">
        <Field label="Repository" hint={address === "" ? "Empty: the agent starts in an empty folder." : undefined} error={wrongRepo}>
          {(field) => (
            <Combobox
              field={field}
              testId="new-session-repo"
              value={url ?? address}
              onChange={setUrl}
              onPick={(value) => {
                setUrl(value);
                setBranch(null);
              }}
              suggestions={known.map((r) => ({ value: r.url, label: r.name, note: r.description ?? r.url }))}
              placeholder="https://github.com/owner/name"
            />
          )}
        </Field>
        <Field label="Branch">
          {(field) => (
            <TextInput
              {...field}
              data-testid="new-session-branch"
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
              placeholder="default"
              value={branch}
              onChange={(event) => setBranch(event.target.value)}
            />
          )}
        </Field>
      </div>
      <Field
        label="Model"
        hint={chosen?.demo ? "The demo model follows a script; it is not a real model." : undefined}
        error={locked ? "No model can be used: store a key of its provider under Settings, Models and keys." : undefined}
      >
        {(field) => (
          <div className="flex flex-wrap items-center gap-2">
            <Choice
              {...field}
              data-testid="new-session-model"
              className="min-w-52 flex-1"
              options={[
                ...(chosen ? [] : [{ value: "", words: "None" }]),
                ...models.map((m) => ({ value: m.id, words: `${modelLabel(m)}${m.id === list?.default ? " · default" : ""}`, disabled: m.locked })),
              ]}
              value={chosen?.id ?? ""}
              onChange={(id) => {
                setModel(id);
                setEffort("");
              }}
              disabled={models.length === 0}
            />
            {chosen?.demo ? <DemoBadge /> : null}
            {chosen === undefined || chosen.efforts.length === 0 ? null : (
              <Choice
                aria-label="How much it thinks"
                data-testid="new-session-effort"
                className="w-auto max-w-full"
                options={[{ value: "", words: "Thinks as usual" }, ...chosen.efforts.map((one) => ({ value: one, words: EFFORTS[one] }))]}
                value={effort}
                onChange={setEffort}
              />
            )}
          </div>
        )}
      </Field>
      {repo === undefined ? null : <EstimateLine repo={repo.url} model={chosen?.id} />}
      {installation?.isolation === "none" ? (
        <Card tone="amber" icon={<CircleAlert size={16} />} title="No isolation on this machine">
          Code in the sandbox can read your files. {installation.warning}
        </Card>
      ) : null}
      {create.isError ? (
        <Card tone="red" role="alert" icon={<CircleAlert size={16} />} title="The session was not started">
          {messageOf(create.error)} What you wrote is kept.
        </Card>
      ) : null}
      <div className="flex items-center justify-end gap-3 pt-1">
        <span className="hidden items-center gap-1 text-xs text-muted sm:flex">
          <Kbd>{keyName("mod+Enter")}</Kbd>
        </span>
        <Button look="primary" type="submit" data-testid="new-session-submit" disabled={create.isPending}>
          {create.isPending ? "Starting…" : "Start session"}
        </Button>
      </div>
    </Form>
  );
}
