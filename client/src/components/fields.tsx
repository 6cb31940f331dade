/** Fields of forms: a label, the control, what is wrong with it. */
import { useId, type ComponentProps, type ReactNode } from "react";
import { cx } from "@/lib/cx";

/** The look of every control. */
export const CONTROL =
  "w-full rounded-md border border-line-strong bg-bg px-2.5 text-base text-ink placeholder:text-faint focus-visible:outline-offset-0";

/** A label over a control. */
export function Field({
  label,
  hint,
  error,
  children,
}: {
  label: string;
  hint?: ReactNode;
  error?: string | undefined;
  children: (ids: { id: string; describedBy: string | undefined }) => ReactNode;
}) {
  const id = useId();
  const note = useId();
  const said = error ?? hint;
  return (
    <div className="flex flex-col gap-1">
      <label htmlFor={id} className="text-sm font-medium">
        {label}
      </label>
      {children({ id, describedBy: said === undefined ? undefined : note })}
      {said === undefined ? null : (
        <div id={note} className={cx("text-xs", error === undefined ? "text-muted" : "text-red")}>
          {said}
        </div>
      )}
    </div>
  );
}

/** A line of text. */
export function TextInput({ className, ...rest }: ComponentProps<"input">) {
  return <input className={cx(CONTROL, "h-8 pointer-coarse:h-11", className)} {...rest} />;
}

/** One of a few. */
export function Select({ className, ...rest }: ComponentProps<"select">) {
  return <select className={cx(CONTROL, "h-8 pr-7 pointer-coarse:h-11", className)} {...rest} />;
}
