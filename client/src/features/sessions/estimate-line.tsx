/** What a turn on this repository usually costs and takes, before one is asked for. */
import { useQuery } from "@tanstack/react-query";
import { Gauge } from "lucide-react";
import { duration } from "@/lib/format";
import { dollars } from "@/lib/money";
import { estimateQuery } from "@/lib/models";
import type { Estimate } from "@/protocol/Estimate";

/** In words; nothing where there is no history. Pure. */
export function estimateWords({ turns, costP50, costP95, secondsP50, secondsP95 }: Estimate): string | undefined {
  if (turns === 0 || costP50 === undefined || secondsP50 === undefined) return undefined;
  const most = costP95 === undefined || secondsP95 === undefined || turns < 5 ? "" : `, 95 % at most ${dollars(costP95)} and ${duration(secondsP95 * 1000)}`;
  return `A turn here usually costs ${dollars(costP50)} and takes ${duration(secondsP50 * 1000)}${most} (of ${turns === 1 ? "one turn" : `the last ${turns}`}).`;
}

/** See the head of the file. */
export function EstimateLine({ repo, model }: { repo: string; model: string | undefined }) {
  const { data } = useQuery(estimateQuery(repo, model));
  const words = data ? estimateWords(data) : undefined;
  if (words === undefined) return null;
  return (
    <p data-testid="estimate" className="flex items-start gap-1.5 text-xs text-muted tabular-nums">
      <Gauge size={13} aria-hidden className="mt-0.5 shrink-0" />
      {words}
    </p>
  );
}
