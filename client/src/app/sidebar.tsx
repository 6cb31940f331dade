/** The sidebar: whose org, what runs, who I am, whether it is live. */
import { PanelLeft, Plus, Search } from "lucide-react";
import { AccountMenu } from "@/app/account-menu";
import { OrgMenu } from "@/app/org-menu";
import { openNewSession, overlay } from "@/app/overlays";
import { IconButton } from "@/components/button";
import { Connection } from "@/components/connection";
import { busLink } from "@/features/sessions/list";
import { SessionListView } from "@/features/sessions/session-list";
import { useAtLeast } from "@/lib/account";
import { keyName } from "@/lib/actions";
import { cx } from "@/lib/cx";
import { useStore } from "@/lib/store";

/** See the head of the file. On a phone the bottom bar stands in its place. */
export function Sidebar({ collapsed, onToggle }: { collapsed: boolean; onToggle: () => void }) {
  const link = useStore(busLink);
  const works = useAtLeast("member");
  const column = collapsed ? "flex-col" : "flex-row";
  return (
    <aside
      aria-label="Sessions"
      data-testid="sidebar"
      className={cx("hidden min-h-0 shrink-0 flex-col border-r bg-surface md:flex", collapsed ? "w-15 items-center" : "w-62")}
    >
      <div className={cx("flex items-center gap-1 p-2", column)}>
        <OrgMenu compact={collapsed} />
        <IconButton label={`Search and run anything (${keyName("mod+k")})`} onClick={() => overlay.set("palette")}>
          <Search size={16} />
        </IconButton>
        {works ? (
          <IconButton label="New session (C)" data-testid="new-session" onClick={openNewSession}>
            <Plus size={17} />
          </IconButton>
        ) : null}
      </div>
      <nav aria-label="Sessions" className="min-h-0 flex-1 overflow-y-auto pt-1">
        {collapsed ? null : <SessionListView />}
      </nav>
      <div className={cx("flex items-center gap-1 border-t p-2", column)}>
        <AccountMenu compact={collapsed} />
        <Connection link={link} behind={0} compact={collapsed} brief testId="connection" />
        <IconButton label={collapsed ? "Show the sidebar ([)" : "Hide the sidebar ([)"} onClick={onToggle}>
          <PanelLeft size={16} />
        </IconButton>
      </div>
    </aside>
  );
}
