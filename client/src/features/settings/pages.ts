/** The pages of the settings, loaded together on first use. */
export { AuditPage } from "@/features/settings/audit-page";
export { BudgetsPage } from "@/features/settings/budgets-page";
export { KeysPage } from "@/features/settings/keys-page";
export { MembersPage } from "@/features/settings/members-page";
export { ModelsPage } from "@/features/settings/models-page";
export { OrgPage } from "@/features/settings/org-page";
export { PricesPage } from "@/features/settings/prices-page";
export { RepositoriesPage } from "@/features/settings/repositories-page";
export { SecretsPage } from "@/features/settings/secrets-page";
export { SignInsPage } from "@/features/settings/sign-ins-page";
export { UsagePage } from "@/features/settings/usage-page";
