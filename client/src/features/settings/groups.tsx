/** Groups of the org: people for whom settings are made together. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Ellipsis, Pencil, Plus, SlidersHorizontal, Trash2, UsersRound } from "lucide-react";
import { useState } from "react";
import { Button, IconButton } from "@/components/button";
import { Confirm } from "@/components/confirm";
import { Dialog } from "@/components/dialog";
import { Choice, Field, Form, TextInput } from "@/components/fields";
import { Loaded } from "@/components/loaded";
import { Menu, MenuItem } from "@/components/menu";
import { Problem, Row, Rows, Section } from "@/features/settings/bits";
import { groupQuery, groupSettingsQuery, groupsQuery, membersQuery } from "@/features/settings/queries";
import { SettingsForm } from "@/features/settings/settings-form";
import { call } from "@/lib/api";
import { day, plural } from "@/lib/format";
import { useWrite } from "@/lib/write";
import type { Group } from "@/protocol/Group";
import type { GroupMember } from "@/protocol/GroupMember";
import type { GroupRole } from "@/protocol/GroupRole";

/** See the head of the file. */
export function Groups() {
  const query = useQuery(groupsQuery);
  const [making, setMaking] = useState(false);
  return (
    <Section
      title="Groups"
      description="What is said of a group holds for its people instead of what the org says. Who is in several gets the most generous."
      actions={
        <Button data-testid="new-group" onClick={() => setMaking(true)}>
          <Plus size={15} aria-hidden />
          New group
        </Button>
      }
    >
      <Loaded query={query} what="The groups" rows={1}>
        {({ groups }) => (
          <Rows items={groups} label="Groups" empty="There is no group.">
            {(group) => <GroupRow key={group.id} group={group} />}
          </Rows>
        )}
      </Loaded>
      <Dialog open={making} onOpenChange={setMaking} title="New group" testId="new-group-dialog" className="sm:w-104">
        <NameForm act="Make group" name="" onDone={() => setMaking(false)} write={(name, key) => call<Group>("POST", "/api/groups", { name }, undefined, key)} />
      </Dialog>
    </Section>
  );
}

function NameForm({ name: before, act, write, onDone }: { name: string; act: string; write: (name: string, key: string) => Promise<Group>; onDone: () => void }) {
  const [name, setName] = useState(before);
  const save = useWrite(({ name: given }: { name: string }, key) => write(given, key), { refresh: [groupsQuery.queryKey], onDone });
  const submit = () => {
    if (name.trim() !== "") save.run({ name: name.trim() });
  };
  return (
    <Form onSubmit={submit} className="flex flex-col gap-3">
      <Field label="Name">
        {(field) => <TextInput {...field} data-first data-testid="group-name" dir="auto" maxLength={100} placeholder="Platform" value={name} onChange={(event) => setName(event.target.value)} />}
      </Field>
      <Problem words={save.error} />
      <div className="flex justify-end">
        <Button look="primary" type="submit" data-testid="group-submit" disabled={save.pending || name.trim() === ""}>
          {act}
        </Button>
      </div>
    </Form>
  );
}

type Doing = "none" | "people" | "limits" | "rename" | "remove";

function GroupRow({ group }: { group: Group }) {
  const [doing, setDoing] = useState<Doing>("none");
  const close = () => setDoing("none");
  const remove = useWrite(() => call<undefined>("DELETE", `/api/groups/${group.id}`), { refresh: [groupsQuery.queryKey], onDone: close });
  const dialog = (is: Doing) => ({ open: doing === is, onOpenChange: (open: boolean) => !open && close() });
  return (
    <Row
      data-testid="group"
      data-id={group.id}
      icon={<UsersRound size={16} aria-hidden />}
      title={<span dir="auto">{group.name}</span>}
      facts={[plural(group.members, "person", "people"), `made ${day(group.createdAt)}`]}
      actions={
        <>
          <Button data-testid="group-people" aria-label={`People of ${group.name}`} onClick={() => setDoing("people")}>
            People
          </Button>
          <Menu
            trigger={
              <IconButton label={`More about ${group.name}`} data-testid="group-menu">
                <Ellipsis size={16} />
              </IconButton>
            }
          >
            <MenuItem icon={<SlidersHorizontal size={14} />} moves onSelect={() => setDoing("limits")} testId="group-limits">
              Its defaults and limits…
            </MenuItem>
            <MenuItem icon={<Pencil size={14} />} moves onSelect={() => setDoing("rename")}>
              Rename…
            </MenuItem>
            <MenuItem icon={<Trash2 size={14} />} danger moves onSelect={() => setDoing("remove")}>
              Remove…
            </MenuItem>
          </Menu>
        </>
      }
    >
      <Dialog {...dialog("people")} title={`People of ${group.name}`} description="Its admins may take members of the org in and out." testId="group-dialog">
        <People group={group} />
      </Dialog>
      <Dialog {...dialog("limits")} title={`Defaults and limits of ${group.name}`} testId="group-limits-dialog">
        <GroupLimits id={group.id} />
      </Dialog>
      <Dialog {...dialog("rename")} title="Rename the group" testId="rename-group-dialog" className="sm:w-104">
        <NameForm act="Rename" name={group.name} onDone={close} write={(name) => call<Group>("PATCH", `/api/groups/${group.id}`, { name })} />
      </Dialog>
      <Confirm
        open={doing === "remove"}
        onClose={close}
        title={`Remove ${group.name}?`}
        description="Its people stay in the org; what was said of the group no longer holds for them."
        act="Remove"
        busy={remove.pending}
        error={remove.error}
        onAct={() => remove.run()}
        testId="remove-group-dialog"
      />
    </Row>
  );
}

function GroupLimits({ id }: { id: string }) {
  const query = useQuery(groupSettingsQuery(id));
  return (
    <Loaded query={query} what="Its settings">
      {(said) => <SettingsForm said={said} path={`/api/admin/settings/groups/${id}`} queryKey={groupSettingsQuery(id).queryKey} level="group" />}
    </Loaded>
  );
}

function People({ group }: { group: Group }) {
  const query = useQuery(groupQuery(group.id));
  return (
    <Loaded query={query} what="Its people" rows={2}>
      {({ members }) => (
        <div className="flex flex-col gap-3">
          <Rows items={members} label="People" empty="Nobody yet.">
            {(member) => <PersonRow key={member.person.id} member={member} group={group} />}
          </Rows>
          <AddPerson group={group} members={members} />
        </div>
      )}
    </Loaded>
  );
}

const refreshed = (group: Group) => [groupQuery(group.id).queryKey, groupsQuery.queryKey];
const GROUP_ROLES: readonly { value: GroupRole; words: string }[] = [
  { value: "member", words: "member" },
  { value: "admin", words: "admin" },
];

function PersonRow({ member: { person, role }, group }: { member: GroupMember; group: Group }) {
  const path = `/api/groups/${group.id}/members/${person.id}`;
  const change = useWrite((body: { role: GroupRole }) => call<undefined>("PUT", path, body), { refresh: refreshed(group) });
  const remove = useWrite(() => call<undefined>("DELETE", path), { refresh: refreshed(group) });
  return (
    <Row
      data-testid="group-member"
      title={<span dir="auto">{person.name}</span>}
      facts={[person.email]}
      error={change.error ?? remove.error}
      actions={
        <>
          <Choice aria-label={`Role of ${person.name} in the group`} className="w-32" options={GROUP_ROLES} value={role} disabled={change.pending} onChange={(chosen) => change.run({ role: chosen })} />
          <Button aria-label={`Take out ${person.name}`} disabled={remove.pending} onClick={() => remove.run()}>
            Take out
          </Button>
        </>
      }
    />
  );
}

function AddPerson({ group, members }: { group: Group; members: readonly GroupMember[] }) {
  const query = useInfiniteQuery(membersQuery);
  const [who, setWho] = useState("");
  const inside = new Set(members.map(({ person }) => person.id));
  const others = query.data?.pages.flatMap((page) => page.members).filter(({ person }) => !inside.has(person.id)) ?? [];
  const add = useWrite((body: { id: string }) => call<undefined>("PUT", `/api/groups/${group.id}/members/${body.id}`, { role: "member" }), {
    refresh: refreshed(group),
    onDone: () => setWho(""),
  });
  if (others.length === 0) return <p className="text-sm text-muted">Everybody in the org is in this group.</p>;
  return (
    <div className="flex flex-wrap items-end gap-2">
      <div className="min-w-0 flex-1">
        <Field label="Take somebody in">
          {(field) => <Choice {...field} data-testid="group-add-person" options={[{ value: "", words: "Choose…" }, ...others.map(({ person }) => ({ value: person.id, words: person.name }))]} value={who} onChange={setWho} />}
        </Field>
      </div>
      <Button data-testid="group-add" disabled={who === "" || add.pending} onClick={() => add.run({ id: who })}>
        Take in
      </Button>
      <Problem words={add.error} />
    </div>
  );
}
