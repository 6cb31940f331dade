/** What the org says of its people's sessions: defaults and limits. */
import { useQuery } from "@tanstack/react-query";
import { Loaded } from "@/components/loaded";
import { SettingsPage } from "@/features/settings/bits";
import { orgSettingsQuery } from "@/features/settings/queries";
import { SettingsForm } from "@/features/settings/settings-form";

/** See the head of the file. */
export function OrgPage() {
  const query = useQuery(orgSettingsQuery);
  return (
    <SettingsPage
      title="Defaults and limits"
      description="What holds for everybody in the org. Under People you can say something else of one person. Whoever reaches a limit is told which, and what to wait for."
    >
      <Loaded query={query} what="The settings" rows={5}>
        {(said) => <SettingsForm said={said} path="/api/admin/settings" queryKey={orgSettingsQuery.queryKey} level="org" />}
      </Loaded>
    </SettingsPage>
  );
}
