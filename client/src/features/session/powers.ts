/** What the one who looks may do with the session on the page; whatever they may not is not offered. */
import { createContext, use } from "react";
import { LOOK_ONLY, type Powers } from "@/lib/may";

/** Given by the page. */
export const PowersContext = createContext<Powers>(LOOK_ONLY);

/** See the head of the file. */
export function usePowers(): Powers {
  return use(PowersContext);
}
