import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import { diffCounts, parseDiff } from "@/components/diff/parse";
import { BlockSplitter, decodeEntities, fenceClosed, safeHref } from "@/components/markdown/blocks";
import { languageOf } from "@/components/markdown/highlight";
import { Markdown } from "@/components/markdown/markdown";
import { terminalLines, terminalPieces } from "@/components/terminal-output";

const SAMPLE = "# Title\n\nA paragraph\nof two lines.\n\n- one\n\n- two\n  - nested\n\n```ts\nconst a = 1;\n\nconst b = 2;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nend &amp; done\n";

describe("Markdown blocks", () => {
  it("are the same whether the text came at once or character by character", () => {
    const growing = new BlockSplitter();
    for (let to = 1; to <= SAMPLE.length; to += 1) growing.split(SAMPLE.slice(0, to));
    expect(growing.split(SAMPLE)).toEqual(new BlockSplitter().split(SAMPLE));
  });

  it("that are finished keep their identity while the text grows", () => {
    const splitter = new BlockSplitter();
    const before = splitter.split(SAMPLE);
    const after = splitter.split(`${SAMPLE}\nand more`);
    expect(after[0]).toBe(before[0]);
  });

  it("survive a text that is replaced, and line ends of Windows", () => {
    const splitter = new BlockSplitter();
    splitter.split("one\r\n\r\ntwo\r\n\r\nthree\r\n\r\nfour");
    splitter.split("one\r\n\r\ntwo\r\n\r\nthree\r\n\r\nfour\r\n\r\nfive");
    const text = "other\n\ntext";
    expect(splitter.split(text)).toEqual(new BlockSplitter().split(text));
  });

  it("know whether a fence is closed", () => {
    expect(fenceClosed("```ts\nx\n")).toBe(false);
    expect(fenceClosed("```ts\nx\n```")).toBe(true);
    expect(fenceClosed("    indented")).toBe(true);
  });
});

describe("Markdown", () => {
  const html = (text: string) => renderToStaticMarkup(<Markdown text={text} growing={false} />);

  it("shows HTML as text and follows no script address", () => {
    const out = html("<img src=x onerror=alert(1)> [x](javascript:alert(1)) <script>1</script>");
    expect(out).not.toMatch(/<img|<script|href="javascript/i);
    expect(out).toContain("&lt;img");
  });

  it("fetches no image of a stranger", () => {
    expect(html("![alt](https://example.org/a.png)")).toBe(
      '<div dir="auto" class="prose max-w-[72ch]"><p dir="auto"><a href="https://example.org/a.png" target="_blank" rel="noreferrer noopener">alt</a></p></div>',
    );
  });

  it("draws tables, task lists, nested lists and code", () => {
    const out = html(`${SAMPLE}\n- [x] done\n- [ ] open\n`);
    expect(out).toContain("<table");
    expect(out).toContain('checked=""');
    expect(out).toContain("nested");
    expect(out).toContain("const b = 2;");
    expect(out).toContain("end &amp; done");
  });

  it("decodes references and leaves unknown ones", () => {
    expect(decodeEntities("&lt;&#65;&#x42;&unknown;&#99999999;")).toBe("<AB&unknown;&#99999999;");
  });

  it("links only to the web and to mail", () => {
    expect(safeHref("https://a.b")).toBe("https://a.b");
    expect(safeHref("data:text/html,x")).toBeUndefined();
    expect(safeHref("/relative")).toBeUndefined();
  });

  it("colours only languages that it has", () => {
    expect(languageOf("TS")).toBe("typescript");
    expect(languageOf("brainfuck")).toBeUndefined();
  });
});

describe("diffs", () => {
  const PATCH = "--- a/x\n+++ b/x\n@@ -3,4 +3,4 @@ fn main\n same\n-let a = one - two;\n+let a = one + two;\n--- a removed comment\n+++ an added comment\n\\ No newline at end of file\n";

  it("number both sides and do not take a removed '-- x' for a header", () => {
    const lines = parseDiff(PATCH);
    expect(lines.map((l) => [l.kind, l.before, l.after])).toEqual([
      ["gap", undefined, undefined], ["same", 3, 3], ["del", 4, undefined], ["add", undefined, 4],
      ["del", 5, undefined], ["add", undefined, 5],
    ]);
    expect(diffCounts(lines)).toEqual({ added: 2, removed: 2 });
  });

  it("mark what changed inside a line", () => {
    const [, , del, add] = parseDiff(PATCH);
    expect(del?.mark).toEqual([12, 13]);
    expect(add?.mark).toEqual([12, 13]);
  });

  it("read several files and new files, and nothing from nonsense", () => {
    const two = "@@ -0,0 +1 @@\n+a\n--- a/y\n+++ b/y\n@@ -1 +0,0 @@\n-b\n";
    expect(parseDiff(two).map((l) => l.kind)).toEqual(["add", "gap", "del"]);
    expect(parseDiff("binary files differ")).toEqual([]);
  });
});

describe("terminal output", () => {
  it("keeps what a progress bar ended with and drops cursor codes", () => {
    expect(terminalLines("10%\r50%\r100%\nok\u001b[K\r\n\u001b]0;title\u0007end\n")).toEqual(["100%", "ok", "end"]);
  });

  it("colours by our own palette", () => {
    const pieces = terminalPieces(["\u001b[31mred\u001b[0m plain \u001b[1;38;5;46mgreen\u001b[0m \u001b[38;2;10;10;200mblue\u001b[0m"]);
    expect(pieces.map((p) => [p.text, p.color])).toEqual([
      ["red", "var(--ansi-red)"], [" plain ", undefined], ["green", "var(--ansi-green)"], [" ", undefined], ["blue", "var(--ansi-blue)"],
    ]);
    expect(pieces[2]?.bold).toBe(true);
  });

  it("of nothing is nothing", () => {
    expect(terminalLines("")).toEqual([]);
  });
});
