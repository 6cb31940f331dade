/** What the org says of its repositories: what their sandboxes reach, what runs first, which secrets they get. */
import { useQuery } from "@tanstack/react-query";
import { ChevronDown, FolderGit2, Globe, ListChecks, Plus } from "lucide-react";
import { useState } from "react";
import { Button } from "@/components/button";
import { CodeArea, Field, Form, TextInput } from "@/components/fields";
import { Loaded } from "@/components/loaded";
import { RepositoryInput } from "@/components/repository-input";
import { Badge, Problem, Row, Rows, SavedMark, SettingsPage } from "@/features/settings/bits";
import { GitHosts } from "@/features/settings/git-hosts";
import { repositoriesQuery } from "@/features/settings/queries";
import { policyDraft, policyOf, type PolicyDraft } from "@/features/settings/policy-draft";
import { Secrets } from "@/features/settings/secrets";
import { call } from "@/lib/api";
import { cx } from "@/lib/cx";
import { day, plural, repoName } from "@/lib/format";
import { repoProblem } from "@/lib/repos";
import { useWrite } from "@/lib/write";
import type { Repository } from "@/protocol/Repository";
import type { RepositoryPolicy } from "@/protocol/RepositoryPolicy";

/** See the head of the file. */
export function RepositoriesPage() {
  const query = useQuery(repositoriesQuery);
  const [added, setAdded] = useState<readonly string[]>([]);
  const [open, setOpen] = useState<string | null>(null);
  const add = (url: string) => {
    setAdded([...added.filter((one) => one !== url), url]);
    setOpen(url);
  };
  return (
    <SettingsPage
      title="Repositories"
      description="Where nothing is said of a repository, its sandboxes reach the public internet, run no script first and get no secret."
    >
      <AddRepository onAdd={add} />
      <Loaded query={query} what="The repositories">
        {({ repositories }) => {
          const known = new Set(repositories.map(({ policy }) => policy.url));
          const blank = added.filter((url) => !known.has(url)).map((url): Repository => ({ policy: { url, egress: { mode: "open" }, secrets: [] } }));
          return (
            <Rows items={[...blank, ...repositories]} label="Repositories" empty="Nothing is said of any repository.">
              {(repository) => (
                <RepositoryRow
                  key={repository.policy.url}
                  repository={repository}
                  open={open === repository.policy.url}
                  onToggle={() => setOpen(open === repository.policy.url ? null : repository.policy.url)}
                />
              )}
            </Rows>
          );
        }}
      </Loaded>
      <GitHosts />
    </SettingsPage>
  );
}

function AddRepository({ onAdd }: { onAdd: (url: string) => void }) {
  const [url, setUrl] = useState("");
  const [tried, setTried] = useState(false);
  const address = url.trim();
  const wrong = address === "" ? "Name a repository." : repoProblem(address);
  const submit = () => {
    setTried(true);
    if (wrong !== undefined) return;
    onAdd(address);
    setUrl("");
    setTried(false);
  };
  return (
    <Form onSubmit={submit} className="flex items-end gap-2">
      <div className="min-w-0 flex-1">
        <Field label="Say something of a repository" error={tried ? wrong : undefined}>
          {(field) => <RepositoryInput field={field} testId="add-repository" value={url} onChange={setUrl} />}
        </Field>
      </div>
      <Button type="submit" data-testid="add-repository-submit" className={tried && wrong ? "mb-5" : undefined}>
        <Plus size={15} aria-hidden />
        Add
      </Button>
    </Form>
  );
}

function RepositoryRow({ repository, open, onToggle }: { repository: Repository; open: boolean; onToggle: () => void }) {
  const { policy, updatedAt, updatedBy } = repository;
  const { egress, setup, secrets } = policy;
  return (
    <Row
      data-testid="repository"
      data-id={policy.url}
      icon={<FolderGit2 size={16} aria-hidden />}
      title={repoName(policy.url)}
      badge={updatedAt === undefined ? <Badge>not saved yet</Badge> : egress.mode === "allowlist" ? <Badge tone="green">allowlist</Badge> : null}
      facts={[
        policy.url,
        egress.mode === "allowlist" ? `reaches ${plural(egress.hosts.length, "host")}` : "reaches the public internet",
        setup === undefined ? undefined : "runs a script first",
        secrets.length === 0 ? undefined : `gets ${plural(secrets.length, "secret")}`,
        updatedAt === undefined ? undefined : `changed ${day(updatedAt)}${updatedBy ? ` by ${updatedBy.name}` : ""}`,
      ]}
      actions={
        <Button aria-expanded={open} data-testid="open-repository" aria-label={`${open ? "Close" : "Change"} the settings of ${repoName(policy.url)}`} onClick={onToggle}>
          {open ? "Close" : "Change"}
          <ChevronDown size={14} aria-hidden className={cx("transition-transform", open && "rotate-180")} />
        </Button>
      }
    >
      {open ? (
        <div className="mt-2 flex flex-col gap-6 border-t pt-4 max-sm:-ml-7">
          <PolicyForm key={updatedAt ?? "new"} policy={policy} saved={updatedAt !== undefined} />
          <Secrets scope={{ of: "repository", url: policy.url }} id="repo" title="Secrets of this repository" description="For all sessions on it whose owner has none of that name. It gets them only where its settings name them." />
        </div>
      ) : null}
    </Row>
  );
}

function PolicyForm({ policy, saved }: { policy: RepositoryPolicy; saved: boolean }) {
  const [draft, setDraft] = useState<PolicyDraft>(() => policyDraft(policy));
  const [dirty, setDirty] = useState(!saved);
  const [tried, setTried] = useState(false);
  const save = useWrite((body: RepositoryPolicy) => call<Repository>("PUT", "/api/admin/repositories", body), {
    refresh: [repositoriesQuery.queryKey],
    onDone: () => setDirty(false),
  });
  const read = policyOf(policy.url, draft);
  const change = (part: Partial<PolicyDraft>) => {
    setDraft({ ...draft, ...part });
    setDirty(true);
  };
  const submit = () => {
    setTried(true);
    if ("policy" in read) save.run(read.policy);
  };
  const problems = tried && "problems" in read ? read.problems : {};
  return (
    <Form onSubmit={submit} className="flex flex-col gap-4">
      <fieldset>
        <legend className="mb-1 text-sm font-medium">What its sandboxes reach</legend>
        {(
          [
            { mode: "open", icon: Globe, words: "The public internet", note: "Never your own network." },
            { mode: "allowlist", icon: ListChecks, words: "Only these hosts", note: "Each refusal shows in the session, where an admin can allow it." },
          ] as const
        ).map(({ mode, icon: Icon, words, note }) => (
          <label key={mode} className="flex min-h-8 items-start gap-2 py-1 text-sm pointer-coarse:-ml-2.5 pointer-coarse:py-2 pointer-coarse:pl-2.5">
            <input type="radio" data-testid={`egress-${mode}`} className="mt-1 shrink-0 accent-accent pointer-coarse:size-6" checked={draft.mode === mode} onChange={() => change({ mode })} />
            <Icon size={15} aria-hidden className="mt-0.75 shrink-0 text-muted" />
            <span>
              {words} <span className="block text-xs text-muted">{note}</span>
            </span>
          </label>
        ))}
      </fieldset>
      {draft.mode === "allowlist" ? (
        <Field label="Hosts, one a line" hint="registry.npmjs.org, *.pypi.org for all below it, github.com:22 for another port than 80 and 443." error={problems.hosts}>
          {(field) => (
            <CodeArea {...field} data-testid="egress-hosts" rows={4} value={draft.hosts} onChange={(event) => change({ hosts: event.target.value })} />
          )}
        </Field>
      ) : null}
      <Field label="Set-up script" hint="Runs once in a new workspace, after the clone and before the agent. bash, unless its first line says otherwise; it ends at the first command that fails." error={problems.setup}>
        {(field) => (
          <CodeArea {...field} data-testid="setup-script" rows={4} placeholder="npm ci" value={draft.setup} onChange={(event) => change({ setup: event.target.value })} />
        )}
      </Field>
      <Field label="Secrets that it gets, by name" hint="Separated by spaces. The agent can read them." error={problems.secrets}>
        {(field) => (
          <TextInput {...field} data-testid="policy-secrets" spellCheck={false} dir="ltr" placeholder="NPM_TOKEN" className="text-mono" value={draft.secrets} onChange={(event) => change({ secrets: event.target.value })} />
        )}
      </Field>
      <Problem words={save.error} />
      <div className="flex items-center gap-3">
        <Button look="primary" type="submit" data-testid="save-repository" disabled={!dirty || save.pending}>
          {save.pending ? "Saving…" : "Save"}
        </Button>
        <SavedMark saved={save.done && !dirty} />
      </div>
    </Form>
  );
}
