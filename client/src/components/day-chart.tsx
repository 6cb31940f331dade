/** Bars by day, with the same numbers as a table. Draws; what the days are is worked out in {@link everyDay}. */
import { useId } from "react";
import { cx } from "@/lib/cx";

/** A day, `2026-11-21`, and how much. */
export interface Day {
  readonly day: string;
  readonly amount: number;
}

const DAY_MS = 86_400_000;

/** The last `count` days up to `today` (UTC), those without an entry with nothing. Pure. */
export function everyDay(known: readonly Day[], today: string, count: number): readonly Day[] {
  const amounts = new Map(known.map(({ day, amount }) => [day, amount]));
  const end = Date.parse(`${today}T00:00:00Z`);
  return Array.from({ length: count }, (_, at) => {
    const day = new Date(end - (count - 1 - at) * DAY_MS).toISOString().slice(0, 10);
    return { day, amount: amounts.get(day) ?? 0 };
  });
}

/** `21 Nov`. */
function dayWords(day: string): string {
  return new Date(`${day}T00:00:00Z`).toLocaleDateString(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
}

const ROUND = [1, 1.2, 1.6, 2, 3, 4, 5, 6, 8];

/** Where the scale ends: the least round amount that is not less than `most`. Pure. */
export function scaleEnd(most: number): number {
  if (most <= 0) return 0;
  const power = 10 ** Math.floor(Math.log10(most));
  return (ROUND.find((step) => step * power >= most) ?? 10) * power;
}

const HEIGHT = 120;
/** Days between the marks below the bars. */
const WEEK = 7;

/** See the head of the file. */
export function DayChart({ days, words, title }: { days: readonly Day[]; words: (amount: number) => string; title: string }) {
  const caption = useId();
  const end = scaleEnd(Math.max(...days.map(({ amount }) => amount), 0));
  const step = 100 / Math.max(days.length, 1);
  const spent = days.filter(({ amount }) => amount > 0);
  return (
    <figure aria-labelledby={caption} className="m-0">
      <figcaption id={caption} className="mb-3 text-xs text-muted">
        {title}
      </figcaption>
      {end === 0 ? null : (
        <div aria-hidden className="flex gap-2 text-xs text-muted tabular-nums">
          <div className="flex h-30 flex-col justify-between text-right leading-none">
            {[end, end / 2, 0].map((amount) => (
              <span key={amount} className="flex h-0 items-center justify-end">
                {words(amount)}
              </span>
            ))}
          </div>
          <div className="min-w-0 flex-1">
            <svg viewBox={`0 0 100 ${HEIGHT}`} preserveAspectRatio="none" className="block h-30 w-full overflow-visible">
              {[0, HEIGHT / 2, HEIGHT].map((y) => (
                <line key={y} x1={0} x2={100} y1={y} y2={y} vectorEffect="non-scaling-stroke" className={y === HEIGHT ? "stroke-line-strong" : "stroke-line"} />
              ))}
              {days.map(({ day, amount }, at) => {
                const height = amount > 0 ? Math.max((amount / end) * HEIGHT, 2) : 0;
                return (
                  <g key={day}>
                    <rect x={at * step + step * 0.14} width={step * 0.72} y={HEIGHT - height} height={height} className="fill-accent" />
                    <rect x={at * step} width={step} y={0} height={HEIGHT} className="fill-transparent hover:fill-hover/40">
                      <title>{`${dayWords(day)}: ${words(amount)}`}</title>
                    </rect>
                  </g>
                );
              })}
            </svg>
            <div className="relative mt-1.5 h-4">
              {days.map(({ day }, at) => {
                const before = days.length - 1 - at;
                if (before % WEEK !== 0) return null;
                // The last one ends with its bar, there is no room beyond it; on a phone the one before would touch it.
                return (
                  <span key={day} className={cx("absolute whitespace-nowrap", before === 0 ? "right-0" : "-translate-x-1/2", before === WEEK && "max-sm:hidden")} style={before === 0 ? undefined : { left: `${(at + 0.5) * step}%` }}>
                    {dayWords(day)}
                  </span>
                );
              })}
            </div>
          </div>
        </div>
      )}
      {spent.length === 0 ? (
        <p className="text-sm text-muted">Nothing was spent in this time.</p>
      ) : (
        <details className="mt-2 text-sm">
          <summary className="w-fit rounded-sm text-muted pointer-coarse:py-3">As a table</summary>
          <table className="mt-1 w-full max-w-72 tabular-nums">
            <thead>
              <tr className="text-left text-xs text-muted">
                <th scope="col" className="py-1 font-medium">
                  Day
                </th>
                <th scope="col" className="py-1 text-right font-medium">
                  Spent
                </th>
              </tr>
            </thead>
            <tbody>
              {spent.map(({ day, amount }) => (
                <tr key={day} className="border-t">
                  <td className="py-1">{dayWords(day)}</td>
                  <td className="py-1 text-right">{words(amount)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
    </figure>
  );
}
