/** Models and the provider keys that open them: one's own and the org's. Keys go in and never come out. */
import { useQuery } from "@tanstack/react-query";
import { KeyRound, Lock, LockOpen } from "lucide-react";
import { useState } from "react";
import { DemoBadge } from "@/components/bits";
import { Button } from "@/components/button";
import { Confirm } from "@/components/confirm";
import { Choice, Field, Form, TextInput } from "@/components/fields";
import { Loaded } from "@/components/loaded";
import { Badge, Problem, Row, Rows, SavedMark, Section, SettingsPage } from "@/features/settings/bits";
import { keyOwnerWords, OTHER, providerName, providerProblem } from "@/features/settings/model-words";
import { modelKeysQuery, type KeyScope } from "@/features/settings/queries";
import { useAtLeast } from "@/lib/account";
import { call } from "@/lib/api";
import { useNow } from "@/lib/clock";
import { ago, count, day } from "@/lib/format";
import { lockWords, modelsQuery } from "@/lib/models";
import { useWrite } from "@/lib/write";
import type { ModelChoice } from "@/protocol/ModelChoice";
import type { ModelKey } from "@/protocol/ModelKey";

/** See the head of the file. */
export function ModelsPage() {
  const admin = useAtLeast("admin");
  const works = useAtLeast("member");
  return (
    <SettingsPage
      title="Models and keys"
      description="Model calls go through Errand, which puts the key in: no sandbox ever has one. Your own key comes before the org’s, and that before the installation’s."
    >
      {works ? <Keys scope="own" title="Your keys" description="Used for your own sessions only." /> : null}
      {admin ? <Keys scope="org" title="Keys of the org" description="Used for everybody who has none of their own." /> : null}
      <Models />
    </SettingsPage>
  );
}

const PATHS: Record<KeyScope, string> = { own: "/api/model-keys", org: "/api/admin/model-keys" };

function Keys({ scope, title, description }: { scope: KeyScope; title: string; description: string }) {
  const query = useQuery(modelKeysQuery(scope));
  return (
    <Section title={title} description={description}>
      <Loaded query={query} what={title} rows={1}>
        {({ keys, known }) => (
          <>
            <Rows items={keys} label={title} empty="No key is stored.">
              {(key) => <KeyRow key={key.provider} modelKey={key} scope={scope} />}
            </Rows>
            <AddKey scope={scope} known={known} stored={keys.map(({ provider }) => provider)} />
          </>
        )}
      </Loaded>
    </Section>
  );
}

/** What a change of a key changes as well. */
const refreshed = (scope: KeyScope) => [modelKeysQuery(scope).queryKey, modelsQuery.queryKey];

function KeyRow({ modelKey, scope }: { modelKey: ModelKey; scope: KeyScope }) {
  const { provider, lastFour, baseUrl, by, createdAt, usedAt } = modelKey;
  const now = useNow(60_000);
  const [asking, setAsking] = useState(false);
  const remove = useWrite(() => call<undefined>("DELETE", `${PATHS[scope]}/${provider}`), { refresh: refreshed(scope), onDone: () => setAsking(false) });
  const name = providerName(provider);
  return (
    <Row
      data-testid="model-key"
      data-id={provider}
      icon={<KeyRound size={16} aria-hidden />}
      title={name}
      facts={[
        lastFour === undefined ? "stored" : <code key="end" className="text-mono">{`…${lastFour}`}</code>,
        baseUrl,
        scope === "org" ? `by ${by.name}` : undefined,
        `stored ${day(createdAt)}`,
        usedAt === undefined ? "never used" : `used ${ago(usedAt, now)}`,
      ]}
      actions={
        <Button look="danger" data-testid="remove-model-key" aria-label={`Remove the key of ${name}`} onClick={() => setAsking(true)}>
          Remove
        </Button>
      }
    >
      <Confirm
        open={asking}
        onClose={() => setAsking(false)}
        title={`Remove the key of ${name}?`}
        description="Sessions that use it go on with the org’s or the installation’s key, or stop at their next model call."
        act="Remove"
        busy={remove.pending}
        error={remove.error}
        onAct={() => remove.run()}
        testId="remove-model-key-dialog"
      />
    </Row>
  );
}

interface Stored {
  readonly provider: string;
  readonly key: string;
  readonly baseUrl?: string;
}

function AddKey({ scope, known, stored }: { scope: KeyScope; known: readonly string[]; stored: readonly string[] }) {
  const [provider, setProvider] = useState(known[0] ?? OTHER);
  const [named, setNamed] = useState("");
  const [baseUrl, setBaseUrl] = useState("");
  const [key, setKey] = useState("");
  const [tried, setTried] = useState(false);
  const store = useWrite(({ provider: of, ...body }: Stored) => call<ModelKey>("PUT", `${PATHS[scope]}/${encodeURIComponent(of)}`, body), {
    refresh: refreshed(scope),
    onDone: () => {
      // Nothing of it stays in the page.
      setKey("");
      setTried(false);
    },
  });
  const providers = [...known.map((one) => ({ value: one, words: providerName(one) })), { value: OTHER, words: "Another one…" }];
  const other = provider === OTHER;
  const of = other ? named.trim() : provider;
  const wrong = {
    name: other ? providerProblem(of) : undefined,
    url: other && !/^https?:\/\/[^/\s]+/.test(baseUrl.trim()) ? "Write its address, mostly ending in /v1." : undefined,
    key: key.trim().length < 8 ? "Paste the whole key." : undefined,
  };
  const submit = () => {
    setTried(true);
    if (wrong.name ?? wrong.url ?? wrong.key) return;
    store.run({ provider: of, key: key.trim(), ...(other ? { baseUrl: baseUrl.trim() } : {}) });
  };
  return (
    <Form onSubmit={submit} autoComplete="off" className="flex flex-col gap-3 rounded-lg border bg-surface p-3">
      <div className="grid gap-3 sm:grid-cols-[11rem_1fr]">
        <Field label="Provider">
          {(field) => <Choice {...field} data-testid={`${scope}-key-provider`} options={providers} value={provider} onChange={setProvider} />}
        </Field>
        <Field label="Key" hint="It is tried with a call that costs nothing, kept encrypted, and never shown again." error={tried ? wrong.key : undefined}>
          {(field) => (
            <TextInput {...field} data-testid={`${scope}-key-value`} type="password" autoComplete="new-password" spellCheck={false} value={key} onChange={(event) => setKey(event.target.value)} />
          )}
        </Field>
      </div>
      {other ? (
        <div className="grid gap-3 sm:grid-cols-[11rem_1fr]">
          <Field label="Its name here" error={tried ? wrong.name : undefined}>
            {(field) => (
              <TextInput {...field} data-testid={`${scope}-key-name`} placeholder="my-gateway" autoCapitalize="off" spellCheck={false} value={named} onChange={(event) => setNamed(event.target.value)} />
            )}
          </Field>
          <Field label="Address, OpenAI-compatible" error={tried ? wrong.url : undefined}>
            {(field) => (
              <TextInput {...field} data-testid={`${scope}-key-url`} type="url" placeholder="https://models.example.com/v1" value={baseUrl} onChange={(event) => setBaseUrl(event.target.value)} />
            )}
          </Field>
        </div>
      ) : null}
      <Problem words={store.error} />
      <div className="flex items-center gap-3">
        <Button look="primary" type="submit" data-testid={`${scope}-key-store`} disabled={store.pending}>
          {store.pending ? "Trying it…" : stored.includes(of) ? "Replace the key" : "Store the key"}
        </Button>
        <SavedMark saved={store.done && key === ""} />
      </div>
    </Form>
  );
}

function Models() {
  const query = useQuery(modelsQuery);
  return (
    <Section title="Models" description="What your sessions can use. A lock says what is missing.">
      <Loaded query={query} what="The models">
        {({ models, default: usual }) => (
          <Rows items={models} label="Models" empty="No model is known here.">
            {(model) => <ModelRow key={model.id} model={model} usual={model.id === usual} />}
          </Rows>
        )}
      </Loaded>
    </Section>
  );
}

function ModelRow({ model, usual }: { model: ModelChoice; usual: boolean }) {
  const { id, name, demo, locked, lock, key, efforts, context } = model;
  return (
    <Row
      data-testid="model"
      data-id={id}
      icon={locked ? <Lock size={16} aria-hidden /> : <LockOpen size={16} aria-hidden className="text-green" />}
      title={name}
      badge={
        <>
          {demo ? <DemoBadge /> : null}
          {usual ? <Badge tone="accent">default</Badge> : null}
        </>
      }
      facts={[
        <code key="id" className="text-mono">{id}</code>,
        locked ? lockWords(lock) : keyOwnerWords(key),
        `${count(context)} tokens of context`,
        efforts.length === 0 ? undefined : "can think more or less",
      ]}
    />
  );
}
