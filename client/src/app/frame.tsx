/** The frame around every page: sidebar, phone's bottom bar, dialogs, keys. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useParams } from "@tanstack/react-router";
import { List, Plus } from "lucide-react";
import { lazy, Suspense, useEffect, useState } from "react";
import { openNewSession, overlay } from "@/app/overlays";
import { KeysDialog } from "@/app/keys-dialog";
import { Sidebar } from "@/app/sidebar";
import { followBus } from "@/features/sessions/list";
import { NewSessionDialog } from "@/features/sessions/new-session-dialog";
import { settingsPages } from "@/features/settings/nav";
import { meQuery, useAtLeast } from "@/lib/account";
import { actionFor, useActions } from "@/lib/actions";
import { keep, kept } from "@/lib/storage";
import { cx } from "@/lib/cx";
import { useStore } from "@/lib/store";
import { chooseTheme } from "@/lib/theme";

const Palette = lazy(() => import("@/app/palette"));
const COLLAPSED = "errand.sidebar";

/** See the head of the file. */
export function Frame() {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const open = useStore(overlay);
  // On a phone a session has the whole screen.
  const { sessionId } = useParams({ strict: false });
  const [collapsed, setCollapsed] = useState(() => kept(COLLAPSED) === "collapsed");
  const toggle = () => {
    setCollapsed(!collapsed);
    keep(COLLAPSED, collapsed ? null : "collapsed");
  };
  useEffect(() => followBus(queries), [queries]);
  // The sign-in can end while the page is open.
  const { data: me } = useQuery(meQuery);
  useEffect(() => {
    if (me === null) void navigate({ to: "/sign-in", search: { next: window.location.pathname + window.location.search } });
  }, [me, navigate]);
  const works = useAtLeast("member");
  const pages = me ? settingsPages(me.role) : [];
  useKeys();
  useActions([
    { id: "palette", label: "Search and run anything", group: "Errand", key: "mod+k", keyOnly: true, run: () => overlay.set("palette") },
    ...(works ? [{ id: "new", label: "New session", group: "Errand", key: "c", run: openNewSession }] : []),
    { id: "home", label: "Go to all sessions", group: "Errand", run: () => void navigate({ to: "/" }) },
    { id: "sidebar", label: collapsed ? "Show the sidebar" : "Hide the sidebar", group: "Errand", key: "[", run: toggle },
    { id: "keys", label: "Show all keys", group: "Errand", key: "?", run: () => overlay.set("keys") },
    ...pages.map(({ to, title }) => ({ id: to, label: `Settings: ${title}`, group: "Settings", run: () => void navigate({ to }) })),
    { id: "light", label: "Theme: light", group: "Look", run: () => chooseTheme("light") },
    { id: "dark", label: "Theme: dark", group: "Look", run: () => chooseTheme("dark") },
    { id: "system", label: "Theme: as the system", group: "Look", run: () => chooseTheme("system") },
  ]);
  const setOpen = (is: boolean) => !is && overlay.set("none");
  return (
    <div className="flex h-dvh min-h-0 flex-col md:flex-row">
      <Sidebar collapsed={collapsed} onToggle={toggle} />
      <div className="min-h-0 min-w-0 flex-1">
        <Outlet />
      </div>
      {sessionId === undefined ? <BottomBar works={works} /> : null}
      <NewSessionDialog
        open={open === "new-session"}
        onOpenChange={setOpen}
        onCreated={(session) => {
          overlay.set("none");
          void navigate({ to: "/sessions/$sessionId", params: { sessionId: session.id } });
        }}
      />
      <KeysDialog open={open === "keys"} onOpenChange={setOpen} />
      {open === "palette" ? (
        <Suspense fallback={null}>
          <Palette onClose={() => overlay.set("none")} />
        </Suspense>
      ) : null}
    </div>
  );
}

function useKeys(): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const action = actionFor(event);
      if (!action) return;
      event.preventDefault();
      action.run();
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, []);
}

function BottomBar({ works }: { works: boolean }) {
  const item = "flex h-12 flex-1 items-center justify-center gap-2 text-sm text-muted active:bg-hover";
  return (
    <nav aria-label="Main" className="flex border-t bg-surface pb-[env(safe-area-inset-bottom)] md:hidden">
      {works ? (
        <button type="button" data-testid="bottom-new" className={item} onClick={openNewSession}>
          <Plus size={18} aria-hidden />
          New
        </button>
      ) : null}
      <Link to="/" data-testid="bottom-sessions" className={cx(item, "aria-[current=page]:text-ink")}>
        <List size={18} aria-hidden />
        Sessions
      </Link>
    </nav>
  );
}
