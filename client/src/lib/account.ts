/** Who is signed in, and what this installation offers: read by every screen. */
import { queryOptions, useQuery } from "@tanstack/react-query";
import { ApiError, call } from "@/lib/api";
import type { Installation } from "@/protocol/Installation";
import type { Me } from "@/protocol/Me";
import type { ModelInfo } from "@/protocol/ModelInfo";

/** Who is signed in; `null` when nobody is. */
export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: async ({ signal }): Promise<Me | null> => {
    try {
      return await call<Me>("GET", "/api/auth/me", undefined, signal);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: 5 * 60_000,
});

/** What this installation offers. */
export const installationQuery = queryOptions({
  queryKey: ["installation"],
  queryFn: ({ signal }) => call<Installation>("GET", "/api/config", undefined, signal),
  staleTime: 60_000,
});

/** A model's name where a badge cannot stand, as in a list to choose from. */
export function modelLabel(model: ModelInfo): string {
  return model.demo && !/\bdemo\b/i.test(model.name) ? `${model.name} (demo)` : model.name;
}

/** The model as the installation describes it; of an unknown one only what its id says. */
export function useModel(id: string): ModelInfo {
  const { data } = useQuery(installationQuery);
  const known = data?.models.find((model) => model.id === id);
  return known ?? { id, name: id.split("/").slice(1).join("/") || id, demo: id.startsWith("demo/") };
}
