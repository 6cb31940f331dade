/** What a browser or program says of itself, in words that its owner knows it by. Pure. */

const BROWSERS: readonly [RegExp, string][] = [
  [/Edg(e|A|iOS)?\//, "Edge"],
  [/OPR\/|Opera/, "Opera"],
  [/Firefox\/|FxiOS\//, "Firefox"],
  [/HeadlessChrome\//, "Chrome"],
  [/Chrom(e|ium)\/|CriOS\//, "Chrome"],
  [/Safari\//, "Safari"],
];
const SYSTEMS: readonly [RegExp, string][] = [
  [/iPhone/, "iPhone"],
  [/iPad/, "iPad"],
  [/Android/, "Android"],
  [/CrOS/, "ChromeOS"],
  [/Windows/, "Windows"],
  [/Mac OS X|Macintosh/, "macOS"],
  [/Linux/, "Linux"],
];

/** A device by its `User-Agent`. */
export interface DeviceWords {
  readonly name: string;
  readonly kind: "computer" | "phone" | "program";
}

/** See the head of the file. */
export function deviceWords(agent: string): DeviceWords {
  const find = (known: readonly [RegExp, string][]) => known.find(([pattern]) => pattern.test(agent))?.[1];
  const system = find(SYSTEMS);
  const browser = agent.startsWith("Mozilla/") ? find(BROWSERS) : undefined;
  if (browser === undefined) return { name: agent.split(/[\s/]/)[0] || "Unknown device", kind: "program" };
  const kind = system === "iPhone" || system === "Android" ? "phone" : "computer";
  return { name: system === undefined ? browser : `${browser} on ${system}`, kind };
}
