/** Sessions for components: a few are kept while the page lives, so that going back to one shows it at once. */
import { useEffect, useMemo } from "react";
import { SessionStore, type SessionSnapshot } from "@/features/session/session-store";
import { useStore } from "@/lib/store";

const KEPT = 6;
const stores = new Map<string, SessionStore>();

function storeFor(id: string): SessionStore {
  const store = stores.get(id) ?? new SessionStore(id);
  stores.delete(id);
  stores.set(id, store);
  for (const oldest of stores.keys()) {
    if (stores.size <= KEPT) break;
    stores.delete(oldest);
  }
  return store;
}

/** The session, live while the component is mounted. */
export function useSession(id: string): { store: SessionStore; snapshot: SessionSnapshot } {
  const store = useMemo(() => storeFor(id), [id]);
  useEffect(() => store.watch(), [store]);
  return { store, snapshot: useStore(store.snapshot) };
}
