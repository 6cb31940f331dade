/** Invitations: making one, whose link is shown once, and taking back those that nobody has used. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Mail, Plus } from "lucide-react";
import { useState } from "react";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { Choice, Field, Form, TextInput } from "@/components/fields";
import { Loaded } from "@/components/loaded";
import { ShownOnce } from "@/components/shown-once";
import { Badge, Problem, Row, Rows, Section } from "@/features/settings/bits";
import { invitationsQuery, membersQuery } from "@/features/settings/queries";
import { meQuery } from "@/lib/account";
import { call } from "@/lib/api";
import { useNow } from "@/lib/clock";
import { ago, ahead } from "@/lib/format";
import { ROLES, ROLE_WORDS } from "@/lib/may";
import { useWrite } from "@/lib/write";
import type { CreateInvitation } from "@/protocol/CreateInvitation";
import type { Invitation } from "@/protocol/Invitation";
import type { InvitationMade } from "@/protocol/InvitationMade";
import type { OrgRole } from "@/protocol/OrgRole";

/** See the head of the file. */
export function Invitations() {
  const query = useQuery(invitationsQuery);
  const members = useInfiniteQuery(membersQuery);
  const [making, setMaking] = useState(false);
  const people = new Map(members.data?.pages.flatMap((page) => page.members).map(({ person }) => [person.id, person.name]));
  return (
    <Section
      title="Invitations"
      description="A link that lets one person in. Send it yourself: Errand sends no mail."
      actions={
        <Button look="primary" data-testid="invite" onClick={() => setMaking(true)}>
          <Plus size={15} aria-hidden />
          Invite somebody
        </Button>
      }
    >
      <Loaded query={query} what="The invitations" rows={1}>
        {({ invitations }) => (
          <Rows items={invitations} label="Invitations" empty="Nobody was invited yet.">
            {(invitation) => <InvitationRow key={invitation.id} invitation={invitation} nameOf={(id) => people.get(id) ?? "somebody who has left"} />}
          </Rows>
        )}
      </Loaded>
      <Dialog open={making} onOpenChange={setMaking} title="Invite somebody" testId="invite-dialog">
        <Invite onClose={() => setMaking(false)} />
      </Dialog>
    </Section>
  );
}

function InvitationRow({ invitation, nameOf }: { invitation: Invitation; nameOf: (id: string) => string }) {
  const { id, role, email, createdBy, createdAt, expiresAt, usedBy } = invitation;
  const now = useNow(60_000);
  const over = Date.parse(expiresAt) <= now;
  const withdraw = useWrite(() => call<undefined>("DELETE", `/api/admin/invitations/${id}`), { refresh: [invitationsQuery.queryKey] });
  const badge = usedBy !== undefined ? <Badge tone="green">used</Badge> : over ? <Badge>expired</Badge> : <Badge tone="accent">open</Badge>;
  return (
    <Row
      data-testid="invitation"
      data-id={id}
      icon={<Mail size={16} aria-hidden />}
      title={email ?? `Anybody with the link, as ${role}`}
      badge={badge}
      facts={[
        email === undefined ? undefined : `as ${role}`,
        usedBy === undefined ? undefined : `${nameOf(usedBy)} joined`,
        `by ${nameOf(createdBy)} ${ago(createdAt, now)}`,
        usedBy !== undefined || over ? undefined : `ends ${ahead(expiresAt, now)}`,
      ]}
      actions={
        usedBy === undefined ? (
          <Button data-testid="withdraw" disabled={withdraw.pending} onClick={() => withdraw.run()}>
            Withdraw
          </Button>
        ) : null
      }
      error={withdraw.error}
    />
  );
}

const LASTS = [
  { value: "1", words: "1 day" },
  { value: "7", words: "7 days" },
  { value: "30", words: "30 days" },
] as const;

function Invite({ onClose }: { onClose: () => void }) {
  const { data: me } = useQuery(meQuery);
  const [role, setRole] = useState<OrgRole>("member");
  const [email, setEmail] = useState("");
  const [days, setDays] = useState<(typeof LASTS)[number]["value"]>("7");
  const [tried, setTried] = useState(false);
  const make = useWrite((body: CreateInvitation, key) => call<InvitationMade>("POST", "/api/admin/invitations", body, undefined, key), {
    refresh: [invitationsQuery.queryKey],
  });
  if (make.answer) {
    return (
      <div className="flex flex-col gap-3">
        <ShownOnce title="Copy the link now" label="The invitation’s link" value={make.answer.url} note="It lets one person in and is not shown again. Until it is used you can withdraw it." testId="invitation-link" />
        <div className="flex justify-end">
          <Button data-testid="invitation-done" onClick={onClose}>
            Done
          </Button>
        </div>
      </div>
    );
  }
  const roles = ROLES.filter((one) => one !== "owner" || me?.role === "owner").map((one) => ({ value: one, words: one }));
  const address = email.trim();
  const wrong = address !== "" && !/^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(address) ? "Write an e-mail address, or nothing." : undefined;
  const submit = () => {
    setTried(true);
    if (wrong === undefined) make.run({ role, days: Number(days), ...(address === "" ? {} : { email: address }) });
  };
  return (
    <Form onSubmit={submit} className="flex flex-col gap-3">
      <Field label="As what?" hint={`Whoever comes in ${ROLE_WORDS[role]}.`}>
        {(field) => <Choice {...field} data-first data-testid="invite-role" options={roles} value={role} onChange={setRole} />}
      </Field>
      <Field label="Only for this address" hint="Empty: for whoever has the link. Otherwise whoever signs in must own this address at GitHub or Google." error={tried ? wrong : undefined}>
        {(field) => (
          <TextInput {...field} data-testid="invite-email" type="email" autoComplete="off" maxLength={100} placeholder="grace@example.org" value={email} onChange={(event) => setEmail(event.target.value)} />
        )}
      </Field>
      <Field label="The link lasts">
        {(field) => <Choice {...field} data-testid="invite-days" options={LASTS} value={days} onChange={setDays} />}
      </Field>
      <Problem words={make.error} />
      <div className="flex justify-end">
        <Button look="primary" type="submit" data-testid="invite-submit" disabled={make.pending}>
          {make.pending ? "Making it…" : "Make link"}
        </Button>
      </div>
    </Form>
  );
}
