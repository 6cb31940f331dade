import { expect, it } from "vitest";
import { actionWords, credentialWords, joinCsv, outcomeWords } from "@/features/settings/audit-words";
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
