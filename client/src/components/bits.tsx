/** Small things that many places show: keys, placeholders while loading, the demo's label, cards that say what is wrong. */
import type { ReactNode } from "react";
import { cx } from "@/lib/cx";

/** A key to press. */
export function Kbd({ children }: { children: ReactNode }) {
  return (
    <kbd className="inline-flex min-w-5 items-center justify-center rounded-sm border border-line bg-surface px-1 font-sans text-xs text-muted">
      {children}
    </kbd>
  );
}

/** The place of something that is on its way. */
export function Skeleton({ className }: { className?: string }) {
  return <div aria-hidden className={cx("pulse rounded-sm bg-hover", className)} />;
}

/** Says that the model is scripted. Stands wherever the demo model is named. */
export function DemoBadge() {
  return (
    <span
      data-testid="demo-badge"
      title="A scripted model, not a real one"
      className="inline-flex items-center rounded-sm border border-line-strong px-1 text-xs leading-4 text-muted"
    >
      demo
    </span>
  );
}

/** A card that says what happened, what was kept, and what one can do. */
export function Card({
  tone,
  icon,
  title,
  children,
  actions,
  role,
  testId,
}: {
  tone: "plain" | "amber" | "red" | "accent";
  icon: ReactNode;
  title: ReactNode;
  children?: ReactNode;
  actions?: ReactNode;
  role?: "alert" | "status" | "group";
  testId?: string;
}) {
  const tones = {
    plain: "border-line bg-surface",
    amber: "border-amber/40 bg-amber-soft",
    red: "border-red/40 bg-red-soft",
    accent: "border-accent/45 bg-accent-soft",
  } as const;
  const inks = { plain: "text-muted", amber: "text-amber", red: "text-red", accent: "text-accent-ink" } as const;
  return (
    <div role={role} data-testid={testId} className={cx("flex gap-2.5 rounded-lg border p-3", tones[tone])}>
      <span className={cx("mt-0.5 shrink-0", inks[tone])}>{icon}</span>
      <div className="min-w-0 flex-1">
        <div className="font-medium [overflow-wrap:anywhere]">{title}</div>
        {children === undefined ? null : <div className="mt-0.5 text-sm text-muted [overflow-wrap:anywhere]">{children}</div>}
        {actions === undefined ? null : <div className="mt-2.5 flex flex-wrap gap-2">{actions}</div>}
      </div>
    </div>
  );
}

/** Short facts in a line, with dots between them: a dot stays with the fact before it where the line breaks. */
export function Facts({ facts, className }: { facts: readonly ReactNode[]; className?: string }) {
  return (
    <span className={cx("flex flex-wrap gap-x-1.5", className)}>
      {facts.map((fact, at) => (
        <span key={at} className="[overflow-wrap:anywhere]">
          {fact}
          {at < facts.length - 1 ? <span aria-hidden> ·</span> : null}
        </span>
      ))}
    </span>
  );
}

/** A page with one message in the middle. */
export function CenterPage({ title, children, testId }: { title: string; children: ReactNode; testId?: string }) {
  return (
    <main data-testid={testId} className="flex h-full flex-col items-center justify-center gap-3 px-6 text-center">
      <h1 className="text-xl font-semibold">{title}</h1>
      <div className="flex max-w-md flex-col items-center gap-4 text-muted">{children}</div>
    </main>
  );
}

/** Text that is spoken and not seen. */
export function SrOnly({ children }: { children: ReactNode }) {
  return <span className="sr-only">{children}</span>;
}
