/** The names of the org's people, by id. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { membersQuery } from "@/features/settings/queries";

/**
 * All members' names. `undefined` is somebody who is known not to belong to the org; of whom nothing is known yet, there are
 * words that say no more than that.
 */
export function usePeople(enabled = true): (id: string) => string | undefined {
  const { data, hasNextPage, isFetching, isError, fetchNextPage } = useInfiniteQuery({ ...membersQuery, enabled });
  const more = enabled && hasNextPage && !isFetching && !isError;
  useEffect(() => {
    if (more) void fetchNextPage();
  }, [more, fetchNextPage]);
  const people = new Map(data?.pages.flatMap((page) => page.members).map(({ person }) => [person.id, person.name]));
  const missing = data !== undefined && !hasNextPage ? undefined : isError || !enabled ? "Somebody" : "…";
  return (id) => people.get(id) ?? missing;
}
