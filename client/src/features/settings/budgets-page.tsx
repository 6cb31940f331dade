/** Budgets: what may be spent at most, how far it is used up, and the three things one does with them. */
import { useQuery } from "@tanstack/react-query";
import { CircleAlert, Plus, TriangleAlert, Wallet } from "lucide-react";
import { useState } from "react";
import { Button } from "@/components/button";
import { Confirm } from "@/components/confirm";
import { Dialog } from "@/components/dialog";
import { Form, TextInput } from "@/components/fields";
import { Loaded } from "@/components/loaded";
import { Meter, meterState } from "@/components/meter";
import { Badge, Row, Rows, SettingsPage } from "@/features/settings/bits";
import { budgetTitle, PERIOD_WORDS } from "@/features/settings/budget-words";
import { NewBudget } from "@/features/settings/new-budget";
import { usePeople } from "@/features/settings/people";
import { budgetsQuery, usageQuery } from "@/features/settings/queries";
import { call } from "@/lib/api";
import { holdsFor } from "@/lib/budgets";
import { useNow } from "@/lib/clock";
import { ahead } from "@/lib/format";
import { amountText, dollars, parseDollars } from "@/lib/money";
import { useWrite } from "@/lib/write";
import type { Budget } from "@/protocol/Budget";
import type { BudgetState } from "@/protocol/BudgetState";
import type { PatchBudget } from "@/protocol/PatchBudget";

/** See the head of the file. */
export function BudgetsPage() {
  const query = useQuery(budgetsQuery);
  const usage = useQuery(usageQuery);
  const [making, setMaking] = useState(false);
  const nameOf = usePeople();
  return (
    <SettingsPage
      title="Budgets"
      description="A budget is a hard stop: at its limit no further model call is let through. At 80 % people are warned. Days and months are those of UTC."
      actions={
        <Button look="primary" data-testid="new-budget" onClick={() => setMaking(true)}>
          <Plus size={15} aria-hidden />
          New budget
        </Button>
      }
    >
      <Loaded query={query} what="The budgets">
        {({ budgets }) => (
          <Rows items={budgets} label="Budgets" empty="There is no budget: nothing stops spending.">
            {(budget) => (
              <BudgetRow
                key={budget.id}
                budget={budget}
                state={usage.data?.budgets.find((state) => state.budget.id === budget.id)}
                title={budgetTitle(budget, nameOf)}
              />
            )}
          </Rows>
        )}
      </Loaded>
      <Dialog open={making} onOpenChange={setMaking} title="New budget" testId="new-budget-dialog">
        <NewBudget onDone={() => setMaking(false)} />
      </Dialog>
    </SettingsPage>
  );
}

function BudgetRow({ budget, state, title }: { budget: Budget; state: BudgetState | undefined; title: string }) {
  const now = useNow(60_000);
  const [doing, setDoing] = useState<"none" | "change" | "remove">("none");
  const refresh = [budgetsQuery.queryKey, usageQuery.queryKey];
  const close = () => setDoing("none");
  const remove = useWrite(() => call<undefined>("DELETE", `/api/admin/budgets/${budget.id}`), { refresh, onDone: close });
  // Of those that count each one by itself only one's own sum is known here.
  const each = budget.subject === undefined && budget.dimension !== "org";
  return (
    <Row
      data-testid="budget"
      data-id={budget.id}
      icon={<Wallet size={16} aria-hidden />}
      title={<span dir="auto">{title}</span>}
      badge={state && !each ? <StateBadge state={state} /> : null}
      facts={[`at most ${dollars(budget.limit)} ${PERIOD_WORDS[budget.period]}`, state?.renewsAt === undefined ? undefined : `begins anew ${ahead(state.renewsAt, now)}`]}
      actions={
        <>
          <Button data-testid="change-budget" aria-label={`Change the limit: ${title}`} onClick={() => setDoing(doing === "change" ? "none" : "change")}>
            Change
          </Button>
          <Button look="danger" aria-label={`Remove the budget: ${title}`} data-testid="remove-budget" onClick={() => setDoing("remove")}>
            Remove
          </Button>
        </>
      }
    >
      {state ? <Spent state={state} own={each} /> : null}
      {doing === "change" ? <ChangeLimit budget={budget} onDone={close} /> : null}
      <Confirm
        open={doing === "remove"}
        onClose={close}
        title="Remove this budget?"
        description={`“${title}” stops nothing any more. What rests because of it goes on when somebody prompts.`}
        act="Remove"
        busy={remove.pending}
        error={remove.error}
        onAct={() => remove.run()}
        testId="remove-budget-dialog"
      />
    </Row>
  );
}

function StateBadge({ state }: { state: BudgetState }) {
  const stands = meterState(state.spent, state.budget.limit);
  if (stands === "fine") return null;
  return (
    <Badge tone={stands === "full" ? "red" : "amber"}>
      {stands === "full" ? <CircleAlert size={11} aria-hidden className="mr-1" /> : <TriangleAlert size={11} aria-hidden className="mr-1" />}
      {stands === "full" ? "used up" : "nearly used up"}
    </Badge>
  );
}

/** The bar of a budget with its words. */
export function Spent({ state, own = false }: { state: BudgetState; own?: boolean }) {
  const { spent, budget } = state;
  const share = budget.limit <= 0 ? 100 : Math.min(100, Math.floor((spent / budget.limit) * 100));
  const words = `${own ? "You: " : ""}${dollars(spent)} of ${dollars(budget.limit)}, ${share} %`;
  return (
    <div className="flex flex-col gap-1">
      <Meter used={spent} limit={budget.limit} label="Used up" words={words} />
      <span className="text-xs text-muted tabular-nums">{words}</span>
    </div>
  );
}

function ChangeLimit({ budget, onDone }: { budget: Budget; onDone: () => void }) {
  const [text, setText] = useState(() => amountText(budget.limit));
  const limit = parseDollars(text);
  const change = useWrite((body: PatchBudget) => call<Budget>("PATCH", `/api/admin/budgets/${budget.id}`, body), { refresh: [budgetsQuery.queryKey, usageQuery.queryKey], onDone });
  const submit = () => {
    if (limit !== undefined) change.run({ limit });
  };
  return (
    <Form onSubmit={submit} className="flex flex-wrap items-center gap-2">
      <span className="text-sm text-muted">At most $</span>
      <TextInput aria-label="The new limit in dollars" aria-invalid={limit === undefined} data-testid="budget-limit" autoFocus inputMode="decimal" className="w-20 sm:w-32" value={text} onChange={(event) => setText(event.target.value)} />
      <Button look="primary" type="submit" data-testid="save-budget" disabled={limit === undefined || change.pending}>
        Save
      </Button>
      <Button onClick={onDone}>Cancel</Button>
      <span data-testid="limit-holds" className="w-full text-xs text-muted">The new limit holds for {holdsFor(budget)}, from now on.</span>
      {change.error === undefined ? null : (
        <span role="alert" className="text-sm text-red">
          {change.error}
        </span>
      )}
    </Form>
  );
}
