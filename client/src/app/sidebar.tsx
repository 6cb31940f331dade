/** The sidebar: whose org, what runs, who I am, whether it is live. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { ChevronsUpDown, LogOut, Monitor, Moon, PanelLeft, Plus, Search, Sun } from "lucide-react";
import { openNewSession, overlay } from "@/app/overlays";
import { IconButton } from "@/components/button";
import { Connection } from "@/components/connection";
import { Menu, MenuChoice, MenuItem, MenuLabel, MenuLine } from "@/components/menu";
import { forgetSessions } from "@/features/session/use-session";
import { busLink } from "@/features/sessions/list";
import { SessionListView } from "@/features/sessions/session-list";
import { meQuery } from "@/lib/account";
import { keyName } from "@/lib/actions";
import { call } from "@/lib/api";
import { cx } from "@/lib/cx";
import { useStore } from "@/lib/store";
import { chooseTheme, themeChoice, type ThemeChoice } from "@/lib/theme";

/** See the head of the file. On a phone the bottom bar stands in its place. */
export function Sidebar({ collapsed, onToggle }: { collapsed: boolean; onToggle: () => void }) {
  const link = useStore(busLink);
  const { data: me } = useQuery(meQuery);
  const column = collapsed ? "flex-col" : "flex-row";
  return (
    <aside
      aria-label="Sessions"
      data-testid="sidebar"
      className={cx("hidden min-h-0 shrink-0 flex-col border-r bg-surface md:flex", collapsed ? "w-15 items-center" : "w-62")}
    >
      <div className={cx("flex items-center gap-1 p-2", column)}>
        <Link to="/" className="flex min-w-0 flex-1 items-center gap-2 rounded-md px-1.5 py-1 hover:bg-hover">
          <img src="/icon.svg" alt="" className="size-5 shrink-0" />
          <span className={collapsed ? "sr-only" : "truncate text-sm font-semibold"}>{me?.org.name ?? "Errand"}</span>
        </Link>
        <IconButton label={`Search and run anything (${keyName("mod+k")})`} onClick={() => overlay.set("palette")}>
          <Search size={16} />
        </IconButton>
        <IconButton label="New session (C)" data-testid="new-session" onClick={openNewSession}>
          <Plus size={17} />
        </IconButton>
        <IconButton label={collapsed ? "Show the sidebar ([)" : "Hide the sidebar ([)"} onClick={onToggle}>
          <PanelLeft size={16} />
        </IconButton>
      </div>
      <nav aria-label="Sessions" className="min-h-0 flex-1 overflow-y-auto pt-1">
        {collapsed ? null : <SessionListView />}
      </nav>
      <div className={cx("flex items-center gap-1 border-t p-2", column)}>
        <AccountMenu collapsed={collapsed} />
        <Connection link={link} behind={0} compact={collapsed} testId="connection" />
      </div>
    </aside>
  );
}

const THEMES: readonly { choice: ThemeChoice; label: string; icon: typeof Sun }[] = [
  { choice: "system", label: "As the system", icon: Monitor },
  { choice: "light", label: "Light", icon: Sun },
  { choice: "dark", label: "Dark", icon: Moon },
];

function AccountMenu({ collapsed }: { collapsed: boolean }) {
  const { data: me } = useQuery(meQuery);
  const queries = useQueryClient();
  const navigate = useNavigate();
  const theme = useStore(themeChoice);
  const signOut = async () => {
    await call("POST", "/auth/logout").catch(() => undefined);
    forgetSessions();
    queries.clear();
    await navigate({ to: "/sign-in" });
  };
  const name = me?.user.name ?? "";
  return (
    <Menu
      align="start"
      trigger={
        <button
          type="button"
          data-testid="account"
          className="flex min-w-0 flex-1 items-center gap-2 rounded-md px-1.5 py-1 text-sm hover:bg-hover"
        >
          <span aria-hidden className="flex size-5 shrink-0 items-center justify-center rounded-full bg-accent text-xs text-on-accent uppercase">
            {name.slice(0, 1)}
          </span>
          <span className={collapsed ? "sr-only" : "truncate"}>{name}</span>
          {collapsed ? null : <ChevronsUpDown size={13} className="shrink-0 text-faint" aria-hidden />}
        </button>
      }
    >
      <MenuLabel>Theme</MenuLabel>
      {THEMES.map(({ choice, label }) => (
        <MenuChoice key={choice} checked={theme === choice} onSelect={() => chooseTheme(choice)}>
          {label}
        </MenuChoice>
      ))}
      <MenuLine />
      <MenuItem icon={<LogOut size={14} />} onSelect={() => void signOut()} testId="sign-out">
        Sign out
      </MenuItem>
    </Menu>
  );
}
