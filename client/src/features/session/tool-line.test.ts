import { describe, expect, it } from "vitest";
import { part } from "@/features/session/frames.fixture";
import type { ToolPart } from "@/features/session/projection";
import { groupLine, statusOf, toolLine } from "@/features/session/tool-line";
import type { JsonValue } from "@/protocol/serde_json/JsonValue";

const call = (tool: string, input: JsonValue, change: Partial<ToolPart> = {}): ToolPart =>
  part("prt_1", 0, { type: "tool", tool, status: "completed", input }, change) as ToolPart;

describe("a tool's line", () => {
  it("says command and a bad exit code", () => {
    expect(toolLine(call("bash", { command: "npm test\nls" }, { exitCode: 1 }))).toMatchObject({ object: "npm test …", result: "exit 1" });
    expect(toolLine(call("bash", { command: "ls" }, { exitCode: 0 })).result).toBeUndefined();
  });

  it("says which file and how many lines changed", () => {
    const diff = "@@ -1 +1,2 @@\n-a\n+b\n+c\n";
    expect(toolLine(call("edit", { filePath: "/workspace/src/a.ts" }, { diff }))).toMatchObject({ verb: "Edit", object: "src/a.ts", result: "+2 −1" });
  });

  it("counts matches and finished steps", () => {
    expect(toolLine(call("grep", { pattern: "x", include: "*.ts" }, { output: "Found 3 matches" }))).toMatchObject({ object: "x in *.ts", result: "3 matches" });
    const todos = [{ content: "a", status: "completed" }, { content: "b", status: "pending" }];
    expect(toolLine(call("todowrite", { todos }))).toMatchObject({ object: "b", result: "1 of 2 done" });
  });

  it("names tools that it does not know, whatever their arguments are", () => {
    expect(toolLine(call("mcp_weather", [1, null], { title: "Bern" }))).toMatchObject({ verb: "mcp_weather", object: "Bern" });
    expect(toolLine(call("edit", null)).object).toBe("");
  });

  it("of several reads counts each file once", () => {
    const read = (path: string) => call("read", { filePath: path });
    expect(groupLine([read("a"), read("b"), read("a"), call("grep", {}), call("list", {})])).toBe("Read 2 files, searched once, listed 1 folder");
  });

  it("calls nothing running in a turn that is over", () => {
    expect(statusOf("running", true)).toBe("interrupted");
    expect(statusOf("running", false)).toBe("running");
    expect(statusOf("error", true)).toBe("error");
  });
});
