/** Providers and keys in words. Pure. */
import type { KeyOwner } from "@/protocol/KeyOwner";

/** Stands for a provider that nobody knows by name. No provider is called so. */
export const OTHER = "*";

const NAMES: Record<string, string> = { anthropic: "Anthropic", openai: "OpenAI", google: "Google", openrouter: "OpenRouter" };

/** As the provider writes itself. */
export function providerName(provider: string): string {
  return NAMES[provider] ?? provider;
}

/** What is wrong with a name that somebody made up for a provider. */
export function providerProblem(name: string): string | undefined {
  return /^[a-z0-9][a-z0-9._-]{0,39}$/.test(name) ? undefined : "Use a–z, 0–9, dot, hyphen; it stands before the models’ names.";
}

/** With whose key it is used. */
export function keyOwnerWords(owner: KeyOwner | undefined): string | undefined {
  switch (owner) {
    case "own":
      return "with your key";
    case "org":
      return "with the org’s key";
    case "installation":
      return "with the installation’s key";
    case undefined:
      return undefined;
  }
}
