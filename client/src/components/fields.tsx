/** Forms and their fields: a label, the control, what is wrong with it. */
import { useId, type ComponentProps, type ReactNode } from "react";
import { flushSync } from "react-dom";
import { cx } from "@/lib/cx";

/** The look of every control. As wide as there is room, unless its class says otherwise. */
export const CONTROL =
  "control rounded-md border border-line-strong bg-bg px-2.5 text-base text-ink placeholder:text-faint focus-visible:outline-offset-0 aria-invalid:border-red";

/** A form that is checked by itself. Where something is wrong after a try, the first such field gets the focus. */
export function Form({ onSubmit, ...rest }: Omit<ComponentProps<"form">, "onSubmit"> & { onSubmit: () => void }) {
  return (
    <form
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        const form = event.currentTarget;
        // What is wrong has to stand in the page to be found there.
        flushSync(onSubmit);
        form.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
      }}
      {...rest}
    />
  );
}

/** What ties a control to its label and to what is said of it: to be spread on the control. */
export interface FieldProps {
  readonly id: string;
  readonly "aria-describedby": string | undefined;
  readonly "aria-invalid": true | undefined;
}

interface FieldWords {
  readonly className?: string;
  readonly label: string;
  readonly hint?: ReactNode;
  readonly error?: string | undefined;
}

/** A label over a control. */
export function Field(props: FieldWords & { children: (field: FieldProps) => ReactNode }) {
  const { said, field } = useField(props);
  return (
    <div className={cx("flex min-w-0 flex-col gap-1", props.className)}>
      <label htmlFor={field.id} className="text-sm font-medium">
        {props.label}
      </label>
      {props.children(field)}
      {said}
    </div>
  );
}

/** Fields below each other in one box, as `SettingField`s. */
export function SettingList({ children }: { children: ReactNode }) {
  return <div className="@container divide-y divide-line rounded-lg border bg-raised">{children}</div>;
}

/** A field of a `SettingList`: where there is room, its control stands beside its label. */
export function SettingField(props: FieldWords & { children: (field: FieldProps) => ReactNode }) {
  const { said, field } = useField(props);
  return (
    <div className="grid gap-x-6 gap-y-1.5 px-3 py-2.5 @md:grid-cols-[minmax(0,1fr)_15rem]">
      <div className="min-w-0">
        <label htmlFor={field.id} className="text-sm font-medium">
          {props.label}
        </label>
        {said}
      </div>
      <div className="min-w-0">{props.children(field)}</div>
    </div>
  );
}

/** What is wrong stands in the place of the hint. */
function useField({ hint, error }: FieldWords): { said: ReactNode; field: FieldProps } {
  const id = useId();
  const note = useId();
  const words = error ?? hint;
  const said =
    words === undefined ? null : (
      <div id={note} className={cx("text-xs", error === undefined ? "text-muted" : "text-red")}>
        {words}
      </div>
    );
  return { said, field: { id, "aria-describedby": words === undefined ? undefined : note, "aria-invalid": error === undefined ? undefined : true } };
}

/** A line of text. */
export function TextInput({ className, ...rest }: ComponentProps<"input">) {
  return <input className={cx(CONTROL, "h-8 pointer-coarse:h-11", className)} {...rest} />;
}

/** Several lines of what programs read. */
export function CodeArea({ className, ...rest }: ComponentProps<"textarea">) {
  return <textarea spellCheck={false} dir="ltr" className={cx(CONTROL, "text-mono resize-y py-1.5", className)} {...rest} />;
}

/** One of a few. */
export function Select({ className, ...rest }: ComponentProps<"select">) {
  return <select className={cx(CONTROL, "h-8 pr-7 text-ellipsis pointer-coarse:h-11", className)} {...rest} />;
}

/** One of those that `options` names, by value. */
export function Choice<T extends string>({
  options,
  value,
  onChange,
  ...rest
}: Omit<ComponentProps<"select">, "value" | "onChange" | "children"> & {
  options: readonly { readonly value: T; readonly words: string; readonly disabled?: boolean }[];
  value: T;
  onChange: (value: T) => void;
}) {
  const choose = (text: string) => {
    const option = options.find((one) => one.value === text);
    if (option) onChange(option.value);
  };
  return (
    <Select value={value} onChange={(event) => choose(event.target.value)} {...rest}>
      {options.map((option) => (
        <option key={option.value} value={option.value} disabled={option.disabled}>
          {option.words}
        </option>
      ))}
    </Select>
  );
}
