/** Who is signed in, and what goes with that: settings, theme, sign-out. */
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { ChevronsUpDown, LogOut, Settings } from "lucide-react";
import { Menu, MenuChoice, MenuItem, MenuLabel, MenuLine } from "@/components/menu";
import { meQuery, signOut } from "@/lib/account";
import { cx } from "@/lib/cx";
import { useStore } from "@/lib/store";
import { chooseTheme, themeChoice, type ThemeChoice } from "@/lib/theme";

const THEMES: readonly { choice: ThemeChoice; label: string }[] = [
  { choice: "system", label: "As the system" },
  { choice: "light", label: "Light" },
  { choice: "dark", label: "Dark" },
];

/** See the head of the file. `compact` leaves the name to those who listen. */
export function AccountMenu({ compact }: { compact: boolean }) {
  const { data: me } = useQuery(meQuery);
  const theme = useStore(themeChoice);
  const navigate = useNavigate();
  const name = me?.user.name ?? "";
  return (
    <Menu
      align="start"
      trigger={
        <button
          type="button"
          data-testid="account"
          className={cx(
            "flex min-w-0 items-center gap-2 rounded-md px-1.5 py-1 text-sm hover:bg-hover pointer-coarse:min-h-11",
            compact ? "justify-center pointer-coarse:min-w-11" : "flex-1",
          )}
        >
          <span aria-hidden className="flex size-5 shrink-0 items-center justify-center rounded-full bg-accent text-xs text-on-accent uppercase">
            {name.slice(0, 1)}
          </span>
          <span className={compact ? "sr-only" : "truncate"}>{name}</span>
          {compact ? null : <ChevronsUpDown size={13} className="shrink-0 text-faint" aria-hidden />}
        </button>
      }
    >
      <MenuItem icon={<Settings size={14} />} onSelect={() => void navigate({ to: "/settings" })} testId="open-settings">
        Settings
      </MenuItem>
      <MenuLine />
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
