/** Secrets of one scope: a person's, the org's, or a repository's. Values go in and never come out. */
import { useQuery } from "@tanstack/react-query";
import { FileKey2, TriangleAlert } from "lucide-react";
import { useState } from "react";
import { Button } from "@/components/button";
import { Confirm } from "@/components/confirm";
import { CodeArea, Field, Form, TextInput } from "@/components/fields";
import { Loaded } from "@/components/loaded";
import { Problem, Row, Rows, SavedMark, Section } from "@/features/settings/bits";
import { secretsQuery, secretPath, type SecretScope } from "@/features/settings/queries";
import { secretProblem } from "@/features/settings/secret-words";
import { call } from "@/lib/api";
import { day } from "@/lib/format";
import { useWrite } from "@/lib/write";
import type { SecretInfo } from "@/protocol/SecretInfo";

/** See the head of the file. `id` tells the forms of a page apart. */
export function Secrets({ scope, title, description, id }: { scope: SecretScope; title: string; description: string; id: string }) {
  const query = useQuery(secretsQuery(scope));
  return (
    <Section title={title} description={description}>
      <Loaded query={query} what={title} rows={1}>
        {({ secrets, warning }) => (
          <>
            <Rows items={secrets} label={title} empty="No secret is stored.">
              {(secret) => <SecretRow key={secret.name} secret={secret} scope={scope} />}
            </Rows>
            <SetSecret scope={scope} warning={warning} stored={secrets.map(({ name }) => name)} id={id} />
          </>
        )}
      </Loaded>
    </Section>
  );
}

function SecretRow({ secret, scope }: { secret: SecretInfo; scope: SecretScope }) {
  const { name, updatedAt, updatedBy } = secret;
  const [asking, setAsking] = useState(false);
  const remove = useWrite(() => call<undefined>("DELETE", secretPath(scope, name)), { refresh: [secretsQuery(scope).queryKey], onDone: () => setAsking(false) });
  return (
    <Row
      data-testid="secret"
      data-id={name}
      icon={<FileKey2 size={16} aria-hidden />}
      title={<code className="text-mono">{name}</code>}
      facts={[`set ${day(updatedAt)} by ${updatedBy.name}`]}
      actions={
        <Button look="danger" aria-label={`Remove ${name}`} data-testid="remove-secret" onClick={() => setAsking(true)}>
          Remove
        </Button>
      }
    >
      <Confirm
        open={asking}
        onClose={() => setAsking(false)}
        title={`Remove ${name}?`}
        description="Sandboxes that start from now on do not get it. Those that run have it until they end."
        act="Remove"
        busy={remove.pending}
        error={remove.error}
        onAct={() => remove.run()}
        testId="remove-secret-dialog"
      />
    </Row>
  );
}

function SetSecret({ scope, warning, stored, id: formId }: { scope: SecretScope; warning: string; stored: readonly string[]; id: string }) {
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  const [tried, setTried] = useState(false);
  const set = useWrite((body: { name: string; value: string }) => call<SecretInfo>("PUT", secretPath(scope, body.name), { value: body.value }), {
    refresh: [secretsQuery(scope).queryKey],
    onDone: () => {
      // Nothing of it stays in the page.
      setValue("");
      setName("");
      setTried(false);
    },
  });
  const wrong = { name: secretProblem(name.trim()), value: value === "" ? "Paste its value." : undefined };
  const submit = () => {
    setTried(true);
    if (wrong.name === undefined && wrong.value === undefined) set.run({ name: name.trim(), value });
  };
  return (
    <Form onSubmit={submit} autoComplete="off" className="flex flex-col gap-3 rounded-lg border bg-surface p-3">
      <div className="grid gap-3 sm:grid-cols-[14rem_1fr]">
        <Field label="Name" error={tried ? wrong.name : undefined}>
          {(field) => (
            <TextInput {...field} data-testid={`${formId}-secret-name`} className="text-mono" autoCapitalize="characters" spellCheck={false} maxLength={100} placeholder="NPM_TOKEN" value={name} onChange={(event) => setName(event.target.value.toUpperCase())} />
          )}
        </Field>
        <Field label="Value" error={tried ? wrong.value : undefined}>
          {(field) => (
            <CodeArea
              {...field}
              data-testid={`${formId}-secret-value`}
              rows={1}
              autoComplete="off"
              className="min-h-8 [-webkit-text-security:disc] pointer-coarse:min-h-11"
              value={value}
              onChange={(event) => setValue(event.target.value)}
            />
          )}
        </Field>
      </div>
      <p className="flex items-start gap-1.5 text-xs text-muted">
        <TriangleAlert size={13} aria-hidden className="mt-0.5 shrink-0 text-amber" />
        <span>{warning}</span>
      </p>
      <Problem words={set.error} />
      <div className="flex items-center gap-3">
        <Button look="primary" type="submit" data-testid={`${formId}-secret-set`} disabled={set.pending}>
          {set.pending ? "Storing it…" : stored.includes(name.trim()) ? "Replace it" : "Store it"}
        </Button>
        <SavedMark saved={set.done && value === ""} />
      </div>
    </Form>
  );
}
