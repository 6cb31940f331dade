/** The routes. Whoever is not signed in is taken to sign-in and back. */
import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  Link,
  Outlet,
  redirect,
  useNavigate,
} from "@tanstack/react-router";
import { Frame } from "@/app/frame";
import { HomePage } from "@/app/home-page";
import { CenterPage } from "@/components/bits";
import { Button } from "@/components/button";
import { SignInPage } from "@/features/auth/sign-in-page";
import { SessionPage } from "@/features/session/session-page";
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
      const search = location.pathname === "/" ? {} : { next: location.pathname };
      throw redirect({ to: "/sign-in", search, replace: true });
    }
  },
  pendingComponent: Pending,
  component: Frame,
});

const home = createRoute({ getParentRoute: () => signedIn, path: "/", component: HomePage });

const session = createRoute({ getParentRoute: () => signedIn, path: "/sessions/$sessionId", component: Session });

function Session() {
  const { sessionId } = session.useParams();
  return <SessionPage key={sessionId} sessionId={sessionId} />;
}

function SignIn() {
  const { next } = signIn.useSearch();
  const navigate = useNavigate();
  return <SignInPage onDone={() => void navigate({ to: next ?? "/", replace: true })} />;
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

const tree = root.addChildren([signIn, signedIn.addChildren([home, session])]);

/** The router, over one data cache. */
export function createAppRouter(queries: QueryClient) {
  return createRouter({ routeTree: tree, context: { queries }, defaultPreload: false, defaultPendingMs: 300, scrollRestoration: false });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
