/** The audit log: who did what, by what, from where, and how it ended. With filters, and as a file. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { Check, Download, X } from "lucide-react";
import { useRef, useState } from "react";
import { Button } from "@/components/button";
import { Choice, Field, TextInput } from "@/components/fields";
import { Loaded } from "@/components/loaded";
import { exportAudit } from "@/features/settings/audit-export";
import { credentialWords, detailName, entryWords, KINDS, outcomeWords } from "@/features/settings/audit-words";
import { Empty, Problem, SettingsPage } from "@/features/settings/bits";
import { auditQuery, membersQuery, type AuditFilter } from "@/features/settings/queries";
import { messageOf } from "@/lib/api";
import { useNow } from "@/lib/clock";
import { clock, plural } from "@/lib/format";
import type { AuditEntry } from "@/protocol/AuditEntry";

const EVERYTHING: AuditFilter = { user: "", action: "", target: "", outcome: "", from: "", to: "" };
const OUTCOMES: readonly { value: string; words: string }[] = [
  { value: "", words: "Any" },
  { value: "ok", words: "Done" },
  { value: "403", words: "Not allowed" },
  { value: "404", words: "No such thing" },
  { value: "422", words: "Not acceptable" },
  { value: "429", words: "Too many" },
];

/** See the head of the file. */
export function AuditPage() {
  const [filter, setFilter] = useState(EVERYTHING);
  const query = useInfiniteQuery(auditQuery(filter));
  const filtered = Object.values(filter).some((value) => value !== "");
  return (
    <SettingsPage
      title="Audit log"
      wide
      description="Every change and every use of a secret, refused ones too. Entries are only added, never changed."
      actions={<Export filter={filter} />}
    >
      <Filters filter={filter} onChange={setFilter} />
      <Loaded query={query} what="The audit log" rows={6}>
        {({ pages }) => {
          const entries = pages.flatMap((page) => page.entries);
          if (entries.length === 0) {
            return <Empty>{filtered ? "No entry fits." : "Nothing happened yet."}</Empty>;
          }
          return <Entries entries={entries} />;
        }}
      </Loaded>
      {query.hasNextPage ? (
        <Button className="w-fit" data-testid="audit-more" disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
          {query.isFetchingNextPage ? "Loading…" : "Show older"}
        </Button>
      ) : null}
    </SettingsPage>
  );
}

function Filters({ filter, onChange }: { filter: AuditFilter; onChange: (filter: AuditFilter) => void }) {
  const members = useInfiniteQuery(membersQuery);
  const people = members.data?.pages.flatMap((page) => page.members.map(({ person }) => ({ value: person.id, words: person.name }))) ?? [];
  const set = (change: Partial<AuditFilter>) => onChange({ ...filter, ...change });
  const filtered = Object.values(filter).some((value) => value !== "");
  return (
    <div role="search" aria-label="Filter the audit log" className="grid grid-cols-2 items-start gap-3 sm:grid-cols-3 lg:grid-cols-5">
      <Field label="Who" className="max-sm:col-span-2">
        {(field) => <Choice {...field} data-testid="audit-user" options={[{ value: "", words: "Everybody" }, ...people]} value={filter.user} onChange={(user) => set({ user })} />}
      </Field>
      <Field label="What">
        {(field) => <Choice {...field} data-testid="audit-action" options={KINDS} value={filter.action} onChange={(action) => set({ action })} />}
      </Field>
      <Field label="Outcome">
        {(field) => <Choice {...field} data-testid="audit-outcome" options={OUTCOMES} value={filter.outcome} onChange={(outcome) => set({ outcome })} />}
      </Field>
      <Field label="From">
        {(field) => <TextInput {...field} type="date" data-testid="audit-from" max={filter.to || undefined} value={filter.from} onChange={(event) => set({ from: event.target.value })} />}
      </Field>
      <Field label="To">
        {(field) => <TextInput {...field} type="date" data-testid="audit-to" min={filter.from || undefined} value={filter.to} onChange={(event) => set({ to: event.target.value })} />}
      </Field>
      {filter.target === "" ? null : (
        <p className="col-span-full flex items-center gap-2 text-sm">
          Only about <code className="text-mono [overflow-wrap:anywhere]">{filter.target}</code>
        </p>
      )}
      {filtered ? (
        <Button look="ghost" className="w-fit self-end" data-testid="audit-clear" onClick={() => onChange(EVERYTHING)}>
          <X size={14} aria-hidden />
          No filter
        </Button>
      ) : null}
    </div>
  );
}

function Entries({ entries }: { entries: readonly AuditEntry[] }) {
  const now = useNow(60_000);
  return (
    // Scrollable by keyboard, which needs focus.
    <div tabIndex={0} role="region" aria-label="Entries" className="overflow-x-auto rounded-lg border bg-raised">
      <table className="w-full text-sm max-md:block">
        <thead className="max-md:sr-only">
          <tr className="border-b text-left text-xs text-muted">
            {["When", "Who", "What", "About", "Outcome"].map((name) => (
              <th key={name} scope="col" className="px-3 py-2 font-medium whitespace-nowrap">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="max-md:block">
          {entries.map((entry) => (
            <EntryRow key={entry.id} entry={entry} now={now} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

const CELL = "px-3 py-2 align-top max-md:p-0";

/** On a phone a row is a little block instead of a line: when and how it ended above, then what, who and about what. */
function EntryRow({ entry, now }: { entry: AuditEntry; now: number }) {
  const words = entryWords(entry);
  const details = Object.entries(entry.details);
  const outcome = outcomeWords(entry.outcome);
  return (
    <tr data-testid="audit-entry" data-action={entry.action} className="border-b last:border-b-0 max-md:grid max-md:grid-cols-[1fr_auto] max-md:gap-x-3 max-md:gap-y-0.5 max-md:px-3 max-md:py-2.5">
      <td className={`${CELL} whitespace-nowrap text-muted tabular-nums`}>
        <time dateTime={entry.at} title={entry.at}>
          {clock(entry.at, now)}
        </time>
      </td>
      <td className={`${CELL} max-md:order-2 max-md:col-span-2 md:min-w-40`}>
        <span dir="auto" className="font-medium">
          {entry.userName}
        </span>
        <span className="text-xs text-muted max-md:ml-1.5 md:block" title={entry.credential}>
          by {credentialWords(entry.credential)}
          {entry.address === undefined ? "" : ` from ${entry.address}`}
        </span>
      </td>
      <td className={`${CELL} max-md:order-1 max-md:col-span-2 md:min-w-62`}>
        {words ?? <code className="text-mono [overflow-wrap:anywhere]">{entry.action}</code>}
        {words === undefined || entry.action === "sign-in" ? null : <code className="text-mono block text-xs text-muted [overflow-wrap:anywhere] max-md:hidden">{entry.action}</code>}
      </td>
      <td className={`${CELL} max-md:order-3 max-md:col-span-2 md:max-w-80 md:min-w-56`}>
        <code className="text-mono text-xs text-muted [overflow-wrap:anywhere]" title={entry.target}>
          {entry.target}
        </code>
        {details.length === 0 ? null : (
          <dl data-testid="audit-details" className="text-xs [overflow-wrap:anywhere]">
            {details.map(([name, value]) => (
              <div key={name}>
                <dt className="inline text-muted">{detailName(name)}: </dt>
                <dd dir="auto" className="inline">
                  {value}
                </dd>
              </div>
            ))}
          </dl>
        )}
      </td>
      <td className={CELL} title={`request ${entry.requestId}`}>
        <span className={`inline-flex items-center gap-1 whitespace-nowrap ${outcome.ok ? "text-green" : "text-amber"}`}>
          {outcome.ok ? <Check size={13} aria-hidden /> : <X size={13} aria-hidden />}
          {outcome.words}
        </span>
      </td>
    </tr>
  );
}

function Export({ filter }: { filter: AuditFilter }) {
  const [going, setGoing] = useState<number | null>(null);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const stop = useRef<AbortController | null>(null);
  const run = async (format: "csv" | "json") => {
    const controller = new AbortController();
    stop.current = controller;
    setGoing(0);
    setProblem(undefined);
    try {
      await exportAudit(filter, format, setGoing, controller.signal);
    } catch (error) {
      if (!controller.signal.aborted) setProblem(messageOf(error));
    }
    setGoing(null);
  };
  if (going !== null) {
    return (
      <div role="status" className="flex items-center gap-2 text-sm text-muted tabular-nums">
        {plural(going, "entry", "entries")}…
        <Button onClick={() => stop.current?.abort()}>Stop</Button>
      </div>
    );
  }
  return (
    <div className="flex flex-col items-end gap-1">
      <div className="flex gap-2">
        {(["csv", "json"] as const).map((format) => (
          <Button key={format} data-testid={`export-${format}`} onClick={() => void run(format)}>
            <Download size={14} aria-hidden />
            {format.toUpperCase()}
          </Button>
        ))}
      </div>
      <Problem words={problem} />
    </div>
  );
}
