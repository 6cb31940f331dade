/** The list of keys: what the mounted actions say, and what the composer and the cards understand. */
import { Kbd } from "@/components/bits";
import { Dialog } from "@/components/dialog";
import { actions, keyName } from "@/lib/actions";
import { useStore } from "@/lib/store";

const FIXED = [
  ["Enter", "Send the prompt; while a turn runs, queue it"],
  [keyName("mod+Enter"), "While a turn runs: tell the agent now"],
  ["Shift Enter", "New line in the prompt"],
  ["↑", "In an empty composer: edit the last waiting prompt"],
  ["↑ ↓", "On a waiting prompt's handle: move it"],
  ["Esc Esc", "Stop the running turn"],
  ["1 – 9", "Choose an answer on a card"],
] as const;

/** The dialog. */
export function KeysDialog({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const offered = useStore(actions).filter((action) => action.key !== undefined);
  const rows = [...offered.map((action) => [keyName(action.key ?? ""), action.label] as const), ...FIXED];
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title="Keys" testId="keys-dialog" className="sm:w-100">
      <dl className="flex flex-col">
        {rows.map(([key, label]) => (
          <div key={`${key} ${label}`} className="flex items-center justify-between gap-4 border-b py-1.5 text-sm last:border-b-0">
            <dt className="text-muted">{label}</dt>
            <dd className="flex shrink-0 gap-1">
              <Kbd>{key}</Kbd>
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
