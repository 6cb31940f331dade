/** A drop-down menu behind a button. */
import { Check } from "lucide-react";
import { DropdownMenu as Radix } from "radix-ui";
import type { ReactNode } from "react";
import { cx } from "@/lib/cx";

const ITEM =
  "flex h-8 cursor-default items-center gap-2 rounded-sm px-2 text-sm outline-none select-none data-[highlighted]:bg-hover data-[disabled]:opacity-50 pointer-coarse:h-10";

/** The menu; `trigger` is the button. */
export function Menu({ trigger, children, align = "end" }: { trigger: ReactNode; children: ReactNode; align?: "start" | "end" }) {
  return (
    <Radix.Root>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          align={align}
          sideOffset={4}
          collisionPadding={8}
          className="appear z-50 min-w-48 rounded-lg border border-line bg-raised p-1 shadow-lg"
        >
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

/** One thing to do. */
export function MenuItem({
  icon,
  children,
  onSelect,
  danger = false,
  disabled = false,
  testId,
}: {
  icon?: ReactNode;
  children: ReactNode;
  onSelect: () => void;
  danger?: boolean;
  disabled?: boolean;
  testId?: string;
}) {
  return (
    <Radix.Item
      data-testid={testId}
      disabled={disabled}
      onSelect={onSelect}
      className={cx(ITEM, danger ? "text-red" : "text-ink")}
    >
      <span className="text-muted">{icon}</span>
      {children}
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
