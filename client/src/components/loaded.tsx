/** What stands where an answer is awaited: a placeholder, then the answer, or why it did not come and a way to ask again. */
import { CircleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { Card, Skeleton } from "@/components/bits";
import { Button } from "@/components/button";
import { messageOf } from "@/lib/api";

/** What of a query this needs. */
interface Asked<T> {
  readonly data: T | undefined;
  readonly error: Error | null;
  readonly refetch: () => Promise<unknown>;
}

/** `what`: the thing, as the first words of "… did not load". */
export function Loaded<T>({ query, what, children, rows = 3 }: { query: Asked<T>; what: string; children: (data: T) => ReactNode; rows?: number }) {
  const { data, error, refetch } = query;
  if (data !== undefined) return children(data);
  if (error) {
    return (
      <Card tone="red" role="alert" icon={<CircleAlert size={16} />} title={`${what} did not load`} actions={<Button onClick={() => void refetch()}>Try again</Button>}>
        {messageOf(error)}
      </Card>
    );
  }
  return (
    <div role="status" aria-label="Loading" className="flex flex-col gap-2">
      {Array.from({ length: rows }, (_, row) => (
        <Skeleton key={row} className="h-13 w-full" />
      ))}
    </div>
  );
}
