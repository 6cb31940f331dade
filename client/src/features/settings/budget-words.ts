/** Budgets in words. Pure. */
import { repoName } from "@/lib/format";
import type { Budget } from "@/protocol/Budget";
import type { Dimension } from "@/protocol/Dimension";
import type { Period } from "@/protocol/Period";

/** How long, after an amount. */
export const PERIOD_WORDS: Record<Period, string> = { day: "a day", month: "a month", total: "in all" };

const ALL: Record<Dimension, string> = {
  org: "The whole org",
  user: "Each person",
  session: "Each session",
  repository: "Each repository",
  trigger: "Each trigger",
  turn: "Each turn",
  model: "Each model",
};

/** What something with an id is called; `undefined` when it is not known. */
export type NameOf = (id: string) => string | undefined;

/** Whose a budget is. `nameOf` knows the people's names. */
export function budgetTitle({ dimension, subject }: Pick<Budget, "dimension" | "subject">, nameOf: NameOf): string {
  if (subject === undefined || subject === "") return ALL[dimension];
  return subjectWords(dimension, subject, nameOf);
}

/** What spending was for, in words. */
export function subjectWords(dimension: Dimension, subject: string, nameOf: NameOf, titleOf: NameOf = () => undefined): string {
  switch (dimension) {
    case "user":
      return nameOf(subject) ?? "Somebody who has left";
    case "repository":
      return subject === "" ? "No repository" : repoName(subject);
    case "session":
      return titleOf(subject) ?? `Session …${subject.slice(-6)}`;
    case "org":
    case "trigger":
    case "turn":
    case "model":
      return subject;
  }
}
