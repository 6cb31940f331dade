/** The org's credentials for hosts of repositories. Errand puts them in when a sandbox clones or pushes; no sandbox has one. */
import { useQuery } from "@tanstack/react-query";
import { GitBranch } from "lucide-react";
import { useState } from "react";
import { Button } from "@/components/button";
import { Confirm } from "@/components/confirm";
import { Choice, Field, Form, TextInput } from "@/components/fields";
import { Loaded } from "@/components/loaded";
import { Problem, Row, Rows, SavedMark, Section } from "@/features/settings/bits";
import { gitCredentialsQuery } from "@/features/settings/queries";
import { call } from "@/lib/api";
import { useNow } from "@/lib/clock";
import { ago, day } from "@/lib/format";
import { useWrite } from "@/lib/write";
import type { GitCredential } from "@/protocol/GitCredential";
import type { PutGitCredential } from "@/protocol/PutGitCredential";

/** See the head of the file. */
export function GitHosts() {
  const query = useQuery(gitCredentialsQuery);
  return (
    <Section
      title="Access to git hosts"
      description="Used for repositories that it names, when the session’s owner has not signed in at that host themselves. Sandboxes push to the session’s own branches only."
    >
      <Loaded query={query} what="The credentials" rows={1}>
        {({ hosts, credentials }) => (
          <>
            <Rows items={credentials} label="Access to git hosts" empty="No credential is stored.">
              {(credential) => <HostRow key={credential.host} credential={credential} />}
            </Rows>
            {hosts.length === 0 ? (
              <p className="text-sm text-muted">This installation reaches no git host through Errand. Its operator can name some.</p>
            ) : (
              <StoreCredential hosts={hosts} stored={credentials} />
            )}
          </>
        )}
      </Loaded>
    </Section>
  );
}

const pathOf = (host: string) => `/api/admin/git-credentials/${encodeURIComponent(host)}`;

function HostRow({ credential }: { credential: GitCredential }) {
  const { host, username, repositories, updatedAt, usedAt } = credential;
  const now = useNow(60_000);
  const [asking, setAsking] = useState(false);
  const remove = useWrite(() => call<undefined>("DELETE", pathOf(host)), { refresh: [gitCredentialsQuery.queryKey], onDone: () => setAsking(false) });
  return (
    <Row
      data-testid="git-credential"
      data-id={host}
      icon={<GitBranch size={16} aria-hidden />}
      title={host}
      facts={[`as ${username}`, repositories.length === 0 ? "for all of its repositories" : `for ${repositories.join(", ")}`, `stored ${day(updatedAt)}`, usedAt === undefined ? "never used" : `used ${ago(usedAt, now)}`]}
      actions={
        <Button look="danger" aria-label={`Remove the credential of ${host}`} data-testid="remove-git-credential" onClick={() => setAsking(true)}>
          Remove
        </Button>
      }
    >
      <Confirm
        open={asking}
        onClose={() => setAsking(false)}
        title={`Remove the credential of ${host}?`}
        description="Sessions on its private repositories can no longer fetch and push, unless their owner has access of their own."
        act="Remove"
        busy={remove.pending}
        error={remove.error}
        onAct={() => remove.run()}
        testId="remove-git-credential-dialog"
      />
    </Row>
  );
}

function StoreCredential({ hosts, stored }: { hosts: readonly string[]; stored: readonly GitCredential[] }) {
  const [host, setHost] = useState(hosts[0] ?? "");
  const [secret, setSecret] = useState("");
  const [username, setUsername] = useState("");
  const [repositories, setRepositories] = useState("");
  const [tried, setTried] = useState(false);
  const save = useWrite(({ of, ...body }: PutGitCredential & { of: string }) => call<GitCredential>("PUT", pathOf(of), body), {
    refresh: [gitCredentialsQuery.queryKey],
    onDone: () => {
      // Nothing of it stays in the page.
      setSecret("");
      setTried(false);
    },
  });
  const patterns = repositories.split(/[\s,]+/).filter((word) => word !== "");
  const bad = patterns.find((pattern) => !/^[\w.~+-]+(\/[\w.~+-]+)*\/([\w.~+-]+|\*)$/.test(pattern));
  const wrong = {
    secret: secret.trim() === "" ? "Paste the token." : undefined,
    repositories: bad === undefined ? undefined : `“${bad}”: write owner/repo, or owner/*.`,
  };
  const submit = () => {
    setTried(true);
    if (wrong.secret ?? wrong.repositories) return;
    save.run({ of: host, secret: secret.trim(), repositories: patterns, ...(username.trim() === "" ? {} : { username: username.trim() }) });
  };
  return (
    <Form onSubmit={submit} autoComplete="off" className="flex flex-col gap-3 rounded-lg border bg-surface p-3">
      <div className="grid gap-3 sm:grid-cols-3">
        <Field label="Host">
          {(field) => <Choice {...field} data-testid="git-host" options={hosts.map((one) => ({ value: one, words: one }))} value={host} onChange={setHost} />}
        </Field>
        <Field label="Token" error={tried ? wrong.secret : undefined}>
          {(field) => (
            <TextInput {...field} data-testid="git-secret" type="password" autoComplete="new-password" value={secret} onChange={(event) => setSecret(event.target.value)} />
          )}
        </Field>
        <Field label="User name">
          {(field) => <TextInput {...field} data-testid="git-username" autoCapitalize="off" spellCheck={false} placeholder="x-access-token" value={username} onChange={(event) => setUsername(event.target.value)} />}
        </Field>
      </div>
      <Field label="For these repositories" hint="owner/repo, or owner/* for all of an owner’s; separated by spaces. Empty: all of the host’s." error={tried ? wrong.repositories : undefined}>
        {(field) => (
          <TextInput {...field} data-testid="git-repositories" dir="ltr" spellCheck={false} placeholder="acme/*" className="text-mono" value={repositories} onChange={(event) => setRepositories(event.target.value)} />
        )}
      </Field>
      <Problem words={save.error} />
      <div className="flex items-center gap-3">
        <Button look="primary" type="submit" data-testid="git-store" disabled={save.pending}>
          {save.pending ? "Storing it…" : stored.some((one) => one.host === host) ? "Replace it" : "Store it"}
        </Button>
        <SavedMark saved={save.done && secret === ""} />
      </div>
    </Form>
  );
}
