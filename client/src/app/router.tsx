/** The routes. Whoever is not signed in is taken to sign-in and back. */
import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Link,
  Outlet,
  redirect,
  useNavigate,
  useRouter,
} from "@tanstack/react-router";
import { Frame } from "@/app/frame";
import { HomePage } from "@/app/home-page";
import { CenterPage } from "@/components/bits";
import { Button } from "@/components/button";
import { InvitationPage } from "@/features/auth/invitation-page";
import { SignInPage } from "@/features/auth/sign-in-page";
import { JoinPage } from "@/features/session/join-page";
import { SessionPage } from "@/features/session/session-page";
import { SettingsLayout } from "@/features/settings/layout";
import { meQuery } from "@/lib/account";
import { messageOf } from "@/lib/api";

interface Context {
  readonly queries: QueryClient;
}

const root = createRootRouteWithContext<Context>()({
  component: Outlet,
  notFoundComponent: NotFound,
  errorComponent: ({ error }) => <Broken error={error} />,
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: (search: Record<string, unknown>): { next?: string } => {
    const { next } = search;
    // Only a path of this origin: "//elsewhere" would leave it.
    return typeof next === "string" && /^\/(?![/\\])/.test(next) ? { next } : {};
  },
  component: SignIn,
});

const signedIn = createRoute({
  getParentRoute: () => root,
  id: "signed-in",
  beforeLoad: async ({ context, location }) => {
    const me = await context.queries.query(meQuery);
    if (me === null) {
      // With what follows the path: a share link has its code there.
      const search = location.href === "/" ? {} : { next: location.href };
      throw redirect({ to: "/sign-in", search, replace: true });
    }
  },
  pendingComponent: Pending,
  component: Frame,
});

const home = createRoute({ getParentRoute: () => signedIn, path: "/", component: HomePage });

const session = createRoute({
  getParentRoute: () => signedIn,
  path: "/sessions/$sessionId",
  // A share link has its code there.
  validateSearch: ({ join }: Record<string, unknown>): { join?: string } => (typeof join === "string" ? { join } : {}),
  component: Session,
});

const settings = createRoute({ getParentRoute: () => signedIn, path: "/settings", component: SettingsLayout });

const settingsIndex = createRoute({
  getParentRoute: () => settings,
  path: "/",
  // A phone shows the list of pages first; beside it there is room for one.
  beforeLoad: () => {
    if (matchMedia("(min-width: 48rem)").matches) throw redirect({ to: "/settings/sign-ins", replace: true });
  },
});

const settingsPages = () => import("@/features/settings/pages");
const page = { getParentRoute: () => settings } as const;
const settingsRoutes = [
  settingsIndex,
  createRoute({ ...page, path: "/sign-ins", component: lazyRouteComponent(settingsPages, "SignInsPage") }),
  createRoute({ ...page, path: "/usage", component: lazyRouteComponent(settingsPages, "UsagePage") }),
  createRoute({ ...page, path: "/keys", component: lazyRouteComponent(settingsPages, "KeysPage") }),
  createRoute({ ...page, path: "/models", component: lazyRouteComponent(settingsPages, "ModelsPage") }),
  createRoute({ ...page, path: "/secrets", component: lazyRouteComponent(settingsPages, "SecretsPage") }),
  createRoute({ ...page, path: "/members", component: lazyRouteComponent(settingsPages, "MembersPage") }),
  createRoute({ ...page, path: "/org", component: lazyRouteComponent(settingsPages, "OrgPage") }),
  createRoute({ ...page, path: "/repositories", component: lazyRouteComponent(settingsPages, "RepositoriesPage") }),
  createRoute({ ...page, path: "/budgets", component: lazyRouteComponent(settingsPages, "BudgetsPage") }),
  createRoute({ ...page, path: "/prices", component: lazyRouteComponent(settingsPages, "PricesPage") }),
  createRoute({ ...page, path: "/audit", component: lazyRouteComponent(settingsPages, "AuditPage") }),
] as const;

/** An invitation is for anybody: who is not signed in does that first. */
const invitation = createRoute({
  getParentRoute: () => root,
  path: "/invitations/$code",
  beforeLoad: async ({ context }) => ({ me: await context.queries.query(meQuery) }),
  pendingComponent: Pending,
  component: Invitation,
});

function Invitation() {
  const { code } = invitation.useParams();
  const { me } = invitation.useRouteContext();
  const router = useRouter();
  const navigate = useNavigate();
  if (me === null) return <SignInPage next={`/invitations/${code}`} invitation={code} onDone={() => void router.invalidate()} />;
  return <InvitationPage code={code} onCancel={() => void navigate({ to: "/", replace: true })} />;
}

function Session() {
  const { sessionId } = session.useParams();
  const { join } = session.useSearch();
  const navigate = useNavigate();
  if (join !== undefined) {
    const onDone = () => void navigate({ to: "/sessions/$sessionId", params: { sessionId }, replace: true });
    return <JoinPage key={join} sessionId={sessionId} code={join} onDone={onDone} />;
  }
  return <SessionPage key={sessionId} sessionId={sessionId} />;
}

function SignIn() {
  const { next = "/" } = signIn.useSearch();
  const router = useRouter();
  return <SignInPage next={next} onDone={() => router.history.replace(next)} />;
}

function Pending() {
  return (
    <main className="flex h-full items-center justify-center">
      <p role="status" className="pulse text-sm text-muted">
        Loading…
      </p>
    </main>
  );
}

function NotFound() {
  return (
    <CenterPage title="There is nothing here" testId="not-found">
      <p>The address is wrong, or what it named is gone.</p>
      <Link to="/" className="text-accent-ink underline underline-offset-2">
        Go to your sessions
      </Link>
    </CenterPage>
  );
}

/** A whole new page, not another try of this one: after an update the old page's parts are gone. */
function Broken({ error }: { error: unknown }) {
  return (
    <CenterPage title="This page did not load" testId="broken">
      <p>{messageOf(error)}</p>
      <Button look="primary" onClick={() => window.location.reload()}>
        Try again
      </Button>
    </CenterPage>
  );
}

const tree = root.addChildren([signIn, invitation, signedIn.addChildren([home, session, settings.addChildren(settingsRoutes)])]);

/** The router, over one data cache. */
export function createAppRouter(queries: QueryClient) {
  return createRouter({ routeTree: tree, context: { queries }, defaultPreload: false, defaultPendingMs: 300, scrollRestoration: false });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
