/** The models that one can choose: what opens each, what locks it, how much it can be told to think. */
import { queryOptions, useQuery } from "@tanstack/react-query";
import { call } from "@/lib/api";
import type { Effort } from "@/protocol/Effort";
import type { Estimate } from "@/protocol/Estimate";
import type { Lock } from "@/protocol/Lock";
import type { ModelChoice } from "@/protocol/ModelChoice";
import type { ModelList } from "@/protocol/ModelList";

/** See the head of the file. */
export const modelsQuery = queryOptions({
  queryKey: ["models"],
  queryFn: ({ signal }) => call<ModelList>("GET", "/api/models", undefined, signal),
  staleTime: 60_000,
});

/** What turns on this repository cost and took lately, with this model if one is named. */
export function estimateQuery(repo: string, model: string | undefined) {
  const query = new URLSearchParams({ repo, ...(model === undefined ? {} : { model }) });
  return queryOptions({
    queryKey: ["estimate", repo, model ?? ""],
    queryFn: ({ signal }) => call<Estimate>("GET", `/api/usage/estimate?${query.toString()}`, undefined, signal),
    staleTime: 60_000,
    // It only helps: without it there is none.
    retry: false,
  });
}

/** A model's id and how much it is told to think, from `provider/model@effort`. */
export function splitEffort(id: string): { model: string; effort: Effort | undefined } {
  const match = /^(.*)@(low|medium|high)$/.exec(id);
  return match ? { model: match[1] ?? id, effort: match[2] as Effort } : { model: id, effort: undefined };
}

/** Why a model cannot be used. */
export function lockWords(lock: Lock | undefined): string {
  return lock === "policy" ? "not for your role, says your org" : "needs a key of its provider";
}

/** A model's name where a badge and a lock cannot stand, as in a list to choose from. */
export function modelLabel(model: Pick<ModelChoice, "name" | "demo" | "locked" | "lock">): string {
  const name = model.demo && !/\bdemo\b/i.test(model.name) ? `${model.name} (demo)` : model.name;
  return model.locked ? `${name} – locked: ${lockWords(model.lock)}` : name;
}

/** The model as it is listed; of an unknown one only what its id says. */
export function useModel(id: string): Pick<ModelChoice, "id" | "name" | "demo"> & { effort: Effort | undefined } {
  const { data } = useQuery(modelsQuery);
  const { model, effort } = splitEffort(id);
  const known = data?.models.find((one) => one.id === model);
  const { name, demo } = known ?? { name: model.split("/").slice(1).join("/") || model, demo: model.startsWith("demo/") };
  return { id: model, name, demo, effort };
}
