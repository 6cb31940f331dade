/** Dialogs and sheets: they trap focus (the element with `data-first` gets it, or the dialog itself), close on Esc and give focus back. */
import { X } from "lucide-react";
import { Dialog as Radix } from "radix-ui";
import { useRef, type ReactNode } from "react";
import { IconButton } from "@/components/button";
import { cx } from "@/lib/cx";
import { ancestry, focusNearest } from "@/lib/focus";

interface DialogProps {
  readonly open: boolean;
  readonly onOpenChange: (open: boolean) => void;
  readonly title: string;
  readonly description?: string;
  readonly children: ReactNode;
  readonly className?: string;
  readonly testId?: string;
}

/** A dialog in the middle; on a phone it fills the width at the bottom. */
export function Dialog({ open, onOpenChange, title, description, children, className, testId }: DialogProps) {
  // Radix gives the focus back to a trigger of its own; these are opened from menus and by keys.
  const before = useRef<readonly HTMLElement[]>([]);
  const onOpenAutoFocus = (event: Event) => {
    before.current = ancestry(document.activeElement);
    if (!(event.target instanceof HTMLElement)) return;
    event.preventDefault();
    // Not the button that closes it, which comes first.
    (event.target.querySelector<HTMLElement>("[data-first]") ?? event.target).focus();
  };
  const onCloseAutoFocus = (event: Event) => {
    event.preventDefault();
    focusNearest(before.current);
  };
  return (
    <Radix.Root open={open} onOpenChange={onOpenChange}>
      <Radix.Portal>
        <Radix.Overlay className="appear fixed inset-0 z-40 bg-shade" />
        <Radix.Content
          data-testid={testId}
          onOpenAutoFocus={onOpenAutoFocus}
          onCloseAutoFocus={onCloseAutoFocus}
          {...(description === undefined ? { "aria-describedby": undefined } : {})}
          className={cx(
            "appear fixed z-50 flex outline-none max-h-[calc(100dvh-2rem)] flex-col overflow-hidden border border-line bg-raised",
            "inset-x-0 bottom-0 rounded-t-lg sm:inset-x-auto sm:bottom-auto sm:left-1/2 sm:w-[34rem] sm:max-w-[calc(100vw-2rem)]",
            "sm:top-[12dvh] sm:max-h-[78dvh] sm:-translate-x-1/2 sm:rounded-lg",
            className,
          )}
        >
          <div className="flex items-start justify-between gap-2 px-4 pt-3 pb-1">
            <div className="min-w-0">
              <Radix.Title className="text-lg font-semibold">{title}</Radix.Title>
              {description === undefined ? null : (
                <Radix.Description className="text-sm text-muted">{description}</Radix.Description>
              )}
            </div>
            <Radix.Close asChild>
              <IconButton label="Close" className="-mr-1 pointer-coarse:-mt-2 pointer-coarse:-mr-2.5">
                <X size={16} />
              </IconButton>
            </Radix.Close>
          </div>
          <div className="min-h-0 overflow-y-auto px-4 pt-2 pb-[max(1rem,env(safe-area-inset-bottom))]">{children}</div>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
