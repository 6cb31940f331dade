/**
 * Markdown as top-level blocks, for text that grows at its end: finished blocks are never read again, so that a long answer
 * costs its last lines per delta and not all of it. Pure apart from its own memory.
 */
import { Lexer, type Token } from "marked";

/** One top-level block. */
export interface Block {
  readonly raw: string;
  readonly token: Token;
}

/** Splits a text that usually is the last one with something appended. */
export class BlockSplitter {
  private text = "";
  private blocks: readonly Block[] = [];
  private exact = true;

  /** The blocks of `text`. */
  split(text: string): readonly Block[] {
    if (text === this.text) return this.blocks;
    // The last block and the one before the blank line may still change: a list goes on, a paragraph becomes a table.
    const grown = this.exact && text.startsWith(this.text);
    const settled = grown ? this.blocks.slice(0, -3) : [];
    const from = settled.reduce((sum, block) => sum + block.raw.length, 0);
    const fresh = Lexer.lex(text.slice(from), { gfm: true }).map((token) => ({ raw: token.raw, token }));
    const lexed = fresh.reduce((sum, block) => sum + block.raw.length, 0);
    this.blocks = [...settled, ...fresh];
    this.text = text;
    // The lexer normalises line ends; when lengths differ, offsets cannot be trusted the next time.
    this.exact = lexed === text.length - from;
    return this.blocks;
  }
}

/** Whether a fenced code block has its closing fence. */
export function fenceClosed(raw: string): boolean {
  const fence = /^ {0,3}(`{3,}|~{3,})/.exec(raw)?.[1];
  if (fence === undefined) return true;
  const lines = raw.trimEnd().split("\n");
  return lines.length > 1 && (lines.at(-1)?.trim().startsWith(fence) ?? false);
}

const NAMED: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", hellip: "…", mdash: "—", ndash: "–" };

/** Character references as the characters they stand for. */
export function decodeEntities(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]+));/gi, (whole, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return NAMED[name] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex ?? "", 16) : Number(decimal);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/** The address, when it is one that a link may lead to. */
export function safeHref(href: string): string | undefined {
  return /^(https?:|mailto:)/i.test(href.trim()) ? href.trim() : undefined;
}
