/** The pages of the settings: where each is, whom it is for, and in which group it stands. */
import { Building2, ChartColumn, Cpu, FileKey2, FolderGit2, KeyRound, MonitorSmartphone, Receipt, ScrollText, Users, Wallet, type LucideIcon } from "lucide-react";
import { atLeast } from "@/lib/may";
import type { OrgRole } from "@/protocol/OrgRole";

/** One page. */
export interface SettingsPageLink {
  readonly to:
    | "/settings/sign-ins" | "/settings/keys" | "/settings/usage" | "/settings/members" | "/settings/org"
    | "/settings/budgets" | "/settings/prices" | "/settings/audit" | "/settings/models" | "/settings/secrets" | "/settings/repositories";
  readonly title: string;
  /** Whose settings these are. */
  readonly of: "you" | "org";
  /** The role that it takes. */
  readonly least: OrgRole;
  readonly icon: LucideIcon;
}

const PAGES: readonly SettingsPageLink[] = [
  { to: "/settings/sign-ins", title: "Sign-ins and orgs", of: "you", least: "viewer", icon: MonitorSmartphone },
  { to: "/settings/usage", title: "Usage", of: "you", least: "viewer", icon: ChartColumn },
  { to: "/settings/keys", title: "API keys", of: "you", least: "member", icon: KeyRound },
  { to: "/settings/models", title: "Models and keys", of: "you", least: "viewer", icon: Cpu },
  { to: "/settings/secrets", title: "Secrets", of: "you", least: "member", icon: FileKey2 },
  { to: "/settings/members", title: "People", of: "org", least: "admin", icon: Users },
  { to: "/settings/org", title: "Organization", of: "org", least: "admin", icon: Building2 },
  { to: "/settings/repositories", title: "Repositories", of: "org", least: "admin", icon: FolderGit2 },
  { to: "/settings/budgets", title: "Budgets", of: "org", least: "admin", icon: Wallet },
  { to: "/settings/prices", title: "Prices", of: "org", least: "admin", icon: Receipt },
  { to: "/settings/audit", title: "Audit log", of: "org", least: "admin", icon: ScrollText },
];

/** The page at an address of the settings. */
export function settingsPageAt(pathname: string): SettingsPageLink | undefined {
  return PAGES.find(({ to }) => pathname === to);
}

/** The pages for somebody with this role. */
export function settingsPages(role: OrgRole): readonly SettingsPageLink[] {
  return PAGES.filter(({ least }) => atLeast(role, least));
}
