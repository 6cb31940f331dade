/** Markdown as React elements: never as HTML, so whatever a model writes stays text. Each block is rendered once. */
import type { MarkedToken, Token, Tokens } from "marked";
import { Fragment, memo, useState, type ReactNode } from "react";
import { BlockSplitter, decodeEntities, fenceClosed, safeHref } from "@/components/markdown/blocks";
import { CodeBlock } from "@/components/markdown/code-block";

/** A text; `growing` while more may come at its end. */
export function Markdown({ text, growing }: { text: string; growing: boolean }) {
  const [splitter] = useState(() => new BlockSplitter());
  const blocks = splitter.split(text);
  return (
    <div dir="auto" className="prose max-w-[72ch]">
      {blocks.map(({ raw, token }, at) =>
        token.type === "space" || token.type === "def" ? null : (
          <MarkdownBlock key={at} raw={raw} token={token} growing={growing && at >= blocks.length - 1} />
        ),
      )}
    </div>
  );
}

/** The token of one raw text is always the same, so the text alone decides whether to render again. */
const MarkdownBlock = memo(
  function MarkdownBlock({ raw, token, growing }: { raw: string; token: Token; growing: boolean }) {
    if (token.type === "code") {
      const { text, lang = "" } = token as Tokens.Code;
      return <CodeBlock code={text} language={lang.split(/\s/)[0] ?? ""} complete={!growing || fenceClosed(raw)} />;
    }
    return <BlockToken token={token} />;
  },
  (before, after) => before.raw === after.raw && before.growing === after.growing,
);

function BlockToken({ token }: { token: Token }): ReactNode {
  const known = token as MarkedToken;
  switch (known.type) {
    case "heading":
      return <Heading depth={known.depth}>{inline(known.tokens)}</Heading>;
    case "paragraph":
      return <p dir="auto">{inline(known.tokens)}</p>;
    case "text":
      return <>{known.tokens ? inline(known.tokens) : decodeEntities(known.text)}</>;
    case "code":
      return <CodeBlock code={known.text} language={known.lang?.split(/\s/)[0] ?? ""} complete />;
    case "blockquote":
      return <blockquote className="prose">{blocks(known.tokens)}</blockquote>;
    case "list":
      return <ListToken list={known} />;
    case "table":
      return <TableToken table={known} />;
    case "hr":
      return <hr />;
    case "checkbox":
      return <Checkbox checked={known.checked} />;
    case "html":
      return <p className="whitespace-pre-wrap">{known.text}</p>;
    default:
      return null;
  }
}

function blocks(tokens: readonly Token[] | undefined): ReactNode {
  return tokens?.map((token, at) => <BlockToken key={at} token={token} />);
}

/** An answer may begin at any depth: to the page's outline its headings are all one level below the title. */
function Heading({ depth, children }: { depth: number; children: ReactNode }) {
  return <h2 data-depth={depth}>{children}</h2>;
}

function ListToken({ list }: { list: Tokens.List }) {
  const items = list.items.map((item, at) => (
    <li key={at} dir="auto" className={item.task ? "list-none" : undefined}>
      {blocks(item.tokens)}
    </li>
  ));
  return list.ordered ? <ol start={list.start === "" ? 1 : list.start}>{items}</ol> : <ul>{items}</ul>;
}

function TableToken({ table }: { table: Tokens.Table }) {
  return (
    <div tabIndex={0} role="region" aria-label="Table" className="overflow-x-auto">
      <table className="border-collapse text-sm">
        <thead>
          <tr>
            {table.header.map((cell, at) => (
              <th key={at} style={{ textAlign: cell.align ?? undefined }}>
                {inline(cell.tokens)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row, at) => (
            <tr key={at}>
              {row.map((cell, column) => (
                <td key={column} style={{ textAlign: cell.align ?? undefined }}>
                  {inline(cell.tokens)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function inline(tokens: readonly Token[] | undefined): ReactNode {
  return tokens?.map((token, at) => <Fragment key={at}>{inlineToken(token)}</Fragment>);
}

function inlineToken(token: Token): ReactNode {
  const known = token as MarkedToken;
  switch (known.type) {
    case "strong":
      return <strong className="font-semibold">{inline(known.tokens)}</strong>;
    case "em":
      return <em>{inline(known.tokens)}</em>;
    case "del":
      return <del>{inline(known.tokens)}</del>;
    case "codespan":
      return <code dir="ltr">{known.text}</code>;
    case "br":
      return <br />;
    case "checkbox":
      return <Checkbox checked={known.checked} />;
    case "link":
    case "image":
      return <LinkToken href={known.href}>{known.type === "image" ? known.text || known.href : inline(known.tokens)}</LinkToken>;
    case "text":
      return "tokens" in known ? inline(known.tokens) : decodeEntities(known.text);
    case "escape":
      return known.text;
    default:
      return known.raw;
  }
}

function Checkbox({ checked }: { checked: boolean }) {
  return <input type="checkbox" disabled checked={checked} aria-label={checked ? "done" : "open"} className="mr-1.5 -ml-5 align-[-1px]" />;
}

/** Images become links too: fetching one would tell a stranger that somebody reads this. */
function LinkToken({ href, children }: { href: string; children: ReactNode }) {
  const safe = safeHref(href);
  if (safe === undefined) return children;
  return (
    <a href={safe} target="_blank" rel="noreferrer noopener">
      {children}
    </a>
  );
}
