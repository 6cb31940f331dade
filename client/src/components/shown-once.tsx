/** Something secret that is shown this once: to be copied now, and gone with the dialog. */
import { Check, Copy, KeyRound } from "lucide-react";
import { useState } from "react";
import { Card } from "@/components/bits";
import { Button } from "@/components/button";
import { CONTROL } from "@/components/fields";
import { cx } from "@/lib/cx";

/** See the head of the file. */
export function ShownOnce({ title, label, value, note, testId }: { title: string; label: string; value: string; note: string; testId: string }) {
  const [copied, setCopied] = useState<"no" | "yes" | "failed">("no");
  const copy = () => {
    navigator.clipboard.writeText(value).then(
      () => setCopied("yes"),
      // The page may not use the clipboard: the text is selected, and the person copies it.
      () => setCopied("failed"),
    );
  };
  return (
    <Card tone="accent" icon={<KeyRound size={16} aria-hidden />} title={title}>
      <div className="mt-2 flex gap-2">
        <input
          readOnly
          aria-label={label}
          data-testid={testId}
          dir="ltr"
          value={value}
          onFocus={(event) => event.target.select()}
          className={cx(CONTROL, "text-mono h-8 min-w-0 flex-1 pointer-coarse:h-11")}
        />
        <Button look="primary" autoFocus data-testid={`${testId}-copy`} onClick={copy}>
          {copied === "yes" ? <Check size={14} aria-hidden /> : <Copy size={14} aria-hidden />}
          {copied === "yes" ? "Copied" : "Copy"}
        </Button>
      </div>
      <p role="status" className="mt-2">
        {copied === "failed" ? "The browser did not let it be copied: select it and copy it by hand. " : ""}
        {note}
      </p>
    </Card>
  );
}
