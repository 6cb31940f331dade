/** What a command printed, as lines of coloured pieces: carriage returns and cursor codes resolved as far as a page can. Pure. */
import Anser from "anser";

/** A piece of a line in one style. */
export interface Piece {
  readonly text: string;
  readonly color?: string;
  readonly bold: boolean;
  readonly dim: boolean;
}

const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"] as const;
// Everything that moves the cursor or sets titles; colours (…m) stay.
// eslint-disable-next-line no-control-regex
const OTHER_CODES = /\u001b(?:\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\[[0-9;?]*[A-Za-ln-z]|[()][A-Z0-9]|[=>78cDEHM])/g;
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001a\u001c-\u001f\u007f]/g;

/** The lines as a terminal would leave them: what a carriage return overwrote is gone. */
export function terminalLines(output: string): readonly string[] {
  const clean = output.replace(OTHER_CODES, "").replace(/\r+\n/g, "\n").replace(/\n$/, "");
  if (clean === "") return [];
  return clean.split("\n").map((line) => {
    const last = line.replace(/\r+$/, "").split("\r").at(-1) ?? "";
    return last.replace(CONTROLS, "");
  });
}

/** The pieces of some lines. */
export function terminalPieces(lines: readonly string[]): readonly Piece[] {
  return Anser.ansiToJson(lines.join("\n"), { json: true, use_classes: true, remove_empty: true }).map((entry) => {
    const color = colorOf(entry.fg, entry.fg_truecolor);
    const bold = entry.decorations.includes("bold");
    const dim = entry.decorations.includes("dim");
    return { text: entry.content, bold, dim, ...(color === undefined ? {} : { color }) };
  });
}

function colorOf(name: string | null, truecolor: string | null): string | undefined {
  if (!name) return undefined;
  const plain = name.replace(/^ansi-(bright-)?/, "");
  if ((NAMES as readonly string[]).includes(plain)) return `var(--ansi-${plain})`;
  const [r = 0, g = 0, b = 0] = name === "ansi-truecolor" ? (truecolor ?? "").split(",").map(Number) : paletteRgb(plain);
  return `var(--ansi-${nearest(r, g, b)})`;
}

function paletteRgb(name: string): number[] {
  const index = Number(name.replace("palette-", ""));
  if (!Number.isInteger(index) || index > 231) return [128, 128, 128];
  const level = (n: number) => (n === 0 ? 0 : 55 + n * 40);
  const at = Math.max(0, index - 16);
  return [level(Math.floor(at / 36)), level(Math.floor(at / 6) % 6), level(at % 6)];
}

/** The one of our legible colours that comes nearest: a colour chosen for a black terminal may be unreadable here. */
function nearest(r: number, g: number, b: number): (typeof NAMES)[number] {
  const most = Math.max(r, g, b);
  if (most - Math.min(r, g, b) < 40) return most < 90 ? "black" : "white";
  const on = (channel: number) => (channel > most * 0.6 ? 1 : 0);
  return NAMES[on(r) + 2 * on(g) + 4 * on(b)] ?? "white";
}
