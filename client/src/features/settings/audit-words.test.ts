import { expect, it } from "vitest";
import { actionWords, credentialWords, detailName, entryWords, joinCsv, KINDS, outcomeWords } from "@/features/settings/audit-words";
import { auditPath } from "@/features/settings/queries";

it("what people do often has words, what is unknown has none", () => {
  expect(actionWords("sign-in")).toBe("Signed in");
  expect(actionWords("POST /api/keys")).toBe("Made an API key");
  expect(actionWords("POST /api/sessions/:id/archive")).toBe("Archived a session");
  expect(actionWords("COMMAND prompt")).toBe("Prompted");
  expect(actionWords("COMMAND archive")).toBe("Archived a session");
  expect(actionWords("COMMAND unheard_of")).toBeUndefined();
  expect(actionWords("POST /api/sessions/:id/unheard-of")).toBeUndefined();
});

it("every kind that can be chosen has its own words, and finds what it says", () => {
  expect(new Set(KINDS.map(({ words }) => words)).size).toBe(KINDS.length);
  const found = (words: string, action: string) => KINDS.find((kind) => kind.words === words)?.value.split(",").some((beginning) => action.startsWith(beginning));
  for (const [words, action] of [
    ["Model keys", "PUT /api/admin/model-keys/openai"], ["Model keys", "DELETE /api/model-keys/openai"], ["Secrets", "PUT /api/secrets/A"], ["Secrets", "use secret A of org"],
    ["Shares", "POST /api/sessions/:id/shares"], ["Repositories and network access", "POST /api/sessions/:id/egress/allow"], ["Groups", "PUT /api/groups/:id/members/:id"],
    ["Prices", "PUT /api/admin/prices"], ["Git credentials", "git.push"], ["Budgets", "PATCH /api/admin/budgets/:id"], ["Settings and the org’s name", "PATCH /api/admin/org"],
  ] as const) {
    expect([words, action, found(words, action)]).toEqual([words, action, true]);
  }
  expect(found("Secrets", "PUT /api/model-keys/openai")).toBe(false);
});

it("a refused sign-in is none, and fields are told in words", () => {
  expect(entryWords({ action: "sign-in", outcome: "403", details: {} })).toBe("Tried to sign in");
  const answer = { action: "POST /api/sessions/:id/interactions/:id", outcome: "ok" };
  expect([entryWords({ ...answer, details: {} }), entryWords({ ...answer, details: { budget: "bdg_1" } })]).toEqual(["Answered a question", "Extended a budget"]);
  expect(detailName("orgDailySessions")).toBe("org daily sessions");
});

it("outcomes and credentials are told", () => {
  expect(outcomeWords("ok")).toEqual({ words: "done", ok: true });
  expect(outcomeWords("403")).toEqual({ words: "not allowed", ok: false });
  expect(outcomeWords("418")).toEqual({ words: "418", ok: false });
  expect(["key_1", "sgn_1", "ses_1"].map(credentialWords)).toEqual(["API key", "sign-in", "sandbox"]);
});

it("pages of an export are one file with one header", () => {
  expect(joinCsv(["id,at\r\n\"1\",\"a\r\nb\"\r\n", "id,at\r\n\"2\",\"c\"\r\n"])).toBe("id,at\r\n\"1\",\"a\r\nb\"\r\n\"2\",\"c\"\r\n");
  expect(joinCsv([])).toBe("");
});

it("the address of a page holds what was asked for and nothing else", () => {
  const none = { user: "", action: "", target: "", outcome: "", from: "", to: "" };
  expect(auditPath(none, 50, null)).toBe("/api/admin/audit?limit=50");
  const path = auditPath({ ...none, action: " POST /api/keys", outcome: "ok", from: "2026-11-20", to: "2026-11-21" }, 1000, "01X", "csv");
  const query = new URL(path, "http://x").searchParams;
  expect([query.get("action"), query.get("outcome"), query.get("cursor"), query.get("format")]).toEqual(["POST /api/keys", "ok", "01X", "csv"]);
  expect(Date.parse(query.get("to") ?? "") - Date.parse(query.get("from") ?? "")).toBe(2 * 86_400_000);
  expect(auditPath({ ...none, from: "nonsense" }, 1, null)).toBe("/api/admin/audit?limit=1");
});
