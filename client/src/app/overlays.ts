/** Which of the frame's dialogs is open. */
import { Store } from "@/lib/store";

/** One at a time. */
export type Overlay = "none" | "new-session" | "palette" | "keys";

/** The open one. */
export const overlay = new Store<Overlay>("none");

/** Opens the new-session dialog. */
export function openNewSession(): void {
  overlay.set("new-session");
}
