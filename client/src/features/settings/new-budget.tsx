/** Makes a budget: of whom, for how long, how much. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "@/components/button";
import { Choice, Field, Form, TextInput } from "@/components/fields";
import { RepositoryInput } from "@/components/repository-input";
import { Problem } from "@/features/settings/bits";
import { budgetsQuery, membersQuery, usageQuery } from "@/features/settings/queries";
import { call } from "@/lib/api";
import { parseDollars } from "@/lib/money";
import { repoProblem } from "@/lib/repos";
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
const PERIODS: readonly { value: Period; words: string }[] = [
  { value: "day", words: "Each day anew" },
  { value: "month", words: "Each month anew" },
  { value: "total", words: "Once, for good" },
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
  const submit = () => {
    setTried(true);
    if (limit === undefined || wrong.subject !== undefined) return;
    make.run({ dimension: scope.dimension, period, limit, ...(scope.named ? { subject: subject.trim() } : {}) });
  };
  return (
    <Form onSubmit={submit} className="flex flex-col gap-3">
      <Field label="Whose spending?">
        {(field) => (
          <Choice
            {...field}
            data-first
            data-testid="budget-scope"
            options={SCOPES.map(({ id, words }) => ({ value: id, words }))}
            value={scope.id}
            onChange={(id) => {
              setScope(SCOPES.find((one) => one.id === id) ?? SCOPES[0]);
              setSubject("");
            }}
          />
        )}
      </Field>
      {scope.named ? <Subject of={scope.id} value={subject} onChange={setSubject} error={tried ? wrong.subject : undefined} /> : null}
      <div className="grid gap-3 sm:grid-cols-2">
        <Field label="At most, in US dollars" error={tried ? wrong.amount : undefined}>
          {(field) => (
            <TextInput {...field} data-testid="budget-amount" inputMode="decimal" placeholder="5.00" value={amount} onChange={(event) => setAmount(event.target.value)} />
          )}
        </Field>
        <Field label="For how long">
          {(field) => <Choice {...field} data-testid="budget-period" options={PERIODS} value={period} onChange={setPeriod} />}
        </Field>
      </div>
      <Problem words={make.error} />
      <div className="flex justify-end">
        <Button look="primary" type="submit" data-testid="budget-submit" disabled={make.pending}>
          {make.pending ? "Making it…" : "Make budget"}
        </Button>
      </div>
    </Form>
  );
}

function Subject({ of, value, onChange, error }: { of: "user" | "repository"; value: string; onChange: (value: string) => void; error: string | undefined }) {
  const members = useInfiniteQuery(membersQuery);
  const people = members.data?.pages.flatMap((page) => page.members) ?? [];
  if (of === "user") {
    return (
      <Field label="Who" error={error}>
        {(field) => (
          <Choice {...field} data-testid="budget-user" options={[{ value: "", words: "Choose…" }, ...people.map(({ person }) => ({ value: person.id, words: person.name }))]} value={value} onChange={onChange} />
        )}
      </Field>
    );
  }
  return (
    <Field label="Which repository" error={error}>
      {(field) => <RepositoryInput field={field} testId="budget-repo" value={value} onChange={onChange} />}
    </Field>
  );
}
