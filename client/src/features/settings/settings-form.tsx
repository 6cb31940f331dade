/**
 * What one level (the org, a person) says of the settings. What it leaves open is said by the level before it. What this
 * page does not know of is kept as it is: the write replaces all that the level says.
 */
import type { QueryKey } from "@tanstack/react-query";
import { useState } from "react";
import { Button } from "@/components/button";
import { Choice, Form, SettingField, SettingList, TextInput } from "@/components/fields";
import { Problem, SavedMark, Section } from "@/features/settings/bits";
import { LEFT_OPEN, limitDraft, limitOf, type LimitDraft } from "@/features/settings/limit-draft";
import { AllowedModels, DefaultModel } from "@/features/settings/model-fields";
import { policyFrom, policyText } from "@/features/settings/model-policy";
import { call } from "@/lib/api";
import { useWrite } from "@/lib/write";
import type { SettingsPatch } from "@/protocol/SettingsPatch";
import type { Visibility } from "@/protocol/Visibility";

type LimitName =
  | "personConcurrentSessions" | "personDailySessions" | "orgConcurrentSessions" | "orgDailySessions"
  | "sandboxMemoryMib" | "sandboxCpuMillis" | "sandboxMinutes";
/** Empty: left open. */
type YesNo = "" | "yes" | "no";
type Level = "org" | "group" | "user";
const EVERY: readonly Level[] = ["org", "group", "user"];

const LIMITS: readonly { name: LimitName; label: string; hint: string; levels: readonly Level[] }[] = [
  { name: "personConcurrentSessions", label: "Sessions of one person at work", hint: "At the same time. Resting sessions do not count.", levels: EVERY },
  { name: "personDailySessions", label: "Sessions of one person a day", hint: "Made within 24 hours.", levels: EVERY },
  { name: "orgConcurrentSessions", label: "Sessions of the org at work", hint: "At the same time, of all people together.", levels: ["org"] },
  { name: "orgDailySessions", label: "Sessions of the org a day", hint: "Made within 24 hours, of all people together.", levels: ["org"] },
  { name: "sandboxMemoryMib", label: "Memory of a sandbox", hint: "MiB.", levels: EVERY },
  { name: "sandboxCpuMillis", label: "CPU of a sandbox", hint: "Thousandths of a core: 1000 is one.", levels: EVERY },
  { name: "sandboxMinutes", label: "How long a sandbox is up", hint: "Minutes. Then its turn is stopped and its work kept; the next prompt gets another one.", levels: EVERY },
];

const BEFORE: Record<Level, string> = { org: "As the installation says", group: "As the org says", user: "As groups or the org say" };
const VISIBILITIES: readonly { value: Visibility; words: string }[] = [
  { value: "private", words: "Their owner and admins" },
  { value: "link", words: "Also who has a link" },
  { value: "org", words: "Everybody in the org" },
];
const YES_NO = [
  { value: "yes", words: "Yes" },
  { value: "no", words: "No" },
] as const;

/** `path` answers the same shape to `PUT`. */
export function SettingsForm({ said, path, queryKey, level }: { said: SettingsPatch; path: string; queryKey: QueryKey; level: Level }) {
  const limits = LIMITS.filter(({ levels }) => levels.includes(level));
  const [visibility, setVisibility] = useState<Visibility | "">(said.defaultVisibility ?? "");
  const [drafts, setDrafts] = useState<Partial<Record<LimitName, LimitDraft>>>(() => Object.fromEntries(limits.map(({ name }) => [name, limitDraft(said[name])])));
  const [model, setModel] = useState(said.defaultModel ?? "");
  const [policy, setPolicy] = useState(() => policyText(said.allowedModels));
  const [coAuthor, setCoAuthor] = useState<YesNo>(said.coAuthorTrailer === undefined ? "" : said.coAuthorTrailer ? "yes" : "no");
  const [dirty, setDirty] = useState(false);
  const save = useWrite((body: SettingsPatch) => call<SettingsPatch>("PUT", path, body), { refresh: [queryKey], onDone: () => setDirty(false) });
  const models = policyFrom(policy);
  const problem = limits.map(({ name }) => limitOf(drafts[name] ?? LEFT_OPEN)).find((read) => "problem" in read);
  const changed = <T,>(set: (value: T) => void) => (value: T) => {
    set(value);
    setDirty(true);
  };
  const left = { value: "", words: BEFORE[level] } as const;
  const submit = () => {
    if (problem || "problem" in models) return;
    const { defaultVisibility: _visibility, defaultModel: _model, allowedModels: _models, coAuthorTrailer: _trailer, ...rest } = said;
    const kept: SettingsPatch = Object.fromEntries(Object.entries(rest).filter(([name]) => !limits.some((limit) => limit.name === name)));
    const read = limits.map(({ name }) => [name, limitOf(drafts[name] ?? LEFT_OPEN)] as const);
    const set = read.flatMap(([name, value]) => ("limit" in value ? [[name, value.limit] as const] : []));
    save.run({
      ...kept,
      ...Object.fromEntries(set),
      ...(visibility === "" ? {} : { defaultVisibility: visibility }),
      ...(model === "" ? {} : { defaultModel: model }),
      ...(coAuthor === "" ? {} : { coAuthorTrailer: coAuthor === "yes" }),
      ...(models.allowed === undefined ? {} : { allowedModels: models.allowed }),
    });
  };
  return (
    <Form onSubmit={submit} className="flex flex-col gap-6">
      <Section title="New sessions">
        <SettingList>
          <SettingField label="Who sees a new session" hint="Its owner can change it for each session.">
            {(field) => <Choice {...field} data-testid="default-visibility" options={[left, ...VISIBILITIES]} value={visibility} onChange={changed(setVisibility)} />}
          </SettingField>
          <DefaultModel value={model} before={left.words} onChange={changed(setModel)} />
          <SettingField label="Commits name Errand as a co-author" hint="Their author is whoever asked for the work.">
            {(field) => <Choice {...field} data-testid="co-author" options={[left, ...YES_NO]} value={coAuthor} onChange={changed(setCoAuthor)} />}
          </SettingField>
        </SettingList>
      </Section>
      {level === "org" ? <AllowedModels value={policy} problem={"problem" in models ? models.problem : undefined} onChange={changed(setPolicy)} /> : null}
      <Section title="Limits">
        <SettingList>
          {limits.map(({ name, label, hint }) => (
            <LimitField key={name} name={name} label={label} hint={hint} before={left.words} draft={drafts[name] ?? LEFT_OPEN} onChange={changed((draft) => setDrafts({ ...drafts, [name]: draft }))} />
          ))}
        </SettingList>
      </Section>
      <Problem words={save.error} />
      <div className="flex items-center gap-3">
        <Button look="primary" type="submit" data-testid="save-settings" disabled={!dirty || save.pending || problem !== undefined || "problem" in models}>
          {save.pending ? "Saving…" : "Save"}
        </Button>
        <SavedMark saved={save.done && !dirty} />
      </div>
    </Form>
  );
}

const KINDS = [
  { value: "most", words: "At most" },
  { value: "unlimited", words: "No limit" },
] as const;

function LimitField({ name, label, hint, before, draft, onChange }: { name: string; label: string; hint: string; before: string; draft: LimitDraft; onChange: (draft: LimitDraft) => void }) {
  const read = limitOf(draft);
  return (
    <SettingField label={label} hint={hint} error={"problem" in read ? read.problem : undefined}>
      {({ "aria-invalid": invalid, ...field }) => (
        <div className="flex gap-2">
          <Choice {...field} data-testid={`${name}-kind`} options={[{ value: "open", words: before }, ...KINDS]} value={draft.kind} onChange={(kind) => onChange({ ...draft, kind })} />
          {draft.kind === "most" ? (
            <TextInput aria-label={`${label}: at most`} aria-invalid={invalid} aria-describedby={field["aria-describedby"]} data-testid={name} inputMode="numeric" className="w-24" value={draft.most} onChange={(event) => onChange({ ...draft, most: event.target.value })} />
          ) : null}
        </div>
      )}
    </SettingField>
  );
}
