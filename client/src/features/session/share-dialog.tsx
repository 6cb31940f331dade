/** Who sees the session: its visibility, and the links that let people of the org in. */
import { queryOptions, useQuery } from "@tanstack/react-query";
import { Building2, Check, Link2, Lock, Plus } from "lucide-react";
import { useState } from "react";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { Choice, Field, Form } from "@/components/fields";
import { Loaded } from "@/components/loaded";
import { ShownOnce } from "@/components/shown-once";
import type { SessionStore } from "@/features/session/session-store";
import { meQuery } from "@/lib/account";
import { call } from "@/lib/api";
import { useNow } from "@/lib/clock";
import { cx } from "@/lib/cx";
import { ahead } from "@/lib/format";
import { useWrite } from "@/lib/write";
import type { CreateShare } from "@/protocol/CreateShare";
import type { OrgRole } from "@/protocol/OrgRole";
import type { Session } from "@/protocol/Session";
import type { ShareLink } from "@/protocol/ShareLink";
import type { ShareList } from "@/protocol/ShareList";
import type { ShareMade } from "@/protocol/ShareMade";
import type { Visibility } from "@/protocol/Visibility";

const sharesQuery = (sessionId: string) =>
  queryOptions({
    queryKey: ["shares", sessionId],
    queryFn: ({ signal }) => call<ShareList>("GET", `/api/sessions/${sessionId}/shares`, undefined, signal),
    staleTime: 0,
  });

interface ShareProps {
  readonly session: Session;
  readonly store: SessionStore;
  /** Commands on their way: what was chosen is shown at once. */
  readonly chosen: Visibility | undefined;
}

/** The dialog, loaded on first use. */
export default function ShareDialog({ onClose, ...props }: ShareProps & { onClose: () => void }) {
  return (
    <Dialog open onOpenChange={(is) => !is && onClose()} title="Who sees this session" description="Its owner and the admins of the org always do." testId="share-dialog">
      <Share {...props} />
    </Dialog>
  );
}

function Share({ session, store, chosen }: ShareProps) {
  const { data: me } = useQuery(meQuery);
  const visibility = chosen ?? session.visibility ?? "private";
  const choices = [
    { value: "private", icon: Lock, words: "Nobody else", note: "Links that were sent stop working." },
    { value: "link", icon: Link2, words: "People of the org with a link", note: "Each link makes onlookers, or people who also prompt." },
    { value: "org", icon: Building2, words: `Everybody in ${me?.org.name ?? "the org"}`, note: "Members may also prompt; viewers look on." },
  ] as const;
  return (
    <div className="flex flex-col gap-4">
      <div role="radiogroup" aria-label="Who sees this session" className="overflow-hidden rounded-lg border">
        {choices.map(({ value, icon: Icon, words, note }) => (
          <label key={value} className={cx("flex cursor-pointer items-start gap-2.5 border-b px-3 py-2.5 last:border-b-0 hover:bg-hover", value === visibility && "bg-accent-soft")}>
            <input
              type="radio"
              name="visibility"
              data-testid={`visibility-${value}`}
              className="mt-1 shrink-0 accent-accent pointer-coarse:size-6"
              checked={value === visibility}
              onChange={() => store.send({ type: "share", visibility: value })}
            />
            <Icon size={15} aria-hidden className="mt-0.75 shrink-0 text-muted" />
            <span className="min-w-0 flex-1">
              <span className="block text-sm font-medium">{words}</span>
              <span className="block text-xs text-muted">{note}</span>
            </span>
            {value === visibility && chosen === undefined ? <Check size={15} aria-hidden className="mt-0.75 text-accent-ink" /> : null}
          </label>
        ))}
      </div>
      {visibility === "link" ? <Links sessionId={session.id} /> : null}
    </div>
  );
}

function Links({ sessionId }: { sessionId: string }) {
  const query = useQuery(sharesQuery(sessionId));
  const [making, setMaking] = useState(false);
  const make = useWrite((body: CreateShare, key) => call<ShareMade>("POST", `/api/sessions/${sessionId}/shares`, body, undefined, key), {
    refresh: [sharesQuery(sessionId).queryKey],
    onDone: () => setMaking(false),
  });
  return (
    <section aria-label="Links" className="flex flex-col gap-2">
      <div className="flex items-center justify-between gap-2">
        <h3 className="text-sm font-medium">Links</h3>
        {making ? null : (
          <Button data-testid="new-share" onClick={() => setMaking(true)}>
            <Plus size={14} aria-hidden />
            New link
          </Button>
        )}
      </div>
      {make.answer && !making ? (
        <ShownOnce title="Copy the link now" label="The share link" value={make.answer.url} note="It works for people of this org and is not shown again." testId="share-url" />
      ) : null}
      {making ? <NewLink make={make} onCancel={() => setMaking(false)} /> : null}
      <Loaded query={query} what="The links" rows={1}>
        {({ shares }) =>
          shares.length === 0 ? (
            making || make.answer ? null : <p className="text-sm text-muted">No link yet: nobody else sees the session.</p>
          ) : (
            <ul aria-label="Share links" className="divide-y divide-line rounded-lg border">
              {shares.map((share) => (
                <LinkRow key={share.id} share={share} sessionId={sessionId} />
              ))}
            </ul>
          )
        }
      </Loaded>
    </section>
  );
}

const WHO = [
  { value: "viewer", words: "Looks on" },
  { value: "member", words: "Looks on and prompts" },
] as const;
const LASTS = [
  { value: "1", words: "1 day" },
  { value: "7", words: "7 days" },
  { value: "30", words: "30 days" },
] as const;
const MANY = [
  { value: "1", words: "One person" },
  { value: "10", words: "10 people" },
  { value: "100", words: "100 people" },
  { value: "1000", words: "1000 people" },
] as const;
const whoWords = (role: OrgRole) => WHO.find(({ value }) => value === role)?.words ?? role;

function LinkRow({ share, sessionId }: { share: ShareLink; sessionId: string }) {
  const now = useNow(60_000);
  const revoke = useWrite(() => call<undefined>("DELETE", `/api/sessions/${sessionId}/shares/${share.id}`), { refresh: [sharesQuery(sessionId).queryKey] });
  const left = ahead(share.expiresAt, now);
  return (
    <li data-testid="share" className="flex flex-wrap items-center gap-x-3 gap-y-1 px-3 py-2 text-sm">
      <span className="min-w-0 flex-1 basis-40">
        <span className="block font-medium">{whoWords(share.role)}</span>
        <span className="block text-xs text-muted tabular-nums">
          {`used by ${share.uses} of ${share.maxUses} · ${left === "over" ? "expired" : `ends ${left}`}`}
        </span>
        {revoke.error === undefined ? null : (
          <span role="alert" className="block text-xs text-red">
            {revoke.error}
          </span>
        )}
      </span>
      <Button data-testid="revoke-share" aria-label={`Withdraw the link: ${whoWords(share.role)}`} disabled={revoke.pending} onClick={() => revoke.run()}>
        Withdraw
      </Button>
    </li>
  );
}

function NewLink({ make, onCancel }: { make: { run: (body: CreateShare) => void; pending: boolean; error: string | undefined }; onCancel: () => void }) {
  const [role, setRole] = useState<(typeof WHO)[number]["value"]>("viewer");
  const [days, setDays] = useState<(typeof LASTS)[number]["value"]>("7");
  const [maxUses, setMaxUses] = useState<(typeof MANY)[number]["value"]>("1");
  const submit = () => {
    make.run({ role, days: Number(days), maxUses: Number(maxUses) });
  };
  return (
    <Form onSubmit={submit} className="flex flex-col gap-2 rounded-lg border bg-surface p-3">
      <div className="grid gap-2 sm:grid-cols-3">
        <Field label="Who has it">
          {(field) => <Choice {...field} data-testid="share-role" autoFocus options={WHO} value={role} onChange={setRole} />}
        </Field>
        <Field label="It lasts">
          {(field) => <Choice {...field} options={LASTS} value={days} onChange={setDays} />}
        </Field>
        <Field label="For">
          {(field) => <Choice {...field} data-testid="share-uses" options={MANY} value={maxUses} onChange={setMaxUses} />}
        </Field>
      </div>
      {make.error === undefined ? null : (
        <p role="alert" className="text-sm text-red">
          {make.error}
        </p>
      )}
      <div className="flex justify-end gap-2">
        <Button onClick={onCancel}>Cancel</Button>
        <Button look="primary" type="submit" data-testid="share-submit" disabled={make.pending}>
          {make.pending ? "Making it…" : "Make link"}
        </Button>
      </div>
    </Form>
  );
}
