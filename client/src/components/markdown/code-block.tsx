/** A block of code: language, copy, colours once it is complete. */
import { Check, Copy } from "lucide-react";
import { memo, useEffect, useState } from "react";
import type { ThemedToken } from "shiki/core";
import { IconButton } from "@/components/button";
import { highlight } from "@/components/markdown/highlight";

type Lines = readonly (readonly ThemedToken[])[];

/** Copies a text, and says so for a moment. */
export function CopyButton({ text, label = "Copy" }: { text: string; label?: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = () => {
    void navigator.clipboard.writeText(text).then(() => setCopied(true));
  };
  return (
    <IconButton label={copied ? "Copied" : label} onClick={copy} className="size-6">
      {copied ? <Check size={13} /> : <Copy size={13} />}
    </IconButton>
  );
}

/** See the head of the file. */
export const CodeBlock = memo(function CodeBlock({ code, language, complete }: { code: string; language: string; complete: boolean }) {
  const [lines, setLines] = useState<{ code: string; lines: Lines } | null>(null);
  useEffect(() => {
    if (!complete) return;
    let wanted = true;
    highlight(code, language).then(
      (coloured) => {
        if (wanted && coloured) setLines({ code, lines: coloured });
      },
      // The colours did not load: the code is there without them.
      () => undefined,
    );
    return () => {
      wanted = false;
    };
  }, [code, language, complete]);
  return (
    <div className="overflow-hidden rounded-lg border bg-code">
      <div className="flex h-7 items-center justify-between pr-0.5 pl-3 text-xs text-muted">
        <span>{language === "" ? "text" : language}</span>
        <CopyButton text={code} label="Copy code" />
      </div>
      {/* Scrollable by keyboard, which needs focus. */}
      <pre tabIndex={0} aria-label={`Code${language === "" ? "" : `, ${language}`}`} className="text-mono overflow-x-auto px-3 pb-2.5">
        <code className="shiki" dir="ltr">
          {lines?.code === code ? <Coloured lines={lines.lines} /> : code}
        </code>
      </pre>
    </div>
  );
});

function Coloured({ lines }: { lines: Lines }) {
  return lines.map((line, at) => (
    <span key={at}>
      {line.map((piece, index) => (
        <span key={index} style={piece.htmlStyle}>
          {piece.content}
        </span>
      ))}
      {at < lines.length - 1 ? "\n" : ""}
    </span>
  ));
}
