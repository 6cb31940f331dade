/** What was spent: one's own, and to admins the whole org's by day, person, repository, model and session. */
import { useQueries, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { DayChart, everyDay } from "@/components/day-chart";
import { Select } from "@/components/fields";
import { Loaded } from "@/components/loaded";
import { Empty, Section, SettingsPage } from "@/features/settings/bits";
import { budgetTitle, PERIOD_WORDS, subjectWords, type NameOf } from "@/features/settings/budget-words";
import { Spent } from "@/features/settings/budgets-page";
import { usePeople } from "@/features/settings/people";
import { historyQuery, titlesQueries, usageQuery } from "@/features/settings/queries";
import { meQuery, useAtLeast } from "@/lib/account";
import { cx } from "@/lib/cx";
import { count, duration, plural } from "@/lib/format";
import { dollars } from "@/lib/money";
import type { Dimension } from "@/protocol/Dimension";
import type { SandboxStops } from "@/protocol/SandboxStops";
import type { Spending } from "@/protocol/Spending";
import type { SpendingOf } from "@/protocol/SpendingOf";
import type { UsageReport } from "@/protocol/UsageReport";

/** Whose days the chart shows. */
interface Of {
  readonly dimension: Dimension;
  readonly subject: string | undefined;
}

const DAYS = 30;
const BY: readonly { dimension: Dimension; title: string }[] = [
  { dimension: "user", title: "By person" },
  { dimension: "repository", title: "By repository" },
  { dimension: "model", title: "By model" },
  { dimension: "session", title: "By session" },
  { dimension: "trigger", title: "By API key" },
];

/** See the head of the file. */
export function UsagePage() {
  const query = useQuery(usageQuery);
  return (
    <SettingsPage title="Usage" wide description="Model calls of your sessions and what they cost, by the prices of the day. Months and days are those of UTC.">
      <Loaded query={query} what="The usage" rows={5}>
        {(report) => <Report report={report} />}
      </Loaded>
    </SettingsPage>
  );
}

function Report({ report }: { report: UsageReport }) {
  const admin = useAtLeast("admin");
  const nameOf = useNames(admin);
  const titleOf = useTitles();
  const wordsOf: WordsOf = (dimension, subject) => subjectWords(dimension, subject, nameOf, titleOf);
  const [of, setOf] = useState<Of>({ dimension: "user", subject: undefined });
  const month = new Date(`${report.month}-01T00:00:00Z`).toLocaleDateString(undefined, { month: "long", year: "numeric", timeZone: "UTC" });
  return (
    <>
      <div className="grid gap-3 sm:grid-cols-2">
        <Total title={`You, ${month}`} spending={report.own} testId="own-total" />
        <Total title={`The org, ${month}`} spending={report.org} testId="org-total" />
      </div>
      {report.budgets.length === 0 ? null : (
        <Section title="Budgets that concern you">
          <ul aria-label="Budgets" className="grid gap-3 sm:grid-cols-2">
            {report.budgets.map((state) => (
              <li key={`${state.budget.id} ${state.subject ?? ""}`} className="rounded-lg border bg-raised px-3 py-2.5">
                <p className="mb-1.5 text-sm font-medium">{`${budgetTitle(state.budget, nameOf)}, ${PERIOD_WORDS[state.budget.period]}`}</p>
                <Spent state={state} own={state.budget.subject === undefined && state.budget.dimension !== "org"} />
              </li>
            ))}
          </ul>
        </Section>
      )}
      <Section title="Day by day" actions={
          admin ? (
            <div className="w-60">
              <WhoseDays report={report} of={of} onChange={setOf} wordsOf={wordsOf} />
            </div>
          ) : undefined
        }>
        <History of={of} />
      </Section>
      {admin ? (
        <div className="grid items-start gap-6 lg:grid-cols-2">
          {BY.map(({ dimension, title }) => (
            <Breakdown key={dimension} dimension={dimension} title={title} rows={report.by[dimension] ?? []} wordsOf={wordsOf} onPick={(subject) => setOf({ dimension, subject })} />
          ))}
          {/* eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- an empty list is left out of the answer */}
          <Stops stops={report.stops ?? []} />
        </div>
      ) : null}
    </>
  );
}

type WordsOf = (dimension: Dimension, subject: string) => string;

function useNames(admin: boolean): NameOf {
  const { data: me } = useQuery(meQuery);
  const people = usePeople(admin);
  return (id) => (id === me?.user.id ? "You" : people(id));
}

function useTitles(): NameOf {
  const lists = useQueries({ queries: titlesQueries });
  const titles = new Map(lists.flatMap(({ data }) => data?.sessions ?? []).map(({ id, title }) => [id, title]));
  return (id) => titles.get(id);
}

function Total({ title, spending, testId }: { title: string; spending: Spending; testId: string }) {
  const { tokens, calls, estimated, cost, sandboxSeconds } = spending;
  const all = tokens.input + tokens.output + tokens.cacheRead + tokens.cacheWrite + tokens.reasoning;
  return (
    <section aria-label={title} data-testid={testId} className="rounded-lg border bg-raised px-3 py-2.5">
      <h2 className="text-xs text-muted">{title}</h2>
      <p className="text-xl font-semibold tabular-nums">{dollars(cost)}</p>
      <p className="text-xs text-muted tabular-nums">
        {plural(calls, "model call")} · {count(all)} tokens
        {estimated === 0 ? "" : ` · ${plural(estimated, "call")} counted by estimate`}
        {sandboxSeconds === 0 ? "" : ` · sandboxes for ${duration(sandboxSeconds * 1000)}`}
      </p>
    </section>
  );
}

function WhoseDays({ report, of, onChange, wordsOf }: { report: UsageReport; of: Of; onChange: (of: Of) => void; wordsOf: WordsOf }) {
  const value = JSON.stringify([of.dimension, of.subject ?? null]);
  const choose = (text: string) => {
    const [dimension, subject] = JSON.parse(text) as [Dimension, string | null];
    onChange({ dimension, subject: subject ?? undefined });
  };
  return (
    <Select aria-label="Whose days" data-testid="usage-of" value={value} onChange={(event) => choose(event.target.value)}>
      <option value={JSON.stringify(["user", null])}>Your own</option>
      <option value={JSON.stringify(["org", null])}>The whole org</option>
      {BY.map(({ dimension, title }) => (
        <optgroup key={dimension} label={title}>
          {(report.by[dimension] ?? [])
            .filter(({ subject }) => subject !== "")
            .map(({ subject }) => (
              <option key={subject} value={JSON.stringify([dimension, subject])}>
                {wordsOf(dimension, subject)}
              </option>
            ))}
        </optgroup>
      ))}
    </Select>
  );
}

function History({ of }: { of: Of }) {
  const query = useQuery(historyQuery(of.dimension, of.subject, DAYS));
  const today = new Date().toISOString().slice(0, 10);
  return (
    <div data-testid="usage-days" className="rounded-lg border bg-raised p-3">
      <Loaded query={query} what="The days">
        {({ days }) => (
          <DayChart title={`Dollars a day, the last ${DAYS} days`} words={dollars} days={everyDay(days.map(({ subject, cost }) => ({ day: subject, amount: cost })), today, DAYS)} />
        )}
      </Loaded>
    </div>
  );
}

const WHAT: Record<Dimension, string> = { org: "Org", user: "Person", repository: "Repository", model: "Model", session: "Session", trigger: "API key", turn: "Turn" };

/** What the columns are; all but the first hold numbers. */
function Heads({ names }: { names: readonly string[] }) {
  return (
    <thead>
      <tr className="border-b text-xs text-muted">
        {names.map((name, at) => (
          <th key={name} scope="col" className={cx("py-1.5 font-medium whitespace-nowrap", at === 0 ? "px-3 text-left" : at === 1 ? "px-2 text-right" : "px-3 text-right")}>
            {name}
          </th>
        ))}
      </tr>
    </thead>
  );
}

function Breakdown({ dimension, title, rows, wordsOf, onPick }: { dimension: Dimension; title: string; rows: readonly SpendingOf[]; wordsOf: WordsOf; onPick: (subject: string) => void }) {
  const most = Math.max(...rows.map(({ cost }) => cost), 1);
  return (
    <Section title={title}>
      {rows.length === 0 ? (
        <Empty>Nothing was spent this month.</Empty>
      ) : (
        <div className="overflow-x-auto rounded-lg border bg-raised">
          <table data-testid={`by-${dimension}`} className="w-full text-sm tabular-nums">
            <Heads names={[WHAT[dimension], "Tokens", "Spent"]} />
            <tbody>
              {rows.map(({ subject, cost, tokens }) => (
                <tr key={subject} className="border-b last:border-b-0">
                  <th scope="row" className="w-full max-w-0 px-3 py-1.5 text-left font-normal">
                    <Name dimension={dimension} subject={subject} words={wordsOf(dimension, subject)} onPick={onPick} />
                    <span aria-hidden className="mt-0.5 block h-1 rounded-full bg-accent" style={{ width: cost === 0 ? 0 : `${Math.max((cost / most) * 100, 1)}%` }} />
                  </th>
                  <td className="px-2 py-1.5 text-right text-xs whitespace-nowrap text-muted">{count(tokens.input + tokens.output + tokens.cacheRead + tokens.cacheWrite + tokens.reasoning)}</td>
                  <td className="px-3 py-1.5 text-right whitespace-nowrap">{dollars(cost)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Section>
  );
}

/** Why sandboxes were stopped, and how long they were kept. */
function Stops({ stops }: { stops: readonly SandboxStops[] }) {
  if (stops.length === 0) return null;
  return (
    <Section title="Sandboxes that ended">
      <div className="overflow-x-auto rounded-lg border bg-raised">
        <table data-testid="stops" className="w-full text-sm tabular-nums">
          <Heads names={["Why", "How many", "How long"]} />
          <tbody>
            {stops.map(({ reason, count: many, seconds }) => (
              <tr key={reason} className="border-b last:border-b-0">
                <th scope="row" className="w-full px-3 py-1.5 text-left font-normal">
                  {reason.replaceAll("_", " ")}
                </th>
                <td className="px-2 py-1.5 text-right text-xs whitespace-nowrap text-muted">{many}</td>
                <td className="px-3 py-1.5 text-right whitespace-nowrap">{duration(seconds * 1000)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  );
}

function Name({ dimension, subject, words, onPick }: { dimension: Dimension; subject: string; words: string; onPick: (subject: string) => void }) {
  if (dimension === "session") {
    return (
      <Link to="/sessions/$sessionId" params={{ sessionId: subject }} className="block truncate rounded-sm hover:underline pointer-coarse:py-2.5">
        {words}
      </Link>
    );
  }
  return (
    <button type="button" title={`${subject}\nShow its days`} onClick={() => onPick(subject)} className="block max-w-full truncate rounded-sm text-left hover:underline pointer-coarse:py-2.5">
      {words}
    </button>
  );
}
