/** A tool call in one line: verb, object, result. Pure; the cards only draw it. */
import { diffCounts, parseDiff } from "@/components/diff/parse";
import type { SubtaskPart, ToolPart } from "@/features/session/projection";
import { between, duration, plural, workspacePath } from "@/lib/format";
import type { JsonValue } from "@/protocol/serde_json/JsonValue";
import type { ToolStatus } from "@/protocol/ToolStatus";

/** The line. */
export interface ToolLine {
  readonly verb: string;
  readonly object: string;
  readonly mono: boolean;
  readonly result?: string;
}

/** A text argument of a call. */
export function argument(input: JsonValue, name: string): string | undefined {
  if (typeof input !== "object" || input === null || Array.isArray(input)) return undefined;
  const value = input[name];
  return typeof value === "string" ? value : undefined;
}

/** Whether the tool is at work: nothing works any more in a turn that is over. */
export function statusOf(status: ToolStatus, over: boolean): ToolStatus | "interrupted" {
  return over && (status === "pending" || status === "running") ? "interrupted" : status;
}

/** How long a finished part took, when that is worth saying. */
export function took(part: ToolPart | SubtaskPart): string | undefined {
  if (part.endedAt === undefined) return undefined;
  const ms = between(part.startedAt, part.endedAt);
  return ms < 500 ? undefined : duration(ms);
}

/** The line of a tool call. */
export function toolLine(part: ToolPart): ToolLine {
  const { input } = part;
  const text = (name: string) => argument(input, name) ?? "";
  const file = workspacePath(text("filePath"));
  switch (part.tool) {
    case "bash":
      return { verb: "Run", object: firstLine(text("command")) || (part.title ?? ""), mono: true, ...result(bashResult(part)) };
    case "edit":
    case "write":
      return { verb: part.tool === "edit" ? "Edit" : "Write", object: file, mono: true, ...result(changed(part)) };
    case "read":
      return { verb: "Read", object: file, mono: true, ...result(readRange(input)) };
    case "grep":
      return { verb: "Search", object: joined(text("pattern"), text("include") || workspacePath(text("path"))), mono: true, ...result(matches(part)) };
    case "glob":
      return { verb: "Find", object: joined(text("pattern"), workspacePath(text("path"))), mono: true, ...result(matches(part)) };
    case "list":
      return { verb: "List", object: workspacePath(text("path")) || ".", mono: true };
    case "todowrite":
      return { verb: "Plan", object: current(input), mono: false, ...result(planned(input)) };
    case "webfetch":
      return { verb: "Fetch", object: text("url"), mono: true };
    case "websearch":
      return { verb: "Search the web", object: text("query"), mono: false };
    case "question":
      return { verb: "Ask", object: part.title ?? "", mono: false };
    default:
      return { verb: part.tool, object: part.title ?? "", mono: false };
  }
}

function result(text: string | undefined): { result?: string } {
  return text === undefined ? {} : { result: text };
}

function firstLine(text: string): string {
  const lines = text.trim().split("\n");
  return lines.length > 1 ? `${lines[0] ?? ""} …` : (lines[0] ?? "");
}

function joined(what: string, where: string): string {
  return where === "" ? what : `${what} in ${where}`;
}

function bashResult(part: ToolPart): string | undefined {
  return part.exitCode === undefined || part.exitCode === 0 ? undefined : `exit ${part.exitCode}`;
}

function changed(part: ToolPart): string | undefined {
  if (part.diff === undefined) return undefined;
  const { added, removed } = diffCounts(parseDiff(part.diff));
  return `+${added} −${removed}`;
}

function readRange(input: JsonValue): string | undefined {
  if (typeof input !== "object" || input === null || Array.isArray(input)) return undefined;
  const { offset, limit } = input;
  if (typeof offset !== "number") return undefined;
  return typeof limit === "number" ? `lines ${offset}–${offset + limit - 1}` : `from line ${offset}`;
}

function matches(part: ToolPart): string | undefined {
  const found = /^Found (\d+)/.exec(part.output ?? "")?.[1];
  if (found !== undefined) return plural(Number(found), "match", "matches");
  return part.tool === "glob" && part.output !== undefined && part.output.startsWith("/")
    ? plural(part.output.trim().split("\n").filter((line) => line.startsWith("/")).length, "file")
    : undefined;
}

/** The step that the agent is at. */
function current(input: JsonValue): string {
  if (typeof input !== "object" || input === null || Array.isArray(input) || !Array.isArray(input["todos"])) return "";
  const todos = input["todos"];
  const open = todos.find((todo) => argument(todo, "status") === "in_progress") ?? todos.find((todo) => argument(todo, "status") === "pending");
  return open === undefined ? "All steps done" : (argument(open, "content") ?? "");
}

function planned(input: JsonValue): string | undefined {
  if (typeof input !== "object" || input === null || Array.isArray(input) || !Array.isArray(input["todos"])) return undefined;
  const todos = input["todos"];
  const done = todos.filter((todo) => argument(todo, "status") === "completed").length;
  return `${done} of ${todos.length} done`;
}

/** "Read 6 files", "Read 2 files, searched 3 times". */
export function groupLine(parts: readonly ToolPart[]): string {
  const reads = new Set(parts.filter((p) => p.tool === "read").map((p) => argument(p.input, "filePath") ?? p.id)).size;
  const searches = parts.filter((p) => p.tool === "grep" || p.tool === "glob").length;
  const lists = parts.filter((p) => p.tool === "list").length;
  const said = [
    reads > 0 ? `read ${plural(reads, "file")}` : "",
    searches > 0 ? (searches === 1 ? "searched once" : `searched ${searches} times`) : "",
    lists > 0 ? `listed ${plural(lists, "folder")}` : "",
  ].filter((text) => text !== "");
  const line = said.join(", ");
  return line.charAt(0).toUpperCase() + line.slice(1);
}
