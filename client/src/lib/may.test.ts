import { expect, it } from "vitest";
import { LOOK_ONLY, powersOn } from "@/lib/may";
import type { OrgRole } from "@/protocol/OrgRole";
import type { Visibility } from "@/protocol/Visibility";

const person = (name: string) => ({ id: `usr_${name}`, name, email: `${name}@example.org` });
const of = (role: OrgRole, visibility?: Visibility, owner = "ada", guest: OrgRole | null = null) =>
  powersOn({ user: person("ada"), role }, { owner: person(owner), ...(visibility ? { visibility } : {}) }, guest);

it("whoever owns a session may do everything with it but answer for the org", () => {
  expect(of("member")).toEqual({ work: true, manage: true, end: true, share: true, oversee: false });
  expect(of("owner").oversee).toBe(true);
});

it("a viewer looks, even at what was their own", () => {
  for (const visibility of [undefined, "link", "org"] as const) {
    expect(of("viewer", visibility, "bob", "member")).toEqual(LOOK_ONLY);
    expect(of("viewer", visibility)).toEqual(LOOK_ONLY);
  }
});

it("an admin ends a private session and does not work on it", () => {
  expect(of("admin", undefined, "bob")).toEqual({ work: false, manage: true, end: true, share: false, oversee: true });
  expect(of("admin", "org", "bob").work).toBe(true);
  expect(of("admin", "link", "bob").work).toBe(false);
});

it("members work on what is shared with them to work on, and leave it to its owner to end or share it", () => {
  expect(of("member", "org", "bob")).toEqual({ ...LOOK_ONLY, work: true });
  expect(of("member", "link", "bob", "member")).toEqual({ ...LOOK_ONLY, work: true });
  expect(of("member", undefined, "bob")).toEqual(LOOK_ONLY);
});

it("a guest whose link is for looking looks", () => {
  expect(of("member", "link", "bob", "viewer")).toEqual(LOOK_ONLY);
  expect(of("member", "link", "bob")).toEqual(LOOK_ONLY);
  // What a link made of them counts no more.
  expect(of("member", "private", "bob", "member")).toEqual(LOOK_ONLY);
  expect(of("admin", "link", "bob", "member").work).toBe(true);
});
