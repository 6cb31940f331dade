/** A text field with suggestions below it (WAI-ARIA combobox): what is typed always counts, suggestions only help. */
import { useId, useState, type KeyboardEvent, type ReactNode } from "react";
import { TextInput, type FieldProps } from "@/components/fields";
import { cx } from "@/lib/cx";

/** One suggestion. */
export interface Suggestion {
  readonly value: string;
  readonly label: string;
  readonly note?: ReactNode;
}

interface ComboboxProps {
  readonly field: FieldProps;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly onPick: (value: string) => void;
  readonly suggestions: readonly Suggestion[];
  readonly placeholder?: string;
  readonly testId?: string;
}

/** See the head of the file. */
export function Combobox({ field, value, onChange, onPick, suggestions, placeholder, testId }: ComboboxProps) {
  const listId = useId();
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const typed = value.trim().toLowerCase();
  const exact = suggestions.some((s) => s.value === value);
  const fitting = exact ? suggestions : suggestions.filter((s) => `${s.label} ${s.value}`.toLowerCase().includes(typed));
  const shown = open && fitting.length > 0;
  const pick = (suggestion: Suggestion | undefined) => {
    if (!suggestion) return;
    onPick(suggestion.value);
    setOpen(false);
    setActive(-1);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      const step = event.key === "ArrowDown" ? 1 : -1;
      setActive((at) => (at + step + fitting.length) % Math.max(fitting.length, 1));
    } else if (event.key === "Enter" && shown && active >= 0) {
      event.preventDefault();
      pick(fitting[active]);
    } else if (event.key === "Escape" && shown) {
      event.preventDefault();
      event.stopPropagation();
      setOpen(false);
    }
  };
  return (
    <div className="relative">
      <TextInput
        {...field}
        data-testid={testId}
        role="combobox"
        aria-expanded={shown}
        aria-controls={listId}
        aria-autocomplete="list"
        aria-activedescendant={shown && active >= 0 ? `${listId}-${active}` : undefined}
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
        placeholder={placeholder}
        value={value}
        onChange={(event) => {
          onChange(event.target.value);
          setOpen(true);
          setActive(-1);
        }}
        onClick={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={onKeyDown}
      />
      <ul
        id={listId}
        role="listbox"
        aria-label="Suggestions"
        hidden={!shown}
        className="absolute inset-x-0 top-full z-10 mt-1 max-h-56 overflow-y-auto rounded-lg border border-line bg-raised p-1 shadow-lg"
      >
        {fitting.map((suggestion, at) => (
          <li
            key={suggestion.value}
            id={`${listId}-${at}`}
            role="option"
            aria-selected={at === active}
            // Before the field loses focus, which would take the list away.
            onPointerDown={(event) => {
              event.preventDefault();
              pick(suggestion);
            }}
            className={cx("cursor-default rounded-sm px-2 py-1.5", at === active ? "bg-hover" : "hover:bg-hover")}
          >
            <div className="text-sm font-medium">{suggestion.label}</div>
            <div className="truncate text-xs text-muted">{suggestion.note ?? suggestion.value}</div>
          </li>
        ))}
      </ul>
    </div>
  );
}
