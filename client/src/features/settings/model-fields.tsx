/** The models part of the org's settings: the default one, and which of them people of each role can use. */
import { useQuery } from "@tanstack/react-query";
import { Field, Select, TextInput } from "@/components/fields";
import type { PolicyText } from "@/features/settings/model-policy";
import { ROLES } from "@/lib/may";
import { modelLabel, modelsQuery } from "@/lib/models";

/** `before`: what holds when nothing is chosen. */
export function DefaultModel({ value, before, onChange }: { value: string; before: string; onChange: (id: string) => void }) {
  const { data } = useQuery(modelsQuery);
  const models = data?.models ?? [];
  return (
    <Field label="The model of a session that names none">
      {({ id }) => (
        <Select id={id} data-testid="default-model" className="max-w-96" value={value} onChange={(event) => onChange(event.target.value)}>
          <option value="">{before}</option>
          {value === "" || models.some((model) => model.id === value) ? null : <option value={value}>{value}</option>}
          {models.map((model) => (
            <option key={model.id} value={model.id}>
              {modelLabel(model)}
            </option>
          ))}
        </Select>
      )}
    </Field>
  );
}

/** See the head of the file. */
export function AllowedModels({ value, problem, onChange }: { value: PolicyText; problem: string | undefined; onChange: (value: PolicyText) => void }) {
  return (
    <fieldset className="flex max-w-96 flex-col gap-2">
      <legend className="mb-1 text-sm font-medium">Models that people may use, by role</legend>
      {ROLES.map((role) => (
        <label key={role} className="grid grid-cols-[5rem_1fr] items-center gap-2 text-sm">
          {role}
          <TextInput data-testid={`allowed-${role}`} spellCheck={false} autoCapitalize="off" dir="ltr" placeholder="all" value={value[role]} onChange={(event) => onChange({ ...value, [role]: event.target.value })} />
        </label>
      ))}
      <p className={problem === undefined ? "text-xs text-muted" : "text-xs text-red"}>{problem ?? "anthropic/* for all of a provider, provider/model for one. Empty: all."}</p>
    </fieldset>
  );
}
