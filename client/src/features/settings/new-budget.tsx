/** Makes a budget: of whom, for how long, how much. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState, type SyntheticEvent } from "react";
import { Button } from "@/components/button";
import { Combobox } from "@/components/combobox";
import { Field, Select, TextInput } from "@/components/fields";
import { Problem } from "@/features/settings/bits";
import { budgetsQuery, membersQuery, usageQuery } from "@/features/settings/queries";
import { call } from "@/lib/api";
import { parseDollars } from "@/lib/money";
import { repoProblem, reposQuery } from "@/lib/repos";
import { useWrite } from "@/lib/write";
import type { Budget } from "@/protocol/Budget";
import type { Dimension } from "@/protocol/Dimension";
import type { NewBudget as Body } from "@/protocol/NewBudget";
import type { Period } from "@/protocol/Period";

/** Of whom: a dimension, and whether one of it is named. */
const SCOPES = [
  { id: "org", dimension: "org", named: false, words: "The whole org" },
  { id: "each-user", dimension: "user", named: false, words: "Each person by themselves" },
  { id: "user", dimension: "user", named: true, words: "One person" },
  { id: "each-session", dimension: "session", named: false, words: "Each session by itself" },
  { id: "each-repository", dimension: "repository", named: false, words: "Each repository by itself" },
  { id: "repository", dimension: "repository", named: true, words: "One repository" },
] as const satisfies readonly { id: string; dimension: Dimension; named: boolean; words: string }[];
const PERIODS: readonly { period: Period; words: string }[] = [
  { period: "day", words: "Each day anew" },
  { period: "month", words: "Each month anew" },
  { period: "total", words: "Once, for good" },
];

/** See the head of the file. */
export function NewBudget({ onDone }: { onDone: () => void }) {
  const [scope, setScope] = useState<(typeof SCOPES)[number]>(SCOPES[0]);
  const [subject, setSubject] = useState("");
  const [period, setPeriod] = useState<Period>("month");
  const [amount, setAmount] = useState("");
  const [tried, setTried] = useState(false);
  const make = useWrite((body: Body, key) => call<Budget>("POST", "/api/admin/budgets", body, undefined, key), {
    refresh: [budgetsQuery.queryKey, usageQuery.queryKey],
    onDone,
  });
  const limit = parseDollars(amount);
  const wrong = {
    subject: !scope.named ? undefined : subject.trim() === "" ? "Say which one." : scope.id === "repository" ? repoProblem(subject.trim()) : undefined,
    amount: limit === undefined ? "Write an amount, like 5 or 0.50." : undefined,
  };
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    setTried(true);
    if (limit === undefined || wrong.subject !== undefined) return;
    make.run({ dimension: scope.dimension, period, limit, ...(scope.named ? { subject: subject.trim() } : {}) });
  };
  return (
    <form onSubmit={submit} noValidate className="flex flex-col gap-3">
      <Field label="Whose spending?">
        {({ id }) => (
          <Select
            id={id}
            data-first
            data-testid="budget-scope"
            value={scope.id}
            onChange={({ target }) => {
              setScope(SCOPES.find((one) => one.id === target.value) ?? SCOPES[0]);
              setSubject("");
            }}
          >
            {SCOPES.map((one) => (
              <option key={one.id} value={one.id}>
                {one.words}
              </option>
            ))}
          </Select>
        )}
      </Field>
      {scope.named ? <Subject of={scope.id} value={subject} onChange={setSubject} error={tried ? wrong.subject : undefined} /> : null}
      <div className="grid gap-3 sm:grid-cols-2">
        <Field label="At most, in US dollars" error={tried ? wrong.amount : undefined}>
          {({ id, describedBy }) => (
            <TextInput id={id} aria-describedby={describedBy} data-testid="budget-amount" inputMode="decimal" placeholder="5.00" value={amount} onChange={(event) => setAmount(event.target.value)} />
          )}
        </Field>
        <Field label="For how long">
          {({ id }) => (
            <Select id={id} data-testid="budget-period" value={period} onChange={({ target }) => setPeriod(PERIODS.find((one) => one.period === target.value)?.period ?? "month")}>
              {PERIODS.map((one) => (
                <option key={one.period} value={one.period}>
                  {one.words}
                </option>
              ))}
            </Select>
          )}
        </Field>
      </div>
      <Problem words={make.error} />
      <div className="flex justify-end">
        <Button look="primary" type="submit" data-testid="budget-submit" disabled={make.pending}>
          {make.pending ? "Making it…" : "Make budget"}
        </Button>
      </div>
    </form>
  );
}

function Subject({ of, value, onChange, error }: { of: "user" | "repository"; value: string; onChange: (value: string) => void; error: string | undefined }) {
  const members = useInfiniteQuery(membersQuery);
  const repos = useQuery(reposQuery);
  const people = members.data?.pages.flatMap((page) => page.members) ?? [];
  if (of === "user") {
    return (
      <Field label="Who" error={error}>
        {({ id, describedBy }) => (
          <Select id={id} aria-describedby={describedBy} data-testid="budget-user" value={value} onChange={(event) => onChange(event.target.value)}>
            <option value="">Choose…</option>
            {people.map(({ person }) => (
              <option key={person.id} value={person.id}>
                {person.name}
              </option>
            ))}
          </Select>
        )}
      </Field>
    );
  }
  return (
    <Field label="Which repository" error={error}>
      {({ id, describedBy }) => (
        <Combobox
          id={id}
          testId="budget-repo"
          describedBy={describedBy}
          value={value}
          onChange={onChange}
          onPick={onChange}
          suggestions={(repos.data?.repos ?? []).map((repo) => ({ value: repo.url, label: repo.name }))}
          placeholder="https://github.com/owner/name"
        />
      )}
    </Field>
  );
}
