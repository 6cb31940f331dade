// @ts-check
/** Lint rules: type-checked TypeScript, React's rules of hooks, and the direction of imports (lib → components → features → app). */
import js from "@eslint/js";
import hooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

/** @param {string} folder @param {string[]} banned */
const layer = (folder, banned) => ({
  files: [`src/${folder}/**/*.{ts,tsx}`],
  rules: {
    "no-restricted-imports": [
      "error",
      { patterns: [{ group: banned, message: "imports go lib → components → features → app, and never across features" }] },
    ],
  },
});

export default tseslint.config(
  { ignores: ["dist", "src/protocol", "public", "eslint.config.js"] },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
  },
  hooks.configs.flat["recommended-latest"],
  {
    rules: {
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/only-throw-error": "off",
    },
  },
  layer("lib", ["@/components/*", "@/features/*", "@/app/*"]),
  layer("components", ["@/features/*", "@/app/*"]),
  layer("features/session", ["@/features/sessions/*", "@/features/settings/*", "@/features/auth/*", "@/app/*"]),
  layer("features/sessions", ["@/features/session/*", "@/features/settings/*", "@/features/auth/*", "@/app/*"]),
  layer("features/settings", ["@/features/session/*", "@/features/sessions/*", "@/features/auth/*", "@/app/*"]),
  layer("features/auth", ["@/features/session/*", "@/features/sessions/*", "@/features/settings/*", "@/app/*"]),
);
