/** Bars by day, with the same numbers as a table. Draws; what the days are is worked out in {@link everyDay}. */
import { useId } from "react";

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

const HEIGHT = 120;

/** See the head of the file. */
export function DayChart({ days, words, title }: { days: readonly Day[]; words: (amount: number) => string; title: string }) {
  const caption = useId();
  const most = Math.max(...days.map(({ amount }) => amount), 0);
  const step = 100 / Math.max(days.length, 1);
  const spent = days.filter(({ amount }) => amount > 0);
  return (
    <figure aria-labelledby={caption} className="m-0">
      <figcaption id={caption} className="mb-2 flex flex-wrap justify-between gap-x-3 text-xs text-muted">
        <span>{title}</span>
        <span className="tabular-nums">{most > 0 ? `most on one day: ${words(most)}` : ""}</span>
      </figcaption>
      <svg aria-hidden viewBox={`0 0 100 ${HEIGHT}`} preserveAspectRatio="none" className="block h-30 w-full overflow-visible border-b border-line-strong">
        {days.map(({ day, amount }, at) => {
          const height = most > 0 ? Math.max((amount / most) * HEIGHT, amount > 0 ? 2 : 0) : 0;
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
      <div aria-hidden className="mt-1 flex justify-between text-xs text-muted tabular-nums">
        <span>{days[0] ? dayWords(days[0].day) : ""}</span>
        <span>{days.length > 0 ? dayWords(days[days.length - 1]?.day ?? "") : ""}</span>
      </div>
      {spent.length === 0 ? (
        <p className="mt-2 text-sm text-muted">Nothing was spent in this time.</p>
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
