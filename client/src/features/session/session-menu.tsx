/** What can be done with the session as a whole: the menu in its head, the same in the palette, and the question before its end. */
import { Activity, Archive, ArchiveRestore, CircleStop, Copy, Ellipsis, GitFork, Pause, Pencil, Play, RotateCcw, Square, Users, type LucideIcon } from "lucide-react";
import { IconButton } from "@/components/button";
import { Confirm } from "@/components/confirm";
import { Menu, MenuItem, MenuLine } from "@/components/menu";
import { offers, permitted, type Circumstances, type Offer } from "@/features/session/offers";
import { usePowers } from "@/features/session/powers";
import type { SessionStore } from "@/features/session/session-store";
import { useActions } from "@/lib/actions";
import type { Session } from "@/protocol/Session";

const ICONS: Record<Offer["id"], LucideIcon> = {
  pause: Pause, resume: Play, retry: RotateCcw, archive: Archive, restore: ArchiveRestore, fork: GitFork, terminate: CircleStop,
};
const GROUP = "This session";

/** What the menu needs to know and does not do itself. */
export interface SessionMenuProps {
  readonly session: Session;
  readonly store: SessionStore;
  readonly circumstances: Circumstances;
  readonly onRename: () => void;
  readonly onShare: () => void;
  readonly onAbort: () => void;
  readonly onFork: () => void;
  readonly onStartup: () => void;
  readonly onEnd: () => void;
}

/** The menu, and its actions for the palette. */
export function SessionMenu({ session, store, circumstances, onRename, onShare, onAbort, onFork, onStartup, onEnd }: SessionMenuProps) {
  const over = session.phase === "terminated";
  const copyLink = () => void navigator.clipboard.writeText(window.location.href);
  const powers = usePowers();
  const list = permitted(offers(session, circumstances), powers);
  const stoppable = circumstances.turnRuns && powers.work;
  const run = (offer: Offer) => {
    if (offer.command) store.send(offer.command);
    else if (offer.id === "fork") onFork();
    else onEnd();
  };
  const can = list.filter((offer) => offer.refused === undefined);
  useActions([
    ...(over || !powers.manage ? [] : [{ id: "rename", label: "Rename this session", group: GROUP, run: onRename }]),
    ...(powers.share ? [{ id: "share", label: "Share this session", group: GROUP, run: onShare }] : []),
    ...(stoppable ? [{ id: "abort", label: "Stop the running turn", group: GROUP, run: onAbort }] : []),
    ...can.map((offer) => ({ id: offer.id, label: PALETTE[offer.id], group: GROUP, run: () => run(offer) })),
    { id: "startup", label: "Start-up and watchdogs", group: GROUP, run: onStartup },
    { id: "copy-link", label: "Copy the link to this session", group: GROUP, run: copyLink },
  ]);
  return (
    <Menu
      trigger={
        <IconButton label="More" data-testid="session-menu">
          <Ellipsis size={17} />
        </IconButton>
      }
    >
      {powers.manage ? (
        <MenuItem icon={<Pencil size={14} />} disabled={over} moves onSelect={onRename}>
          Rename
        </MenuItem>
      ) : null}
      {powers.share ? (
        <MenuItem icon={<Users size={14} />} moves onSelect={onShare} testId="menu-share">
          Share…
        </MenuItem>
      ) : null}
      <MenuItem icon={<Copy size={14} />} onSelect={copyLink}>
        Copy link
      </MenuItem>
      <MenuItem icon={<Activity size={14} />} moves onSelect={onStartup} testId="menu-startup">
        Start-up and watchdogs
      </MenuItem>
      {list.length === 0 ? null : <MenuLine />}
      {stoppable ? (
        <MenuItem icon={<Square size={14} />} onSelect={onAbort}>
          Stop the turn
        </MenuItem>
      ) : null}
      {list.map((offer) => {
        const Icon = ICONS[offer.id];
        const danger = offer.id === "terminate";
        return (
          <MenuItem
            key={offer.id}
            icon={<Icon size={14} />}
            danger={danger}
            moves={offer.command === undefined}
            disabled={offer.refused !== undefined}
            note={offer.refused ?? offer.note}
            onSelect={() => run(offer)}
            testId={`menu-${offer.id}`}
          >
            {offer.label}
          </MenuItem>
        );
      })}
    </Menu>
  );
}

const PALETTE: Record<Offer["id"], string> = {
  pause: "Pause this session",
  resume: "Start this session's sandbox",
  retry: "Retry",
  archive: "Archive this session",
  restore: "Restore this session from the archive",
  fork: "Fork this session",
  terminate: "End this session for good",
};

/** Asks before the end. */
export function EndDialog({ open, onClose, onEnd }: { open: boolean; onClose: () => void; onEnd: () => void }) {
  return (
    <Confirm
      open={open}
      onClose={onClose}
      title="End this session?"
      description="Its sandbox is removed and waiting prompts are withdrawn. The transcript stays."
      keep="Keep it"
      act="End session"
      onAct={() => {
        onEnd();
        onClose();
      }}
      testId="terminate-dialog"
    />
  );
}
