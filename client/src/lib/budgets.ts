/** What another limit of a budget means, in words. Pure. */
import type { Budget } from "@/protocol/Budget";
import type { Dimension } from "@/protocol/Dimension";

const EACH: Record<Dimension, string> = {
  org: "the whole organization",
  user: "every person of this organization",
  session: "every session of this organization",
  repository: "every repository of this organization",
  trigger: "every API key of this organization",
  turn: "every turn in this organization",
  model: "every model in this organization",
};
const ONE: Record<Dimension, string> = {
  org: "the whole organization",
  user: "this one person",
  session: "this one session",
  repository: "this one repository",
  trigger: "this one API key",
  turn: "this one turn",
  model: "this one model",
};

/** For whom a budget's limit holds: one that counts each by itself is one limit for all of them. */
export function holdsFor({ dimension, subject }: Pick<Budget, "dimension" | "subject">): string {
  return subject === undefined || subject === "" ? EACH[dimension] : ONE[dimension];
}
