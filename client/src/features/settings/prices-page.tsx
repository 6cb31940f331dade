/** The org's own prices of models, instead of those that Errand knows. Each holds from a day on; the list is saved as a whole. */
import { useQuery } from "@tanstack/react-query";
import { Plus, Trash2 } from "lucide-react";
import { useState } from "react";
import { Button, IconButton } from "@/components/button";
import { Combobox } from "@/components/combobox";
import { Form, TextInput } from "@/components/fields";
import { Loaded } from "@/components/loaded";
import { Empty, Problem, SavedMark, SettingsPage } from "@/features/settings/bits";
import { newPrice, priceDraft, priceOf, RATES, type PriceDraft, type RateName } from "@/features/settings/price-draft";
import { pricesQuery } from "@/features/settings/queries";
import { installationQuery } from "@/lib/account";
import { call } from "@/lib/api";
import { cx } from "@/lib/cx";
import { useWrite } from "@/lib/write";
import type { Price } from "@/protocol/Price";
import type { PriceList } from "@/protocol/PriceList";

/** See the head of the file. */
export function PricesPage() {
  const query = useQuery(pricesQuery);
  return (
    <SettingsPage
      title="Prices"
      wide
      description="What models cost you, in US dollars for a million tokens. A model that is not here is counted by the prices that Errand knows. What was booked before is not counted anew."
    >
      <Loaded query={query} what="The prices">
        {({ prices }) => <PriceForm prices={prices} />}
      </Loaded>
    </SettingsPage>
  );
}

function PriceForm({ prices }: { prices: readonly Price[] }) {
  const [rows, setRows] = useState<readonly PriceDraft[]>(() => prices.map(priceDraft));
  const [next, setNext] = useState(prices.length);
  const [dirty, setDirty] = useState(false);
  const [tried, setTried] = useState(false);
  const save = useWrite((body: PriceList) => call<PriceList>("PUT", "/api/admin/prices", body), {
    refresh: [pricesQuery.queryKey],
    onDone: () => {
      setDirty(false);
      setTried(false);
    },
  });
  const edit = (rows: readonly PriceDraft[]) => {
    setRows(rows);
    setDirty(true);
  };
  const read = rows.map(priceOf);
  const problem = read.find((one) => "problem" in one);
  const submit = () => {
    setTried(true);
    if (problem) return;
    save.run({ prices: read.flatMap((one) => ("price" in one ? [one.price] : [])) });
  };
  const add = () => {
    edit([...rows, newPrice(next, new Date().toISOString().slice(0, 10))]);
    setNext(next + 1);
  };
  return (
    <Form onSubmit={submit} className="flex flex-col gap-3">
      {rows.length === 0 ? (
        <Empty>No price of your own: those that Errand knows hold.</Empty>
      ) : (
        <ul aria-label="Prices" className="divide-y divide-line rounded-lg border bg-raised">
          {rows.map((row) => (
            <PriceRow key={row.key} row={row} onChange={(changed) => edit(rows.map((one) => (one.key === row.key ? changed : one)))} onRemove={() => edit(rows.filter((one) => one.key !== row.key))} />
          ))}
        </ul>
      )}
      <Problem words={tried && problem && "problem" in problem ? problem.problem : save.error} />
      <div className="flex flex-wrap items-center gap-3">
        <Button data-testid="add-price" onClick={add}>
          <Plus size={15} aria-hidden />
          Add a price
        </Button>
        <Button look="primary" type="submit" data-testid="save-prices" disabled={!dirty || save.pending}>
          {save.pending ? "Saving…" : "Save"}
        </Button>
        <SavedMark saved={save.done && !dirty} />
      </div>
    </Form>
  );
}

const LABEL = "flex flex-col gap-1 text-xs text-muted";

function PriceRow({ row, onChange, onRemove }: { row: PriceDraft; onChange: (row: PriceDraft) => void; onRemove: () => void }) {
  const { data } = useQuery(installationQuery);
  const rate = (name: RateName, text: string) => onChange({ ...row, rates: { ...row.rates, [name]: text } });
  return (
    <li data-testid="price" className="grid grid-cols-[minmax(0,1fr)_minmax(0,1fr)_2.75rem] gap-2 px-3 py-2.5 lg:grid-cols-[minmax(12rem,2fr)_9.5rem_repeat(5,1fr)_auto] lg:items-end">
      <label htmlFor={`model-${row.key}`} className={`${LABEL} max-lg:col-span-2`}>
        Model
        <Combobox
          field={{ id: `model-${row.key}`, "aria-describedby": undefined, "aria-invalid": undefined }}
          testId="price-model"
          value={row.model}
          onChange={(model) => onChange({ ...row, model })}
          onPick={(model) => onChange({ ...row, model })}
          suggestions={(data?.models ?? []).map((model) => ({ value: model.id, label: model.name }))}
          placeholder="provider/model"
        />
      </label>
      <label className={LABEL}>
        From
        <TextInput type="date" data-testid="price-from" value={row.from} onChange={(event) => onChange({ ...row, from: event.target.value })} />
      </label>
      {RATES.map(({ name, label, otherwise }, at) => (
        <label key={name} className={cx(LABEL, at % 2 === 0 && "max-lg:col-span-2")}>
          {label}
          <TextInput inputMode="decimal" data-testid={`price-${name}`} placeholder={otherwise === "" ? "0.00" : otherwise} value={row.rates[name]} onChange={(event) => rate(name, event.target.value)} />
        </label>
      ))}
      <IconButton label={`Remove the price of ${row.model === "" ? "this model" : row.model}`} className="self-end justify-self-end max-lg:col-start-3 max-lg:row-start-1 lg:mb-0.5" onClick={onRemove}>
        <Trash2 size={15} />
      </IconButton>
    </li>
  );
}
