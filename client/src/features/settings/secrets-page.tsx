/** Secrets for sandboxes: one's own and the org's. Those of a repository are with the repository. */
import { Secrets } from "@/features/settings/secrets";
import { SettingsPage } from "@/features/settings/bits";
import { useAtLeast } from "@/lib/account";

/** See the head of the file. */
export function SecretsPage() {
  const admin = useAtLeast("admin");
  return (
    <SettingsPage
      title="Secrets"
      description="Values that the programs of a repository need, like a registry’s token. A sandbox gets one only where the repository’s settings name it; yours comes before the repository’s, and that before the org’s."
    >
      <Secrets scope={{ of: "own" }} id="own" title="Yours" description="For your own sessions." />
      {admin ? <Secrets scope={{ of: "org" }} id="org" title="The org’s" description="For everybody’s sessions." /> : null}
    </SettingsPage>
  );
}
