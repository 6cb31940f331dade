/** The people of the org: their roles and limits, who was invited. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Ellipsis, SlidersHorizontal, UserMinus } from "lucide-react";
import { useState } from "react";
import { Button, IconButton } from "@/components/button";
import { Confirm } from "@/components/confirm";
import { Dialog } from "@/components/dialog";
import { Choice } from "@/components/fields";
import { Loaded } from "@/components/loaded";
import { Menu, MenuItem } from "@/components/menu";
import { Badge, Row, Rows, Section, SettingsPage } from "@/features/settings/bits";
import { Groups } from "@/features/settings/groups";
import { Invitations } from "@/features/settings/invitations";
import { membersQuery, userSettingsQuery } from "@/features/settings/queries";
import { SettingsForm } from "@/features/settings/settings-form";
import { meQuery } from "@/lib/account";
import { call } from "@/lib/api";
import { day } from "@/lib/format";
import { ROLE_WORDS, ROLES } from "@/lib/may";
import { useWrite } from "@/lib/write";
import type { Me } from "@/protocol/Me";
import type { Member } from "@/protocol/Member";
import type { OrgRole } from "@/protocol/OrgRole";

/** See the head of the file. */
export function MembersPage() {
  const { data: me } = useQuery(meQuery);
  const query = useInfiniteQuery(membersQuery);
  return (
    <SettingsPage
      title="People"
      description="Who belongs to the org, and as what. A new role holds at once, also for what is open on their screens."
    >
      <Section title="Members">
        <Loaded query={query} what="The members">
          {({ pages }) => (
            <Rows items={pages.flatMap(({ members }) => members)} label="Members" empty="Nobody.">
              {(member) => (me ? <MemberRow key={member.person.id} member={member} me={me} /> : null)}
            </Rows>
          )}
        </Loaded>
        {query.hasNextPage ? (
          <Button className="w-fit" disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            {query.isFetchingNextPage ? "Loading…" : "Show more"}
          </Button>
        ) : null}
        <RoleLegend />
      </Section>
      <Groups />
      <Invitations />
    </SettingsPage>
  );
}

function RoleLegend() {
  return (
    <details className="text-sm">
      <summary className="w-fit rounded-sm text-muted pointer-coarse:py-3">What the roles may do</summary>
      <dl className="mt-1 grid grid-cols-[auto_1fr] gap-x-3 gap-y-0.5">
        {ROLES.map((role) => (
          <div key={role} className="contents">
            <dt className="font-medium">{role}</dt>
            <dd className="text-muted">{ROLE_WORDS[role]}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function MemberRow({ member, me }: { member: Member; me: Me }) {
  const { person, role, since } = member;
  const own = person.id === me.user.id;
  const [asking, setAsking] = useState<"none" | "remove" | "limits" | OrgRole>("none");
  const refresh = [membersQuery.queryKey, ...(own ? [meQuery.queryKey] : [])];
  const close = () => setAsking("none");
  const change = useWrite((body: { role: OrgRole }) => call<Member>("PATCH", `/api/admin/members/${person.id}`, body), { refresh, onDone: close });
  const remove = useWrite(() => call<undefined>("DELETE", `/api/admin/members/${person.id}`), { refresh, onDone: close });
  // What concerns owners is up to owners.
  const locked = role === "owner" && me.role !== "owner" ? "Only an owner changes an owner." : undefined;
  const offered = ROLES.filter((one) => one !== "owner" || me.role === "owner" || role === "owner");
  const isRole = (what: string): what is OrgRole => ROLES.some((one) => one === what);
  return (
    <Row
      data-testid="member"
      data-id={person.id}
      icon={<Initial name={person.name} />}
      title={<span dir="auto">{person.name}</span>}
      badge={own ? <Badge tone="accent">you</Badge> : null}
      facts={[person.email, `since ${day(since)}`, locked]}
      error={asking === "none" ? (change.error ?? remove.error) : undefined}
      actions={
        <>
          <Choice
            aria-label={`Role of ${person.name}`}
            data-testid="member-role"
            className="w-32"
            options={offered.map((one) => ({ value: one, words: one }))}
            value={role}
            disabled={locked !== undefined || change.pending}
            onChange={(chosen) => (own || chosen === "owner" ? setAsking(chosen) : change.run({ role: chosen }))}
          />
          <Menu
            trigger={
              <IconButton label={`More about ${person.name}`} data-testid="member-menu">
                <Ellipsis size={16} />
              </IconButton>
            }
          >
            <MenuItem icon={<SlidersHorizontal size={14} />} moves onSelect={() => setAsking("limits")} testId="member-limits">
              Their defaults and limits…
            </MenuItem>
            <MenuItem icon={<UserMinus size={14} />} danger moves disabled={locked !== undefined} note={locked} onSelect={() => setAsking("remove")} testId="member-remove">
              {own ? "Leave the org…" : "Remove from the org…"}
            </MenuItem>
          </Menu>
        </>
      }
    >
      <Confirm
        open={isRole(asking)}
        onClose={close}
        title={own ? "Change your own role?" : `Make ${person.name} an owner?`}
        description={own ? "You may not be able to change it back yourself." : "Owners may do everything here, also make and unmake owners: you, too."}
        act={own ? `Become ${asking}` : "Make owner"}
        busy={change.pending}
        error={change.error}
        onAct={() => isRole(asking) && change.run({ role: asking })}
        testId="role-dialog"
      />
      <Confirm
        open={asking === "remove"}
        onClose={close}
        title={own ? "Leave the org?" : `Remove ${person.name}?`}
        description="What they have open is closed and their API keys stop. Their sessions stay, and the org’s admins look after them."
        act={own ? "Leave" : "Remove"}
        busy={remove.pending}
        error={remove.error}
        onAct={() => remove.run()}
        testId="remove-dialog"
      />
      <Dialog open={asking === "limits"} onOpenChange={(is) => !is && close()} title={`Defaults and limits of ${person.name}`} description="What is said here holds instead of what the org says." testId="limits-dialog">
        <MemberLimits id={person.id} />
      </Dialog>
    </Row>
  );
}

function MemberLimits({ id }: { id: string }) {
  const query = useQuery(userSettingsQuery(id));
  return (
    <Loaded query={query} what="Their settings">
      {(said) => <SettingsForm said={said} path={`/api/admin/settings/users/${id}`} queryKey={userSettingsQuery(id).queryKey} level="user" />}
    </Loaded>
  );
}

function Initial({ name }: { name: string }) {
  return (
    <span aria-hidden className="flex size-7 items-center justify-center rounded-full bg-selected text-xs font-medium text-ink uppercase">
      {name.slice(0, 1)}
    </span>
  );
}
