/** What stands beside the list before a session is chosen; on a phone it is the list. */
import { useQuery } from "@tanstack/react-query";
import { CircleAlert, Plus, Search } from "lucide-react";
import { AccountMenu } from "@/app/account-menu";
import { OrgMenu } from "@/app/org-menu";
import { openNewSession, overlay } from "@/app/overlays";
import { Card, Kbd } from "@/components/bits";
import { Button, IconButton } from "@/components/button";
import { Connection } from "@/components/connection";
import { busLink } from "@/features/sessions/list";
import { SessionListView } from "@/features/sessions/session-list";
import { installationQuery, useAtLeast } from "@/lib/account";
import { useStore } from "@/lib/store";

/** See the head of the file. */
export function HomePage() {
  const { data: installation } = useQuery(installationQuery);
  const link = useStore(busLink);
  const works = useAtLeast("member");
  return (
    <main className="flex h-full min-h-0 flex-col">
      <div className="min-h-0 flex-1 overflow-y-auto pt-1 md:hidden">
        <div className="flex items-center gap-1 px-1.5 pb-1">
          <h1 className="sr-only">Sessions</h1>
          <OrgMenu testId="org-menu-phone" />
          <Connection link={link} behind={0} testId="connection-phone" />
          <IconButton label="Search and run anything" onClick={() => overlay.set("palette")}>
            <Search size={17} />
          </IconButton>
          <AccountMenu compact />
        </div>
        <SessionListView />
      </div>
      <div className="hidden h-full flex-col items-center justify-center gap-5 px-6 md:flex">
        <div className="flex max-w-md flex-col items-center gap-2 text-center">
          <h1 className="text-xl font-semibold">Hand over a piece of work</h1>
          <p className="text-muted">
            An agent takes it up in a sandbox of its own. Look in when you like: the work goes on without you.
          </p>
        </div>
        {works ? (
          <Button look="primary" onClick={openNewSession} className="h-9 px-4">
            <Plus size={16} aria-hidden />
            New session
          </Button>
        ) : (
          <p className="text-sm text-muted">You look on here. To start sessions of your own, ask an admin of your org for the role member.</p>
        )}
        <p className="flex items-center gap-1.5 text-xs text-muted">
          {works ? (
            <>
              <Kbd>C</Kbd> new session <span aria-hidden>·</span>{" "}
            </>
          ) : null}
          <Kbd>?</Kbd> all keys
        </p>
      </div>
      {installation?.warning === undefined ? null : (
        <div className="px-3 pb-3 md:mx-auto md:max-w-xl md:pb-6">
          <Card tone="amber" icon={<CircleAlert size={16} />} title={installation.warning} />
        </div>
      )}
    </main>
  );
}
