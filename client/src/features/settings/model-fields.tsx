/** The models part of the settings: the default one, and which of them people of each role can use. */
import { useQuery } from "@tanstack/react-query";
import { Choice, SettingField, SettingList, TextInput } from "@/components/fields";
import { Problem, Section } from "@/features/settings/bits";
import type { PolicyText } from "@/features/settings/model-policy";
import { ROLES } from "@/lib/may";
import { modelLabel, modelsQuery } from "@/lib/models";

/** `before`: what holds when nothing is chosen. */
export function DefaultModel({ value, before, onChange }: { value: string; before: string; onChange: (id: string) => void }) {
  const { data } = useQuery(modelsQuery);
  const models = data?.models ?? [];
  const options = [
    { value: "", words: before },
    ...(value === "" || models.some((model) => model.id === value) ? [] : [{ value, words: value }]),
    ...models.map((model) => ({ value: model.id, words: modelLabel(model) })),
  ];
  return <SettingField label="The model of a session that names none">{(field) => <Choice {...field} data-testid="default-model" options={options} value={value} onChange={onChange} />}</SettingField>;
}

/** See the head of the file. */
export function AllowedModels({ value, problem, onChange }: { value: PolicyText; problem: string | undefined; onChange: (value: PolicyText) => void }) {
  return (
    <Section title="Models that people may use, by role" description="anthropic/* for all of a provider, provider/model for one. Empty: all.">
      <SettingList>
        {ROLES.map((role) => (
          <SettingField key={role} label={role}>
            {(field) => (
              <TextInput {...field} data-testid={`allowed-${role}`} spellCheck={false} autoCapitalize="off" dir="ltr" placeholder="all" value={value[role]} onChange={(event) => onChange({ ...value, [role]: event.target.value })} />
            )}
          </SettingField>
        ))}
      </SettingList>
      <Problem words={problem} />
    </Section>
  );
}
