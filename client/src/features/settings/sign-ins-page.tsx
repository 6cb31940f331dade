/** Where one is signed in and how to end that, and the orgs that one belongs to. */
import { useQuery } from "@tanstack/react-query";
import { Building2, Monitor, Smartphone, SquareTerminal } from "lucide-react";
import { useState } from "react";
import { Button } from "@/components/button";
import { Confirm } from "@/components/confirm";
import { Field, Form, TextInput } from "@/components/fields";
import { Loaded } from "@/components/loaded";
import { Badge, Problem, Row, Rows, Section, SettingsPage } from "@/features/settings/bits";
import { deviceWords } from "@/features/settings/device";
import { signInsQuery } from "@/features/settings/queries";
import { leave, meQuery, orgsQuery, switchOrg } from "@/lib/account";
import { call } from "@/lib/api";
import { useNow } from "@/lib/clock";
import { ago, ahead } from "@/lib/format";
import { useWrite } from "@/lib/write";
import type { Membership } from "@/protocol/Membership";
import type { SignIn } from "@/protocol/SignIn";

const ICONS = { computer: Monitor, phone: Smartphone, program: SquareTerminal } as const;

/** See the head of the file. */
export function SignInsPage() {
  const query = useQuery(signInsQuery);
  const [asking, setAsking] = useState(false);
  const everywhere = useWrite(() => call<undefined>("DELETE", "/api/auth/sign-ins"), { onDone: leave });
  return (
    <SettingsPage title="Sign-ins and orgs" description="The browsers and scripts that are signed in as you. One that is not used for seven days is signed out by itself.">
      <Section
        title="Signed in"
        actions={
          <Button data-testid="end-everywhere" onClick={() => setAsking(true)}>
            Sign out everywhere
          </Button>
        }
      >
        <Loaded query={query} what="Your sign-ins">
          {({ signIns }) => (
            <Rows items={signIns} label="Signed in" empty="Nowhere.">
              {(signIn) => <SignInRow key={signIn.id} signIn={signIn} />}
            </Rows>
          )}
        </Loaded>
      </Section>
      <Orgs />
      <Confirm
        open={asking}
        onClose={() => setAsking(false)}
        title="Sign out everywhere?"
        description="All browsers and scripts that are signed in as you stop at once, this one too. API keys stay; sessions go on working."
        act="Sign out everywhere"
        busy={everywhere.pending}
        error={everywhere.error}
        onAct={() => everywhere.run()}
        testId="everywhere-dialog"
      />
    </SettingsPage>
  );
}

function SignInRow({ signIn }: { signIn: SignIn }) {
  const now = useNow(60_000);
  const end = useWrite(() => call<undefined>("DELETE", `/api/auth/sign-ins/${signIn.id}`), { refresh: [signInsQuery.queryKey] });
  const { name, kind } = deviceWords(signIn.device);
  const Icon = ICONS[kind];
  return (
    <Row
      data-testid="sign-in"
      icon={<Icon size={16} aria-hidden />}
      title={<span title={signIn.device}>{name}</span>}
      badge={signIn.current ? <Badge tone="accent">this one</Badge> : null}
      facts={[
        signIn.address,
        `used ${ago(signIn.usedAt, now)}`,
        `signed in ${ago(signIn.createdAt, now)}`,
        signIn.current ? undefined : `ends ${ahead(signIn.expiresAt, now)} unless it is used`,
      ]}
      actions={
        signIn.current ? null : (
          <Button data-testid="end-sign-in" aria-label={`Sign out ${name}`} disabled={end.pending} onClick={() => end.run()}>
            Sign out
          </Button>
        )
      }
      error={end.error}
    />
  );
}

function Orgs() {
  const query = useQuery(orgsQuery);
  const { data: me } = useQuery(meQuery);
  return (
    <Section title="Orgs" description="Each has people, sessions, keys and budgets of its own. You act in one at a time; switching loads the page anew.">
      <Loaded query={query} what="Your orgs" rows={1}>
        {({ orgs }) => (
          <Rows items={orgs} label="Orgs" empty="None.">
            {(membership) => <OrgRow key={membership.org.id} membership={membership} />}
          </Rows>
        )}
      </Loaded>
      {me?.role === "owner" || me?.role === "admin" ? <NewOrg /> : null}
    </Section>
  );
}

function OrgRow({ membership: { org, role } }: { membership: Membership }) {
  const { data: me } = useQuery(meQuery);
  const go = useWrite(() => switchOrg(org.id));
  const here = me?.org.id === org.id;
  return (
    <Row
      data-testid="org"
      data-id={org.id}
      icon={<Building2 size={16} aria-hidden />}
      title={<span dir="auto">{org.name}</span>}
      badge={here ? <Badge tone="accent">you are here</Badge> : null}
      facts={[`You are its ${role}`]}
      actions={
        here ? null : (
          <Button data-testid="switch-org" aria-label={`Switch to ${org.name}`} disabled={go.pending} onClick={() => go.run()}>
            Switch
          </Button>
        )
      }
      error={go.error}
    />
  );
}

function NewOrg() {
  const [name, setName] = useState<string | null>(null);
  const make = useWrite((body: { name: string }, key) => call<Membership>("POST", "/api/orgs", body, undefined, key), {
    refresh: [orgsQuery.queryKey],
    onDone: () => setName(null),
  });
  const submit = () => {
    if (name !== null && name.trim() !== "") make.run({ name: name.trim() });
  };
  if (name === null) {
    return (
      <Button data-testid="new-org" className="w-fit" onClick={() => setName("")}>
        New org…
      </Button>
    );
  }
  return (
    <Form onSubmit={submit} className="flex flex-col gap-2">
      <Field label="Name of the new org" hint="You will be its owner.">
        {(field) => (
          <TextInput {...field} data-testid="new-org-name" dir="auto" autoFocus maxLength={100} className="max-w-80" value={name} onChange={(event) => setName(event.target.value)} />
        )}
      </Field>
      <Problem words={make.error} />
      <div className="flex gap-2">
        <Button look="primary" type="submit" data-testid="new-org-submit" disabled={make.pending || name.trim() === ""}>
          Make it
        </Button>
        <Button onClick={() => setName(null)}>Cancel</Button>
      </div>
    </Form>
  );
}
