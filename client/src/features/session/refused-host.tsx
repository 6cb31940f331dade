/** A host that the sandbox was not let through to, and for those who answer for the org the button that allows it. */
import { Check, ShieldBan } from "lucide-react";
import { Button } from "@/components/button";
import { usePowers } from "@/features/session/powers";
import { call } from "@/lib/api";
import { useWrite } from "@/lib/write";
import type { EgressReason } from "@/protocol/EgressReason";

const WHY: Record<EgressReason, string> = {
  not_allowed: "it is not on this repository’s list",
  address: "it is an address, and this repository’s list goes by names",
  private: "it is not on the public internet; that cannot be allowed",
};

/** The host as the list writes it: web ports need not be said. */
function rule(host: string, port: number): string {
  return port === 80 || port === 443 ? host : `${host}:${port}`;
}

/** See the head of the file. */
export function RefusedHost({ sessionId, host, port, reason }: { sessionId: string; host: string; port: number; reason: EgressReason }) {
  const { oversee } = usePowers();
  const name = rule(host, port);
  const allow = useWrite((body: { host: string }, key) => call<unknown>("POST", `/api/sessions/${sessionId}/egress/allow`, body, undefined, key));
  return (
    <div data-testid="egress-refused" data-host={name} className="flex flex-wrap items-center gap-x-2 gap-y-1 px-1 py-1 text-sm text-muted">
      <span className="flex size-5 shrink-0 items-center justify-center">
        <ShieldBan size={14} aria-hidden className="text-amber" />
      </span>
      <span className="min-w-0 flex-1 basis-60 [overflow-wrap:anywhere]">
        Not let through to <code className="text-mono text-ink">{name}</code>: {WHY[reason]}.
        {reason !== "not_allowed" || oversee ? "" : " An admin of the org can allow it."}
      </span>
      {reason !== "not_allowed" || !oversee ? null : allow.done ? (
        <span role="status" className="flex items-center gap-1 text-green">
          <Check size={14} aria-hidden />
          Allowed from now on
        </span>
      ) : (
        <Button data-testid="allow-host" className="h-7 px-2 text-xs max-sm:ml-7" disabled={allow.pending} onClick={() => allow.run({ host: name })}>
          {allow.pending ? "Allowing…" : `Allow ${name}`}
        </Button>
      )}
      {allow.error === undefined ? null : (
        <span role="alert" className="w-full pl-7 text-red">
          {allow.error}
        </span>
      )}
    </div>
  );
}
