/** A budget is used up and the session rests: what was reached, when it goes on by itself, and who can extend it. */
import { CircleDollarSign } from "lucide-react";
import { useState } from "react";
import { Card } from "@/components/bits";
import { Button } from "@/components/button";
import { Form, TextInput } from "@/components/fields";
import { Meter } from "@/components/meter";
import { usePowers } from "@/features/session/powers";
import { call } from "@/lib/api";
import { holdsFor } from "@/lib/budgets";
import { useNow } from "@/lib/clock";
import { clock } from "@/lib/format";
import { amountText, dollars, parseDollars } from "@/lib/money";
import { useWrite } from "@/lib/write";
import type { Answer } from "@/protocol/Answer";
import type { Interaction } from "@/protocol/Interaction";
import type { PostAnswer } from "@/protocol/PostAnswer";

/** An interaction about a budget. */
export type BudgetAsk = Extract<Interaction, { kind: "budget" }>;

/** See the head of the file. */
export function BudgetCard({ ask, sessionId }: { ask: BudgetAsk; sessionId: string }) {
  const { oversee } = usePowers();
  const now = useNow(60_000);
  const { what, limit, spent, until } = ask.notice;
  const words = `${dollars(spent)} of ${dollars(limit)}`;
  return (
    <Card tone="amber" role="group" testId="budget-card" icon={<CircleDollarSign size={16} aria-hidden />} title={`${what} is used up`}>
      <div className="my-1.5 max-w-80">
        <Meter used={spent} limit={limit} label="Used up" words={words} />
      </div>
      <p className="tabular-nums">
        {words} spent. The session rests; its work is kept
        {until === undefined ? "." : `, and it goes on when the budget begins anew: ${clock(until, now)}.`}
      </p>
      {oversee ? <Extend ask={ask} sessionId={sessionId} /> : <p className="mt-1">An admin of the org can extend it, here or under Budgets.</p>}
    </Card>
  );
}

function Extend({ ask, sessionId }: { ask: BudgetAsk; sessionId: string }) {
  const { limit, dimension, subject } = ask.notice;
  // What was asked before budgets told of whom they are.
  const whom = dimension === undefined ? "all for whom the budget holds" : holdsFor({ dimension, ...(subject === undefined ? {} : { subject }) });
  const [text, setText] = useState(() => amountText(limit > 0 ? limit * 2 : 1_000_000));
  const wanted = parseDollars(text);
  const enough = wanted !== undefined && wanted > limit;
  const extend = useWrite(
    (answer: Answer, key) => call<unknown>("POST", `/api/sessions/${sessionId}/interactions/${ask.id}`, { answer } satisfies PostAnswer, undefined, key),
  );
  const submit = () => {
    if (enough) extend.run({ type: "extend", limit: wanted });
  };
  return (
    <Form onSubmit={submit} className="mt-2.5 flex flex-wrap items-center gap-2">
      <span>Extend it to $</span>
      <TextInput aria-label="The new limit in dollars" aria-invalid={!enough} data-testid="extend-limit" inputMode="decimal" className="max-w-28" value={text} onChange={(event) => setText(event.target.value)} />
      <Button look="primary" type="submit" data-testid="extend-budget" disabled={!enough || extend.pending || extend.done}>
        {extend.pending ? "Extending…" : "Extend and go on"}
      </Button>
      <span data-testid="limit-holds" className="w-full text-xs text-muted">
        The new limit holds for {whom}, from now on.
      </span>
      {enough ? null : <span className="w-full text-xs text-red">More than {dollars(limit)}.</span>}
      {extend.error === undefined ? null : (
        <span role="alert" className="w-full text-red">
          {extend.error}
        </span>
      )}
    </Form>
  );
}
