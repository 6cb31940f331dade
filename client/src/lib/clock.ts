/** The time, as a value that components can read: it ticks only while somebody looks. */
import { useEffect, useState } from "react";

/** Now, renewed every `everyMs`; stands still when `everyMs` is `null`. */
export function useNow(everyMs: number | null): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (everyMs === null) return;
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
