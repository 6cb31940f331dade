/** Asks before something that cannot be taken back. */
import type { ReactNode } from "react";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";

/** Closing it is the answer "no". `busy` while what was confirmed is being done; `error`: why it was not. */
export function Confirm({
  open,
  onClose,
  title,
  description,
  keep = "Cancel",
  act,
  onAct,
  busy = false,
  error,
  testId,
  children,
}: {
  open: boolean;
  onClose: () => void;
  title: string;
  description: string;
  keep?: string;
  act: string;
  onAct: () => void;
  busy?: boolean;
  error?: string | undefined;
  testId: string;
  children?: ReactNode;
}) {
  return (
    <Dialog open={open} onOpenChange={(is) => !is && onClose()} title={title} description={description} className="sm:w-104" testId={testId}>
      {children}
      {error === undefined ? null : (
        <p role="alert" className="mb-2 text-sm text-red [overflow-wrap:anywhere]">
          {error}
        </p>
      )}
      <div className="flex flex-wrap justify-end gap-2">
        <Button data-first onClick={onClose}>
          {keep}
        </Button>
        <Button look="danger" data-testid={`${testId.replace(/-dialog$/, "")}-confirm`} disabled={busy} onClick={onAct}>
          {act}
        </Button>
      </div>
    </Dialog>
  );
}
