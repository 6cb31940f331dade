/** The page of an invitation's link, for somebody who is signed in: joining, or with another account. */
import { useQuery } from "@tanstack/react-query";
import { MailOpen } from "lucide-react";
import { useEffect, useRef } from "react";
import { CenterPage } from "@/components/bits";
import { Button } from "@/components/button";
import { rememberInvitation, wasRemembered } from "@/features/auth/remembered";
import { meQuery, switchOrg } from "@/lib/account";
import { ApiError, call } from "@/lib/api";
import { useWrite } from "@/lib/write";
import type { Membership } from "@/protocol/Membership";

/** See the head of the file. `onCancel`: to one's own sessions. */
export function InvitationPage({ code, onCancel }: { code: string; onCancel: () => void }) {
  const { data: me } = useQuery(meQuery);
  const join = useWrite(async () => {
    const { org } = await redeem(code);
    await switchOrg(org.id);
  });
  const { run } = join;
  const asked = useRef(false);
  useEffect(() => {
    if (asked.current) return;
    asked.current = true;
    if (wasRemembered(code)) run();
  }, [code, run]);
  const another = async () => {
    await call("POST", "/auth/logout").catch(() => undefined);
    rememberInvitation(undefined);
    // A fresh page: nothing of this person stays in its memory.
    window.location.reload();
  };
  return (
    <CenterPage title="You were invited" testId="invitation-page">
      <MailOpen size={28} aria-hidden className="text-accent-ink" />
      <p>
        {me ? (
          <>
            You are signed in as <strong className="font-medium text-ink">{me.user.name}</strong>
            {me.user.email === "" ? "" : ` (${me.user.email})`}.{" "}
          </>
        ) : null}
        Joining lets you work in another org; the ones that you have stay.
      </p>
      {join.error === undefined ? null : (
        <p role="alert" data-testid="invitation-problem" className="text-red">
          {join.error}
        </p>
      )}
      <div className="flex flex-wrap justify-center gap-2">
        <Button look="primary" data-testid="join" disabled={join.pending} onClick={() => run()}>
          {join.pending ? "Joining…" : "Join"}
        </Button>
        <Button data-testid="another-account" onClick={() => void another()}>
          Use another account
        </Button>
        <Button look="ghost" onClick={onCancel}>
          Not now
        </Button>
      </div>
    </CenterPage>
  );
}

async function redeem(code: string): Promise<Membership> {
  try {
    return await call<Membership>("POST", "/api/auth/invitations", { code });
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
    const message = "This invitation is not open: it was used, withdrawn or is too old, or it is for somebody with another address. Ask for a new one.";
    throw new ApiError(error.code, message, error.status, error.requestId);
  }
}
