/**
 * What one level (the org, a person) says of the settings. What it leaves open is said by the level before it. What this
 * page does not know of is kept as it is: the write replaces all that the level says.
 */
import type { QueryKey } from "@tanstack/react-query";
import { useState, type SyntheticEvent } from "react";
import { Button } from "@/components/button";
import { Field, Select, TextInput } from "@/components/fields";
import { Problem, SavedMark } from "@/features/settings/bits";
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

const BEFORE: Record<Level, string> = { org: "As the installation says", group: "As the org says", user: "As their groups or the org say" };
const VISIBILITIES: readonly { value: Visibility; words: string }[] = [
  { value: "private", words: "Their owner and admins" },
  { value: "link", words: "Also who has a link" },
  { value: "org", words: "Everybody in the org" },
];

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
  const change = (name: LimitName, draft: LimitDraft) => {
    setDrafts({ ...drafts, [name]: draft });
    setDirty(true);
  };
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
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
    <form onSubmit={submit} noValidate className="flex flex-col gap-4">
      <Field label="Who sees a new session" hint="Its owner can change it for each session.">
        {({ id, describedBy }) => (
          <Select
            id={id}
            aria-describedby={describedBy}
            data-testid="default-visibility"
            className="max-w-80"
            value={visibility}
            onChange={({ target }) => {
              setVisibility(VISIBILITIES.find(({ value }) => value === target.value)?.value ?? "");
              setDirty(true);
            }}
          >
            <option value="">{BEFORE[level]}</option>
            {VISIBILITIES.map(({ value, words }) => (
              <option key={value} value={value}>
                {words}
              </option>
            ))}
          </Select>
        )}
      </Field>
      <DefaultModel
        value={model}
        before={BEFORE[level]}
        onChange={(id) => {
          setModel(id);
          setDirty(true);
        }}
      />
      {level === "org" ? (
        <AllowedModels
          value={policy}
          problem={"problem" in models ? models.problem : undefined}
          onChange={(text) => {
            setPolicy(text);
            setDirty(true);
          }}
        />
      ) : null}
      <Field label="Commits name Errand as a co-author" hint="Their author is whoever asked for the work.">
        {({ id, describedBy }) => (
          <Select
            id={id}
            aria-describedby={describedBy}
            data-testid="co-author"
            className="max-w-80"
            value={coAuthor}
            onChange={({ target }) => {
              setCoAuthor(target.value === "yes" || target.value === "no" ? target.value : "");
              setDirty(true);
            }}
          >
            <option value="">{BEFORE[level]}</option>
            <option value="yes">Yes</option>
            <option value="no">No</option>
          </Select>
        )}
      </Field>
      {limits.map(({ name, label, hint }) => (
        <LimitField key={name} name={name} label={label} hint={hint} before={BEFORE[level]} draft={drafts[name] ?? LEFT_OPEN} onChange={(draft) => change(name, draft)} />
      ))}
      <Problem words={save.error} />
      <div className="flex items-center gap-3">
        <Button look="primary" type="submit" data-testid="save-settings" disabled={!dirty || save.pending || problem !== undefined || "problem" in models}>
          {save.pending ? "Saving…" : "Save"}
        </Button>
        <SavedMark saved={save.done && !dirty} />
      </div>
    </form>
  );
}

function LimitField({ name, label, hint, before, draft, onChange }: { name: string; label: string; hint: string; before: string; draft: LimitDraft; onChange: (draft: LimitDraft) => void }) {
  const read = limitOf(draft);
  return (
    <Field label={label} hint={hint} error={"problem" in read ? read.problem : undefined}>
      {({ id, describedBy }) => (
        <div className="flex max-w-96 gap-2">
          <Select
            id={id}
            aria-describedby={describedBy}
            data-testid={`${name}-kind`}
            value={draft.kind}
            onChange={({ target }) => onChange({ ...draft, kind: target.value === "most" || target.value === "unlimited" ? target.value : "open" })}
          >
            <option value="open">{before}</option>
            <option value="most">At most</option>
            <option value="unlimited">No limit</option>
          </Select>
          {draft.kind === "most" ? (
            <TextInput aria-label={`${label}: at most`} data-testid={name} inputMode="numeric" className="max-w-24" value={draft.most} onChange={(event) => onChange({ ...draft, most: event.target.value })} />
          ) : null}
        </div>
      )}
    </Field>
  );
}
