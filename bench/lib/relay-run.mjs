/**
 * A stream of numbered deltas through a relay, ours or the bare one: at a steady pace for latency and CPU, or as fast
 * as it goes. Runner and viewers are in this process and share its clock; the relay has its own.
 */
import { connectViewers, Numbered } from './viewers.mjs';

/** The sender never leads the slowest viewer by more: what is measured is the relay, not how much it can buffer. */
const WINDOW = 20_000;
/** For many viewers: frames of a relay that batches nothing take that much more memory. */
const SMALL_WINDOW = 5000;
const MANY = 50;
const BURST = 50;
const BUFFERED_BYTES = 1 << 20;

const soon = () => new Promise((resolve) => setImmediate(resolve));
const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** One relay with its viewers attached. `link` is `{socket, begin(part), end(part, text)}` of the sending side. */
export class RelayRun {
  static async open({ link, viewers, perPart }) {
    const source = new Numbered(perPart);
    source.viewers = await connectViewers({ ...viewers, source });
    return new RelayRun(link, source);
  }

  constructor(link, source) {
    this.link = link;
    this.source = source;
  }

  /** Sends the next delta; begins and ends parts as it goes. */
  next() {
    const { source, link } = this;
    const number = source.sent;
    const part = Math.floor(number / source.perPart);
    const place = number % source.perPart;
    if (place === 0) {
      if (part > 0) link.end(source.partId(part - 1), source.partText(part - 1));
      link.begin(source.partId(part));
    }
    const offset = place * source.width;
    const frame = `{"type":"delta","partId":"${source.partId(part)}","offset":${offset},"text":"${source.text(number)}"}`;
    source.sent += 1;
    source.sentAt[number] = performance.now();
    link.socket.send(frame);
  }

  /** `perSecond` deltas a second for `seconds`; the time from send to arrival of each at each viewer, in ms. */
  async paced(perSecond, seconds) {
    const { source } = this;
    source.latencies = [];
    const start = performance.now();
    const total = Math.round(perSecond * seconds);
    for (let i = 0; i < total; i += 1) {
      const wait = start + (i * 1000) / perSecond - performance.now();
      if (wait > 0) await after(wait);
      if (source.failure) throw source.failure;
      this.next();
    }
    await source.delivered();
    const { latencies } = source;
    source.latencies = null;
    return latencies;
  }

  /** As fast as it goes for `seconds`: how many deltas every viewer got, and how many a second. */
  async flood(seconds) {
    const { source } = this;
    const raw = this.link.socket._socket;
    const window = source.viewers.length < MANY ? WINDOW : SMALL_WINDOW;
    const first = source.sent;
    const start = performance.now();
    let moved = start;
    let least = source.least;
    while (performance.now() - start < seconds * 1000) {
      if (source.failure) throw source.failure;
      if (source.least > least) [least, moved] = [source.least, performance.now()];
      if (performance.now() - moved > 10_000) throw new Error('nothing arrives any more');
      if (source.sent - source.least < window && this.link.socket.bufferedAmount < BUFFERED_BYTES) {
        raw.cork(); // One write for a burst, as a busy runner does.
        for (let i = 0; i < BURST; i += 1) this.next();
        raw.uncork();
      }
      await soon();
    }
    await source.delivered();
    const deltas = source.sent - first;
    return { deltas, rate: deltas / ((performance.now() - start) / 1000) };
  }

  close() {
    this.source.closing = true;
    for (const viewer of this.source.viewers) viewer.socket.close();
  }
}
