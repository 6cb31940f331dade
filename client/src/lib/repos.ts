/** The repositories that this person used lately, to suggest wherever one is to be named. */
import { call } from "@/lib/api";
import type { RepoList } from "@/protocol/RepoList";

/** See the head of the file. */
export const reposQuery = {
  queryKey: ["repos"],
  queryFn: ({ signal }: { signal: AbortSignal }) => call<RepoList>("GET", "/api/repos", undefined, signal),
  staleTime: 30_000,
} as const;

/** A repository address as the protocol allows it (text.rs), or what is wrong with it. */
export function repoProblem(url: string): string | undefined {
  if (url === "" || url.startsWith("/") || /^(https?:\/\/[^/\s]+|file:\/\/\/)/.test(url)) return undefined;
  return "Write an https:// address, a file:// address or an absolute path.";
}
