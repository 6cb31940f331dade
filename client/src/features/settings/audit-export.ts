/** Takes the audit log out as a file: all that fits the filter, page after page. */
import { joinCsv } from "@/features/settings/audit-words";
import { auditPath, type AuditFilter } from "@/features/settings/queries";
import { ask } from "@/lib/api";
import type { AuditEntry } from "@/protocol/AuditEntry";
import type { AuditPage } from "@/protocol/AuditPage";

const PAGE = 1000;

/** `onProgress` is told how many entries there are so far. */
export async function exportAudit(filter: AuditFilter, format: "csv" | "json", onProgress: (entries: number) => void, signal: AbortSignal): Promise<void> {
  const texts: string[] = [];
  const entries: AuditEntry[] = [];
  let cursor: string | null = null;
  let pages = 0;
  do {
    const response: Response = await ask("GET", auditPath(filter, PAGE, cursor, format === "csv" ? "csv" : undefined), undefined, signal);
    if (format === "csv") {
      texts.push(await response.text());
      cursor = response.headers.get("x-next-cursor");
    } else {
      const page = (await response.json()) as AuditPage;
      entries.push(...page.entries);
      cursor = page.cursor ?? null;
    }
    pages += 1;
    onProgress(format === "csv" ? pages * PAGE : entries.length);
  } while (cursor !== null);
  const [text, type] = format === "csv" ? [joinCsv(texts), "text/csv;charset=utf-8"] : [JSON.stringify(entries, null, 2), "application/json"];
  save(new Blob([text], { type }), `errand-audit.${format}`);
}

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
