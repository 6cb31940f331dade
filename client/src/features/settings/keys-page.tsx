/** API keys for scripts: making one, which is shown once, and revoking. Admins also see those of the others. */
import { useQuery } from "@tanstack/react-query";
import { KeyRound, Plus } from "lucide-react";
import { useState } from "react";
import { Button } from "@/components/button";
import { Confirm } from "@/components/confirm";
import { Loaded } from "@/components/loaded";
import { Badge, Row, Rows, Section, SettingsPage } from "@/features/settings/bits";
import { NewKeyDialog } from "@/features/settings/new-key-dialog";
import { keysQuery } from "@/features/settings/queries";
import { keyState } from "@/features/settings/scopes";
import { useAtLeast } from "@/lib/account";
import { call } from "@/lib/api";
import { useNow } from "@/lib/clock";
import { ago, ahead, day, repoName } from "@/lib/format";
import { useWrite } from "@/lib/write";
import type { ApiKey } from "@/protocol/ApiKey";

/** See the head of the file. */
export function KeysPage() {
  const [all, setAll] = useState(false);
  const [making, setMaking] = useState(false);
  const admin = useAtLeast("admin");
  const query = useQuery(keysQuery(all));
  const now = useNow(60_000);
  return (
    <SettingsPage
      title="API keys"
      description="For scripts and integrations. A key acts for you in this org, does no more than you may, and what it does is in the audit log."
      actions={
        <Button look="primary" data-testid="new-key" onClick={() => setMaking(true)}>
          <Plus size={15} aria-hidden />
          New key
        </Button>
      }
    >
      {admin ? (
        <label className="-mb-3 flex w-fit items-center gap-2 text-sm pointer-coarse:-ml-2.5 pointer-coarse:min-h-11 pointer-coarse:pl-2.5">
          <input type="checkbox" className="size-4 accent-accent pointer-coarse:size-6" checked={all} onChange={(event) => setAll(event.target.checked)} data-testid="all-keys" />
          Everybody’s keys
        </label>
      ) : null}
      <Loaded query={query} what="The API keys">
        {({ keys }) => (
          <>
            <Section title="In use">
              <Rows items={keys.filter((key) => keyState(key, now) === "live")} label="API keys in use" empty="No key is in use.">
                {(key) => <KeyRow key={key.id} apiKey={key} now={now} showOwner={all} />}
              </Rows>
            </Section>
            {keys.some((key) => keyState(key, now) !== "live") ? (
              <Section title="Over">
                <Rows items={keys.filter((key) => keyState(key, now) !== "live")} label="API keys that are over" empty="">
                  {(key) => <KeyRow key={key.id} apiKey={key} now={now} showOwner={all} />}
                </Rows>
              </Section>
            ) : null}
          </>
        )}
      </Loaded>
      <NewKeyDialog open={making} onClose={() => setMaking(false)} />
    </SettingsPage>
  );
}

function KeyRow({ apiKey, now, showOwner }: { apiKey: ApiKey; now: number; showOwner: boolean }) {
  const { id, name, prefix, owner, scopes, repo, createdAt, expiresAt, usedAt, revokedAt } = apiKey;
  const [asking, setAsking] = useState(false);
  const state = keyState(apiKey, now);
  const revoke = useWrite(() => call<undefined>("DELETE", `/api/keys/${id}`), {
    refresh: [keysQuery(false).queryKey, keysQuery(true).queryKey],
    onDone: () => setAsking(false),
  });
  const end =
    state === "revoked" ? `revoked ${day(revokedAt ?? createdAt)}` : expiresAt === undefined ? "never expires" : state === "expired" ? `expired ${day(expiresAt)}` : `expires ${ahead(expiresAt, now)}`;
  return (
    <Row
      data-testid="api-key"
      data-id={id}
      icon={<KeyRound size={16} aria-hidden />}
      title={<span dir="auto">{name}</span>}
      badge={state === "live" ? null : <Badge tone={state === "revoked" ? "red" : "plain"}>{state}</Badge>}
      facts={[
        <code key="prefix" className="text-mono">{`${prefix}…`}</code>,
        showOwner ? owner.name : undefined,
        usedAt === undefined ? "never used" : `used ${ago(usedAt, now)}`,
        `made ${day(createdAt)}`,
        end,
        repo === undefined ? undefined : <span key="repo" title={repo}>{`only ${repoName(repo)}`}</span>,
      ]}
      actions={
        state === "live" ? (
          <Button look="danger" data-testid="revoke-key" aria-label={`Revoke ${name}`} onClick={() => setAsking(true)}>
            Revoke
          </Button>
        ) : null
      }
    >
      <ul aria-label={`What ${name} is good for`} className="flex flex-wrap gap-1">
        {scopes.map((scope) => (
          <li key={scope}>
            <Badge>{scope}</Badge>
          </li>
        ))}
      </ul>
      <Confirm
        open={asking}
        onClose={() => setAsking(false)}
        title={`Revoke “${name}”?`}
        description="Whatever uses it is refused from now on, and its open connections are closed. This cannot be taken back."
        act="Revoke"
        busy={revoke.pending}
        error={revoke.error}
        onAct={() => revoke.run()}
        testId="revoke-dialog"
      />
    </Row>
  );
}
