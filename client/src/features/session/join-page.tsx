/** Where a share link leads: it is redeemed, unless the session is one's own. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { CenterPage } from "@/components/bits";
import { Button } from "@/components/button";
import { meQuery } from "@/lib/account";
import { ApiError, call } from "@/lib/api";
import { useWrite } from "@/lib/write";
import type { Session } from "@/protocol/Session";

/** `onDone`: the session can be seen. */
export function JoinPage({ sessionId, code, onDone }: { sessionId: string; code: string; onDone: () => void }) {
  const { data: me } = useQuery(meQuery);
  const { run, error } = useWrite((_: undefined, key) => join(sessionId, code, key), { onDone });
  const asked = useRef(false);
  useEffect(() => {
    if (asked.current) return;
    asked.current = true;
    run(undefined);
  }, [run]);
  if (error === undefined) {
    return (
      <main className="flex h-full items-center justify-center">
        <p role="status" className="pulse text-sm text-muted">
          Opening the session…
        </p>
      </main>
    );
  }
  return (
    <CenterPage title="This link does not open" testId="join-failed">
      <p role="alert">{error}</p>
      {me ? <p className="text-sm">{`You are signed in as ${me.user.name} and act in ${me.org.name}.`}</p> : null}
      <div className="flex flex-wrap items-center justify-center gap-3">
        <Button look="primary" onClick={() => run(undefined)}>
          Try again
        </Button>
        <Link to="/" className="text-accent-ink underline underline-offset-2 pointer-coarse:py-3">
          Go to your sessions
        </Link>
      </div>
    </CenterPage>
  );
}

/** Whoever sees the session already may come with a link that makes more of them, or with one that is no longer good. */
async function join(sessionId: string, code: string, key: string): Promise<void> {
  const path = `/api/sessions/${sessionId}`;
  try {
    await call<Session>("POST", `${path}/join`, { code }, undefined, key);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
    if (await sees(path)) return;
    const message = "It was withdrawn, is too old, was used by as many people as it is for, or the session belongs to another org. Ask for a new link.";
    throw new ApiError(error.code, message, error.status, error.requestId);
  }
}

async function sees(path: string): Promise<boolean> {
  try {
    await call<Session>("GET", path);
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return false;
    throw error;
  }
}
