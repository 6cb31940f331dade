import { expect, it } from "vitest";
import { keyState, scopesFor } from "@/features/settings/scopes";

it("scopes of admins are offered to admins alone", () => {
  const names = (role: "viewer" | "member" | "admin") => scopesFor(role).map(({ scope }) => scope);
  expect(names("viewer")).toEqual([]);
  expect(names("member")).not.toContain("admin:read");
  expect(names("admin").filter((scope) => /^(pulls|workflows):/.test(scope))).toEqual([]);
  expect(names("admin")).toEqual([...names("member"), "admin:read", "admin:write"]);
});

it("a key is over when it was revoked or its time has come", () => {
  const now = Date.parse("2026-11-21T12:00:00Z");
  expect(keyState({}, now)).toBe("live");
  expect(keyState({ expiresAt: "2026-11-21T12:00:01Z" }, now)).toBe("live");
  expect(keyState({ expiresAt: "2026-11-21T12:00:00Z" }, now)).toBe("expired");
  expect(keyState({ expiresAt: "2027-01-01T00:00:00Z", revokedAt: "2026-01-01T00:00:00Z" }, now)).toBe("revoked");
});
