/** Buttons: one to act here (`primary`), the others quiet. */
import type { ComponentProps, ReactNode } from "react";
import { cx } from "@/lib/cx";

const LOOKS = {
  primary: "bg-accent text-on-accent hover:bg-accent-hover border-transparent",
  secondary: "bg-raised text-ink border-line-strong hover:bg-hover",
  ghost: "bg-transparent text-muted border-transparent hover:bg-hover hover:text-ink",
  danger: "bg-raised text-red border-line-strong hover:bg-red-soft",
} as const;

/** The look of a button, for links that stand as one. */
export function buttonLook(look: keyof typeof LOOKS, className?: string): string {
  return cx(
    "inline-flex h-8 max-w-full items-center justify-center gap-1.5 rounded-md border px-3 text-sm font-medium whitespace-nowrap",
    "transition-colors disabled:opacity-55 pointer-coarse:h-11",
    LOOKS[look],
    className,
  );
}

/** A button with words. */
export function Button({
  look = "secondary",
  className,
  ...rest
}: ComponentProps<"button"> & { look?: keyof typeof LOOKS }) {
  return <button type="button" className={buttonLook(look, className)} {...rest} />;
}

/** A button with an icon alone; its name is spoken and shown on hover. */
export function IconButton({
  label,
  children,
  className,
  ...rest
}: ComponentProps<"button"> & { label: string; children: ReactNode }) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      className={cx(
        "inline-flex size-7 shrink-0 items-center justify-center rounded-md text-muted transition-colors",
        "hover:bg-hover hover:text-ink disabled:opacity-50 pointer-coarse:size-11",
        className,
      )}
      {...rest}
    >
      {children}
    </button>
  );
}
