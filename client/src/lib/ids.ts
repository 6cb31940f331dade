/** Ids that the client makes: a prefix and a ULID. */
import { monotonicFactory } from "ulid";

const next = monotonicFactory();

/** An id that no other client makes, later than every earlier one of this page. */
export function newId(prefix: "ses" | "prm" | "cmd"): string {
  return `${prefix}_${next()}`;
}
