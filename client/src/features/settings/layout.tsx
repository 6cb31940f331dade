/** The frame of the settings: on a wide screen the list of pages beside the page, on a phone one after the other. */
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useLocation } from "@tanstack/react-router";
import { ChevronLeft, ChevronRight, Lock } from "lucide-react";
import { useEffect, useRef } from "react";
import { Card } from "@/components/bits";
import { SettingsPage } from "@/features/settings/bits";
import { settingsPageAt, settingsPages, type SettingsPageLink } from "@/features/settings/nav";
import { meQuery } from "@/lib/account";
import { cx } from "@/lib/cx";
import { useKeptFocus } from "@/lib/focus";
import { ROLE_WORDS } from "@/lib/may";

/** See the head of the file. */
export function SettingsLayout() {
  const { data: me } = useQuery(meQuery);
  const { pathname } = useLocation();
  const atIndex = /^\/settings\/?$/.test(pathname);
  const pages = me ? settingsPages(me.role) : [];
  const page = settingsPageAt(pathname);
  const refused = me && page && !pages.includes(page) ? page : undefined;
  // Another page begins at its top.
  const body = useRef<HTMLDivElement>(null);
  useKeptFocus(body);
  useEffect(() => body.current?.scrollTo(0, 0), [pathname]);
  useEffect(() => {
    document.title = `${page?.title ?? "Settings"} · Errand`;
    return () => {
      document.title = "Errand";
    };
  }, [page]);
  return (
    <main className="flex h-full min-h-0">
      <nav
        aria-label="Settings"
        data-testid="settings-nav"
        className={cx("w-full shrink-0 overflow-y-auto px-3 pt-3 pb-6 md:block md:w-52 md:border-r md:px-2 md:pt-6", !atIndex && "hidden")}
      >
        <div className="mb-2 flex items-center gap-1 md:px-2">
          <Link to="/" aria-label="All sessions" className="-ml-2 flex size-11 items-center justify-center rounded-md text-muted hover:bg-hover md:hidden">
            <ChevronLeft size={18} aria-hidden />
          </Link>
          <p className="text-lg font-semibold md:text-base">Settings</p>
        </div>
        <Group title="You" pages={pages.filter(({ of }) => of === "you")} />
        <Group title={me?.org.name ?? "Org"} pages={pages.filter(({ of }) => of === "org")} />
      </nav>
      <div ref={body} className={cx("min-w-0 flex-1 overflow-y-auto", atIndex && "max-md:hidden")}>
        {refused ? <NotForYou page={refused} /> : <Outlet />}
      </div>
    </main>
  );
}

/** Nothing of the page is asked for: the server would refuse it. */
function NotForYou({ page: { title, least } }: { page: SettingsPageLink }) {
  return (
    <SettingsPage title={title} description="">
      <Card tone="plain" testId="not-for-you" icon={<Lock size={16} aria-hidden />} title={`This takes the role ${least} or above`}>
        Whoever has it {ROLE_WORDS[least]}. An owner of your org can give it to you.
      </Card>
    </SettingsPage>
  );
}

function Group({ title, pages }: { title: string; pages: readonly SettingsPageLink[] }) {
  if (pages.length === 0) return null;
  return (
    <div className="mb-3">
      <h2 dir="auto" className="truncate px-2 py-1 text-xs text-muted">
        {title}
      </h2>
      <ul className="flex flex-col">
        {pages.map(({ to, title: name, icon: Icon }) => (
          <li key={to}>
            <Link
              to={to}
              className="flex h-8 items-center gap-2 rounded-md px-2 text-sm hover:bg-hover aria-[current=page]:bg-selected pointer-coarse:h-11"
            >
              <Icon size={15} aria-hidden className="shrink-0 text-muted" />
              <span className="min-w-0 flex-1 truncate">{name}</span>
              <ChevronRight size={15} aria-hidden className="text-faint md:hidden" />
            </Link>
          </li>
        ))}
      </ul>
    </div>
  );
}
