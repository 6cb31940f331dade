/**
 * What a person sees in the terminal: one updating line per long step on a TTY, plain lines elsewhere, and one
 * clear sentence when something cannot go on.
 */

/** A failure whose message is meant for the person who started the command; no stack is printed for it. */
export class Sentence extends Error {
  /** `detail` is the failing program's own output, printed above the sentence. */
  constructor(message, detail = '') {
    super(message);
    this.name = 'Sentence';
    this.detail = detail;
  }
}

const tty = process.stdout.isTTY === true;
const HEARTBEAT_MS = 15_000;

/** Seconds since `start`, as a short text. */
export function elapsed(start) {
  const seconds = (Date.now() - start) / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** One plain line. */
export function say(line) {
  process.stdout.write(`${line}\n`);
}

/** One line that asks for attention without stopping anything. */
export function warn(line) {
  process.stdout.write(`! ${line}\n`);
}

/**
 * Runs `work(progress)` as a named step. `progress(text)` shows what it is doing at the moment; the step's time
 * is printed when it ends. Returns what `work` returns; `failed(result)` tells a result that is a failure.
 */
export async function step(name, work, failed = () => false) {
  const start = Date.now();
  let detail = '';
  const paint = () => {
    const line = `  ${name} … ${elapsed(start)}  ${detail}`;
    process.stdout.write(`\r\x1b[2K${line.slice(0, (process.stdout.columns || 100) - 1)}`);
  };
  if (!tty) say(`  ${name} …`);
  const timer = tty
    ? setInterval(paint, 200)
    : setInterval(() => say(`  ${name} … ${elapsed(start)}  ${detail}`), HEARTBEAT_MS);
  try {
    const result = await work((text) => {
      detail = text.trim();
    });
    finish(failed(result) ? '✗' : '✓', name, start);
    return result;
  } catch (error) {
    finish('✗', name, start);
    throw error;
  } finally {
    clearInterval(timer);
  }
}

function finish(mark, name, start) {
  process.stdout.write(`${tty ? '\r\x1b[2K' : ''}${mark} ${name} (${elapsed(start)})\n`);
}

/** Prints a failure the way a person can use it. */
export function report(error) {
  if (error instanceof Sentence) {
    if (error.detail) process.stderr.write(`${error.detail.trimEnd()}\n\n`);
    process.stderr.write(`errand: ${error.message}\n`);
  } else {
    process.stderr.write(`errand: ${error?.stack ?? error}\n`);
  }
}
