import { expect, it } from "vitest";
import { policyDraft, policyOf } from "@/features/settings/policy-draft";
import { secretProblem } from "@/features/settings/secret-words";
import type { RepositoryPolicy } from "@/protocol/RepositoryPolicy";

const REPO = "https://github.com/acme/shop";
const FULL: RepositoryPolicy = { url: REPO, egress: { mode: "allowlist", hosts: ["*.npmjs.org", "github.com:22"] }, setup: "npm ci\n", secrets: ["NPM_TOKEN", "B_2"] };

it("a policy that nobody changes is written back as it was", () => {
  expect(policyOf(REPO, policyDraft(FULL))).toEqual({ policy: FULL });
  const open: RepositoryPolicy = { url: REPO, egress: { mode: "open" }, secrets: [] };
  expect(policyOf(REPO, policyDraft(open))).toEqual({ policy: open });
});

it("lists are read as people write them, each name once", () => {
  const read = policyOf(REPO, { mode: "allowlist", hosts: " a.example ,\n\nb.example a.example", setup: "  \n", secrets: "A, B  A" });
  expect(read).toEqual({ policy: { url: REPO, egress: { mode: "allowlist", hosts: ["a.example", "b.example"] }, secrets: ["A", "B"] } });
});

it("what is wrong is told where it is", () => {
  const read = policyOf(REPO, { mode: "allowlist", hosts: "https://a.example/", setup: "x".repeat(70_000), secrets: "npm_token" });
  expect(Object.keys("problems" in read ? read.problems : {}).toSorted()).toEqual(["hosts", "secrets", "setup"]);
});

it("names that programs go by are refused", () => {
  for (const bad of ["", "a", "1A", "PATH", "LD_PRELOAD", "ERRAND_TOKEN", "A-B", "HTTPS_PROXY", "SSL_CERT_FILE"]) expect(secretProblem(bad), bad).toBeDefined();
  for (const good of ["A", "_X", "NPM_TOKEN", "PATHS"]) expect(secretProblem(good), good).toBeUndefined();
});
