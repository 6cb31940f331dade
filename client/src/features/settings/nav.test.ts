import { expect, it } from "vitest";
import { settingsPageAt, settingsPages } from "@/features/settings/nav";

it("each role has its pages, and more with each role", () => {
  const titles = (role: "viewer" | "member" | "admin" | "owner") => settingsPages(role).map(({ title }) => title);
  expect(titles("viewer")).toEqual(["Sign-ins and orgs", "Usage", "Models and keys"]);
  expect(titles("member")).toContain("API keys");
  expect(titles("member")).not.toContain("Audit log");
  expect(titles("owner")).toEqual(titles("admin"));
});

it("a page is known by its address", () => {
  expect(settingsPageAt("/settings/audit")?.least).toBe("admin");
  expect(settingsPageAt("/settings")).toBeUndefined();
});
