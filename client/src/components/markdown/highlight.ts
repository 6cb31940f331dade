/** Colours for code: Shiki with few languages, loaded when code is first shown. Without it code is plain, never missing. */
import type { HighlighterCore, LanguageInput, ThemedToken } from "shiki/core";

const LANGUAGES: Record<string, () => Promise<{ default: LanguageInput }>> = {
  typescript: () => import("shiki/langs/typescript.mjs"),
  tsx: () => import("shiki/langs/tsx.mjs"),
  javascript: () => import("shiki/langs/javascript.mjs"),
  json: () => import("shiki/langs/json.mjs"),
  bash: () => import("shiki/langs/bash.mjs"),
  python: () => import("shiki/langs/python.mjs"),
  rust: () => import("shiki/langs/rust.mjs"),
  go: () => import("shiki/langs/go.mjs"),
  css: () => import("shiki/langs/css.mjs"),
  html: () => import("shiki/langs/html.mjs"),
  yaml: () => import("shiki/langs/yaml.mjs"),
  toml: () => import("shiki/langs/toml.mjs"),
  sql: () => import("shiki/langs/sql.mjs"),
  diff: () => import("shiki/langs/diff.mjs"),
};

const ALIASES: Record<string, string> = {
  ts: "typescript", mts: "typescript", cts: "typescript", js: "javascript", mjs: "javascript", cjs: "javascript", jsx: "tsx",
  sh: "bash", shell: "bash", zsh: "bash", console: "bash", py: "python", rs: "rust", yml: "yaml", jsonc: "json", patch: "diff",
};

/** Above this, colouring would block the page for too long. */
const MOST_CHARS = 40_000;

let core: Promise<HighlighterCore> | undefined;

async function load(): Promise<HighlighterCore> {
  const [{ createHighlighterCore }, { createJavaScriptRegexEngine }, light, dark] = await Promise.all([
    import("shiki/core"),
    import("shiki/engine/javascript"),
    import("shiki/themes/github-light-high-contrast.mjs"),
    import("shiki/themes/github-dark-default.mjs"),
  ]);
  return createHighlighterCore({
    themes: [light.default, dark.default],
    langs: [],
    engine: createJavaScriptRegexEngine({ forgiving: true }),
  });
}

/** The language's own name, when it is one that can be coloured. */
export function languageOf(name: string): string | undefined {
  const lower = name.toLowerCase();
  const known = ALIASES[lower] ?? lower;
  return known in LANGUAGES ? known : undefined;
}

/** The code's lines as coloured pieces; nothing for languages that are not known. */
export async function highlight(code: string, name: string): Promise<readonly (readonly ThemedToken[])[] | undefined> {
  const language = languageOf(name);
  const grammar = language === undefined ? undefined : LANGUAGES[language];
  if (language === undefined || grammar === undefined || code.length > MOST_CHARS) return undefined;
  const highlighter = await (core ??= load());
  if (!highlighter.getLoadedLanguages().includes(language)) await highlighter.loadLanguage((await grammar()).default);
  return highlighter.codeToTokens(code, {
    lang: language,
    themes: { light: "github-light-high-contrast", dark: "github-dark-default" },
    defaultColor: false,
  }).tokens;
}
