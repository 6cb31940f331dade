/** Times, sizes and counts in words. Pure: the caller says what time it is. */

/** `0.4 s`, `4 s`, `1 m 20 s`, `2 h 5 m`. */
export function duration(ms: number): string {
  const clamped = Math.max(0, ms);
  if (clamped < 950) return `${(clamped / 1000).toFixed(1)} s`;
  const seconds = Math.round(clamped / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} m` : `${minutes} m ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} m`;
}

/** Milliseconds between two RFC 3339 times. */
export function between(from: string, to: string): number {
  return Date.parse(to) - Date.parse(from);
}

/** `now`, `4 m`, `3 h`, `2 d`, then the date. For lists. */
export function age(at: string, now: number): string {
  const minutes = Math.floor((now - Date.parse(at)) / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} m`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h`;
  if (minutes < 7 * 24 * 60) return `${Math.floor(minutes / (24 * 60))} d`;
  return new Date(at).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}

/** `just now`, `4 m ago`, `on 12 Nov`. For sentences. */
export function ago(at: string, now: number): string {
  const words = age(at, now);
  if (words === "now") return "just now";
  return / [mhd]$/.test(words) ? `${words} ago` : `on ${words}`;
}

/** `in 4 m`, `in 3 h`, `in 2 d`; `over` for what is past. */
export function ahead(at: string, now: number): string {
  const minutes = Math.ceil((Date.parse(at) - now) / 60_000);
  if (minutes <= 0) return "over";
  if (minutes < 60) return `in ${minutes} m`;
  if (minutes < 48 * 60) return `in ${Math.round(minutes / 60)} h`;
  return `in ${Math.round(minutes / (24 * 60))} d`;
}

/** `12 Nov 2026`. */
export function day(at: string): string {
  return new Date(at).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
}

/** `09:12`, and the date before it when that is not today. */
export function clock(at: string, now: number): string {
  const date = new Date(at);
  const time = date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  if (date.toDateString() === new Date(now).toDateString()) return time;
  return `${date.toLocaleDateString(undefined, { day: "numeric", month: "short" })}, ${time}`;
}

/** `940`, `12.4k`, `1.2M`. */
export function count(n: number): string {
  if (n < 1000) return String(n);
  if (n < 1_000_000) return `${(n / 1000).toFixed(n < 10_000 ? 1 : 0)}k`;
  return `${(n / 1_000_000).toFixed(1)}M`;
}

/** `1 file`, `2 files`. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** The last part of a repository's address, without `.git`. */
export function repoName(url: string): string {
  const name = url.replace(/\/+$/, "").split("/").pop() ?? url;
  return name.replace(/\.git$/, "") || url;
}

/** A path inside the workspace, without the sandbox's prefix. */
export function workspacePath(path: string): string {
  return path.replace(/^\/workspace\/?/, "") || path;
}
