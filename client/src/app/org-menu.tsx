/** Which org one acts in, and going to another. */
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { ChevronDown, Settings } from "lucide-react";
import { Menu, MenuChoice, MenuItem, MenuLabel, MenuLine } from "@/components/menu";
import { meQuery, orgsQuery, switchOrg } from "@/lib/account";
import { messageOf } from "@/lib/api";
import { cx } from "@/lib/cx";

/** See the head of the file. `compact` leaves the name to those who listen. */
export function OrgMenu({ compact = false, testId = "org-menu" }: { compact?: boolean; testId?: string }) {
  const { data: me } = useQuery(meQuery);
  const navigate = useNavigate();
  return (
    <Menu
      align="start"
      trigger={
        <button
          type="button"
          data-testid={testId}
          className={cx("flex min-w-0 items-center gap-2 rounded-md px-1.5 py-1 hover:bg-hover pointer-coarse:min-h-11", compact ? "justify-center" : "flex-1")}
        >
          <img src="/icon.svg" alt="" className="size-5 shrink-0" />
          <span dir="auto" className={compact ? "sr-only" : "truncate text-sm font-semibold"}>
            {me?.org.name ?? "Errand"}
          </span>
          {compact ? null : <ChevronDown size={13} aria-hidden className="shrink-0 text-faint" />}
        </button>
      }
    >
      <MenuItem icon={<img src="/icon.svg" alt="" className="size-4" />} onSelect={() => void navigate({ to: "/" })}>
        All sessions
      </MenuItem>
      <MenuItem icon={<Settings size={14} />} onSelect={() => void navigate({ to: "/settings" })}>
        Settings
      </MenuItem>
      <MenuLine />
      <Orgs />
    </Menu>
  );
}

/** Asked for when the menu opens. */
function Orgs() {
  const { data: me } = useQuery(meQuery);
  const { data, error } = useQuery(orgsQuery);
  if (error) return <MenuLabel>Your orgs did not load. {messageOf(error)}</MenuLabel>;
  if (!data) return <MenuLabel>Loading…</MenuLabel>;
  return (
    <>
      <MenuLabel>You act in</MenuLabel>
      {data.orgs.map(({ org }) => (
        <MenuChoice
          key={org.id}
          checked={org.id === me?.org.id}
          onSelect={() => {
            if (org.id !== me?.org.id) void switchOrg(org.id);
          }}
        >
          <span dir="auto" className="max-w-56 truncate">
            {org.name}
          </span>
        </MenuChoice>
      ))}
    </>
  );
}
