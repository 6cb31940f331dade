/** The org's name, and what it says of its people's sessions: defaults and limits. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "@/components/button";
import { Field, Form, TextInput } from "@/components/fields";
import { Loaded } from "@/components/loaded";
import { Problem, SavedMark, Section, SettingsPage } from "@/features/settings/bits";
import { orgSettingsQuery } from "@/features/settings/queries";
import { SettingsForm } from "@/features/settings/settings-form";
import { meQuery, orgsQuery } from "@/lib/account";
import { call } from "@/lib/api";
import { useWrite } from "@/lib/write";
import type { OrgInfo } from "@/protocol/OrgInfo";
import type { PatchOrg } from "@/protocol/PatchOrg";

/** See the head of the file. */
export function OrgPage() {
  const query = useQuery(orgSettingsQuery);
  const { data: me } = useQuery(meQuery);
  return (
    <SettingsPage
      title="Organization"
      description="Its name, and what holds for everybody in it. Under People you can say something else of one person. Whoever reaches a limit is told which, and what to wait for."
    >
      {me ? <Name key={me.org.id} before={me.org.name} /> : null}
      <Loaded query={query} what="The settings" rows={5}>
        {(said) => <SettingsForm said={said} path="/api/admin/settings" queryKey={orgSettingsQuery.queryKey} level="org" />}
      </Loaded>
    </SettingsPage>
  );
}

function Name({ before }: { before: string }) {
  const [name, setName] = useState(before);
  const save = useWrite((body: PatchOrg) => call<OrgInfo>("PATCH", "/api/admin/org", body), { refresh: [meQuery.queryKey, orgsQuery.queryKey], onDone: (org) => setName(org.name) });
  const wanted = name.trim();
  const changed = wanted !== "" && wanted !== before;
  const submit = () => {
    if (changed) save.run({ name: wanted });
  };
  return (
    <Section title="Name">
      <Form onSubmit={submit} className="flex flex-wrap items-end gap-x-3 gap-y-2">
        <Field label="What its people see" className="w-full max-w-80">
          {(field) => <TextInput {...field} data-testid="org-name" dir="auto" maxLength={100} value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
        <Button type="submit" data-testid="rename-org" disabled={!changed || save.pending}>
          Rename
        </Button>
        <SavedMark saved={save.done && !changed} />
      </Form>
      <Problem words={save.error} />
    </Section>
  );
}
