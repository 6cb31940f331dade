/** What the pages of the settings are made of: the page, its sections, rows of a list, the mark that something was saved. */
import { Link } from "@tanstack/react-router";
import { Check, ChevronLeft, CircleAlert } from "lucide-react";
import { useId, type ReactNode } from "react";
import { Facts } from "@/components/bits";
import { cx } from "@/lib/cx";

/** A page: its title, what it is about, what can be done with it. Whom it is for is said in `nav.ts`. */
export function SettingsPage({
  title,
  description,
  wide = false,
  actions,
  children,
}: {
  title: string;
  description: ReactNode;
  wide?: boolean;
  actions?: ReactNode;
  children: ReactNode;
}) {
  return (
    <div data-testid="settings-page" className={cx("mx-auto flex w-full flex-col gap-6 px-4 pt-3 pb-10 sm:px-8 md:pt-6", wide ? "max-w-6xl" : "max-w-3xl")}>
      <header className="flex flex-wrap items-start gap-x-4 gap-y-2">
        <div className="min-w-0 flex-1 basis-60">
          <Link to="/settings" className="-ml-1.5 flex h-11 w-fit items-center gap-1 rounded-md pr-2 text-sm text-muted hover:bg-hover md:hidden">
            <ChevronLeft size={16} aria-hidden />
            Settings
          </Link>
          <h1 className="text-xl font-semibold">{title}</h1>
          <div className="max-w-[68ch] text-muted">{description}</div>
        </div>
        {actions}
      </header>
      {children}
    </div>
  );
}

/** A part of a page. */
export function Section({ title, description, actions, children }: { title: string; description?: ReactNode; actions?: ReactNode; children: ReactNode }) {
  const id = useId();
  return (
    <section aria-labelledby={id} className="flex flex-col gap-2">
      <div className="flex flex-wrap items-end gap-x-4 gap-y-2">
        <div className={cx("min-w-0 flex-1", description === undefined ? "basis-24" : "basis-60")}>
          <h2 id={id} className="text-base font-semibold">
            {title}
          </h2>
          {description === undefined ? null : <p className="max-w-[68ch] text-sm text-muted">{description}</p>}
        </div>
        {actions}
      </div>
      {children}
    </section>
  );
}

/** Said where a list has nothing in it. */
export function Empty({ children }: { children: ReactNode }) {
  return <p className="rounded-lg border border-dashed border-line-strong px-3 py-4 text-sm text-muted">{children}</p>;
}

/** A list of rows; `empty` is said when there are none. */
export function Rows<T>({ items, empty, label, children }: { items: readonly T[]; empty: ReactNode; label: string; children: (item: T) => ReactNode }) {
  if (items.length === 0) return <Empty>{empty}</Empty>;
  return (
    <ul aria-label={label} className="divide-y divide-line overflow-hidden rounded-lg border bg-raised">
      {items.map(children)}
    </ul>
  );
}

/** A row: what it is, what is to be known of it, what can be done with it. */
export function Row({ icon, title, badge, facts, actions, error, children, ...rest }: {
  icon?: ReactNode;
  title: ReactNode;
  badge?: ReactNode;
  facts: readonly (ReactNode | undefined)[];
  actions?: ReactNode;
  error?: string | undefined;
  children?: ReactNode;
  "data-testid"?: string;
  "data-id"?: string;
}) {
  const known = facts.filter((fact) => fact !== undefined && fact !== null && fact !== "");
  return (
    <li {...rest} className="flex gap-x-3 px-3 py-2.5">
      {icon === undefined ? null : <span className="flex h-5.5 shrink-0 items-center text-muted">{icon}</span>}
      <div className="flex min-w-0 flex-1 flex-col gap-1.5">
        <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
          <div className="min-w-0 flex-1 basis-40">
            <div className="flex flex-wrap items-center gap-x-2 gap-y-0.5">
              <span className="min-w-0 font-medium [overflow-wrap:anywhere]">{title}</span>
              {badge}
            </div>
            {known.length === 0 ? null : <Facts facts={known} className="text-xs text-muted" />}
          </div>
          {actions === undefined || actions === null ? null : <div className="ml-auto flex shrink-0 flex-wrap items-center gap-2">{actions}</div>}
        </div>
        {children}
        <Problem words={error} />
      </div>
    </li>
  );
}

/** A word about a row's state. */
export function Badge({ tone = "plain", children }: { tone?: "plain" | "green" | "amber" | "red" | "accent"; children: ReactNode }) {
  const tones = {
    plain: "border-line-strong text-muted",
    green: "border-green/40 bg-green-soft text-green",
    amber: "border-amber/40 bg-amber-soft text-amber",
    red: "border-red/40 bg-red-soft text-red",
    accent: "border-accent/40 bg-accent-soft text-accent-ink",
  } as const;
  return <span className={cx("inline-flex items-center rounded-sm border px-1 text-xs leading-4 whitespace-nowrap", tones[tone])}>{children}</span>;
}

/** What went wrong, beside what it was. */
export function Problem({ words }: { words: string | undefined }) {
  if (words === undefined) return null;
  return (
    <p role="alert" data-testid="problem" className="flex items-start gap-1.5 text-sm text-red">
      <CircleAlert size={14} aria-hidden className="mt-0.75 shrink-0" />
      <span className="min-w-0 [overflow-wrap:anywhere]">{words}</span>
    </p>
  );
}

/** Said where the "Save" button is, once it is saved. */
export function SavedMark({ saved }: { saved: boolean }) {
  return (
    <span role="status" data-testid={saved ? "saved" : undefined} className="flex items-center gap-1 text-sm text-green">
      {saved ? (
        <>
          <Check size={14} aria-hidden />
          Saved
        </>
      ) : null}
    </span>
  );
}

