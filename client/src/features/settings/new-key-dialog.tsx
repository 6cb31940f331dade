/** Makes an API key: what it is for, what it is good for, for how long. Then shows it, this once. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { Choice, Field, Form, TextInput } from "@/components/fields";
import { RepositoryInput } from "@/components/repository-input";
import { ShownOnce } from "@/components/shown-once";
import { Problem } from "@/features/settings/bits";
import { keysQuery } from "@/features/settings/queries";
import { scopesFor } from "@/features/settings/scopes";
import { meQuery } from "@/lib/account";
import { call } from "@/lib/api";
import { repoProblem } from "@/lib/repos";
import { useWrite } from "@/lib/write";
import type { ApiKeyMade } from "@/protocol/ApiKeyMade";
import type { CreateApiKey } from "@/protocol/CreateApiKey";
import type { Scope } from "@/protocol/Scope";

const LASTS = [
  { value: "7", words: "7 days" },
  { value: "30", words: "30 days" },
  { value: "90", words: "90 days" },
  { value: "366", words: "A year" },
  { value: "", words: "Until it is revoked" },
] as const;

/** The dialog. Closing it forgets the key. */
export function NewKeyDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  return (
    <Dialog open={open} onOpenChange={(is) => !is && onClose()} title="New API key" testId="new-key-dialog">
      <NewKey onClose={onClose} />
    </Dialog>
  );
}

function NewKey({ onClose }: { onClose: () => void }) {
  const make = useWrite((body: CreateApiKey, key) => call<ApiKeyMade>("POST", "/api/keys", body, undefined, key), {
    refresh: [keysQuery(false).queryKey, keysQuery(true).queryKey],
  });
  if (make.answer) {
    return (
      <div className="flex flex-col gap-3">
        <ShownOnce
          title="Copy it now"
          label="The API key"
          value={make.answer.key}
          note="Errand keeps only a fingerprint of it and cannot show it again. Send it as “Authorization: Bearer …”."
          testId="made-key"
        />
        <div className="flex justify-end">
          <Button data-testid="made-key-done" onClick={onClose}>
            Done
          </Button>
        </div>
      </div>
    );
  }
  return <NewKeyForm make={make} />;
}

function NewKeyForm({ make }: { make: { run: (body: CreateApiKey) => void; pending: boolean; error: string | undefined } }) {
  const [name, setName] = useState("");
  const [chosen, setChosen] = useState<ReadonlySet<Scope>>(new Set(["sessions:read"]));
  const [repo, setRepo] = useState("");
  const [days, setDays] = useState<(typeof LASTS)[number]["value"]>("90");
  const [tried, setTried] = useState(false);
  const wrong = {
    name: name.trim() === "" ? "Say what it is for." : undefined,
    scopes: chosen.size === 0 ? "Choose at least one." : undefined,
    repo: repoProblem(repo.trim()),
  };
  const submit = () => {
    setTried(true);
    if (wrong.name ?? wrong.scopes ?? wrong.repo) return;
    make.run({
      name: name.trim(),
      scopes: [...chosen],
      ...(repo.trim() === "" ? {} : { repo: repo.trim() }),
      ...(days === "" ? {} : { days: Number(days) }),
    });
  };
  return (
    <Form onSubmit={submit} className="flex flex-col gap-3">
      <Field label="What is it for?" error={tried ? wrong.name : undefined}>
        {(field) => (
          <TextInput {...field} data-first data-testid="key-name" dir="auto" maxLength={100} placeholder="Nightly dependency updates" value={name} onChange={(event) => setName(event.target.value)} />
        )}
      </Field>
      <ScopeChoice chosen={chosen} onChoose={setChosen} error={tried ? wrong.scopes : undefined} />
      <div className="grid gap-3 sm:grid-cols-[1fr_11rem]">
        <Field label="Only this repository" hint="Empty: all that you may see." error={tried ? wrong.repo : undefined}>
          {(field) => <RepositoryInput field={field} testId="key-repo" value={repo} onChange={setRepo} />}
        </Field>
        <Field label="It lasts">
          {(field) => <Choice {...field} data-testid="key-days" options={LASTS} value={days} onChange={setDays} />}
        </Field>
      </div>
      <Problem words={make.error} />
      <div className="flex justify-end">
        <Button look="primary" type="submit" data-testid="key-submit" disabled={make.pending}>
          {make.pending ? "Making it…" : "Make key"}
        </Button>
      </div>
    </Form>
  );
}

function ScopeChoice({ chosen, onChoose, error }: { chosen: ReadonlySet<Scope>; onChoose: (chosen: ReadonlySet<Scope>) => void; error: string | undefined }) {
  const { data: me } = useQuery(meQuery);
  const toggle = (scope: Scope) => {
    const next = new Set(chosen);
    if (!next.delete(scope)) next.add(scope);
    onChoose(next);
  };
  return (
    <fieldset>
      <legend className="mb-1 text-sm font-medium">What is it good for?</legend>
      <div className="grid gap-x-4 sm:grid-cols-2">
        {scopesFor(me?.role ?? "member").map(({ scope, words }) => (
          <label key={scope} className="flex min-h-8 items-start gap-2 rounded-md py-1 text-sm pointer-coarse:-ml-2.5 pointer-coarse:min-h-11 pointer-coarse:items-center pointer-coarse:pl-2.5">
            <input type="checkbox" data-testid={`scope-${scope}`} className="mt-0.5 size-4 shrink-0 accent-accent pointer-coarse:mt-0 pointer-coarse:size-6" checked={chosen.has(scope)} onChange={() => toggle(scope)} />
            <span className="min-w-0">
              <span className="text-mono">{scope}</span>
              <span className="block text-xs text-muted">{words}</span>
            </span>
          </label>
        ))}
      </div>
      {error === undefined ? null : <p className="text-xs text-red">{error}</p>}
    </fieldset>
  );
}
