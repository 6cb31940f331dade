/** A drop-down menu behind a button. */
import { Check } from "lucide-react";
import { DropdownMenu as Radix } from "radix-ui";
import { createContext, use, useCallback, useRef, type ReactNode } from "react";
import { cx } from "@/lib/cx";

const ITEM =
  "flex min-h-8 cursor-default items-center gap-2 rounded-sm px-2 text-sm outline-none select-none data-[highlighted]:bg-hover data-[disabled]:text-muted pointer-coarse:min-h-11";

/** Takes what is to be done once the menu is closed and its button has the focus again. */
const Afterwards = createContext<(run: () => void) => void>((run) => run());

/** The menu; `trigger` is the button. */
export function Menu({ trigger, children, align = "end" }: { trigger: ReactNode; children: ReactNode; align?: "start" | "end" }) {
  const afterwards = useRef<(() => void) | null>(null);
  const later = useCallback((run: () => void) => {
    afterwards.current = run;
  }, []);
  const onCloseAutoFocus = () => {
    const run = afterwards.current;
    afterwards.current = null;
    if (run) queueMicrotask(run);
  };
  // Not modal: what is around the menu stays reachable for those who listen, and the page does not move.
  return (
    <Radix.Root modal={false}>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          align={align}
          sideOffset={4}
          collisionPadding={8}
          onCloseAutoFocus={onCloseAutoFocus}
          className="appear z-50 max-h-(--radix-dropdown-menu-content-available-height) min-w-48 overflow-y-auto rounded-lg border border-line bg-raised p-1 shadow-lg"
        >
          <Afterwards value={later}>{children}</Afterwards>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

/** One thing to do. */
export function MenuItem({
  icon,
  children,
  note,
  onSelect,
  danger = false,
  disabled = false,
  moves = false,
  testId,
}: {
  icon?: ReactNode;
  children: ReactNode;
  /** What comes of it, or why it cannot be done now. */
  note?: string | undefined;
  onSelect: () => void;
  danger?: boolean;
  disabled?: boolean;
  /** It moves the focus, or takes the menu's button away: done when the menu has given the focus back. */
  moves?: boolean;
  testId?: string;
}) {
  const later = use(Afterwards);
  const select = () => {
    if (moves) later(onSelect);
    else onSelect();
  };
  return (
    <Radix.Item
      data-testid={testId}
      disabled={disabled}
      onSelect={select}
      className={cx(ITEM, note !== undefined && "items-start py-1.5", danger ? "text-red" : "text-ink")}
    >
      <span className={cx("flex size-4 shrink-0 items-center justify-center text-muted", note !== undefined && "mt-0.5")}>{icon}</span>
      {note === undefined ? (
        children
      ) : (
        <span className="max-w-64 min-w-0">
          {children}
          <span className="block text-xs text-muted">{note}</span>
        </span>
      )}
    </Radix.Item>
  );
}

/** One of several, of which one holds. */
export function MenuChoice({ checked, children, onSelect }: { checked: boolean; children: ReactNode; onSelect: () => void }) {
  return (
    <Radix.CheckboxItem checked={checked} onSelect={onSelect} className={ITEM}>
      <span className="flex size-4 items-center justify-center text-muted">{checked ? <Check size={14} /> : null}</span>
      {children}
    </Radix.CheckboxItem>
  );
}

/** A line of words that is not to be chosen. */
export function MenuLabel({ children }: { children: ReactNode }) {
  return <Radix.Label className="px-2 pt-1.5 pb-1 text-xs text-muted">{children}</Radix.Label>;
}

/** A line between groups. */
export function MenuLine() {
  return <Radix.Separator className="my-1 h-px bg-line" />;
}
