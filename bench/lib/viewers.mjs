/**
 * Viewers: sockets that read what is relayed and check that it is complete. Every viewer checks that each delta
 * continues the last; the first also compares the text. Cheap on purpose: what we spend, the Worker cannot have.
 */
import { EventEmitter, once } from 'node:events';

import WebSocket from 'ws';

/** How a delta frame begins when its fields come in the protocol's order; others are parsed as JSON. */
const DELTA = /^\{"type":"delta","partId":"([^"\\]+)","offset":(\d+),"text":"/;
const HEAD_BYTES = 160;

export class Viewer {
  /** `source` is the [`Numbered`] stream that it should see. */
  constructor(url, protocols, source, check) {
    this.source = source;
    this.check = check;
    this.received = 0;
    this.part = null;
    this.have = 0;
    this.text = '';
    this.socket = new WebSocket(url, protocols, { perMessageDeflate: false, skipUTF8Validation: true });
    this.socket.on('message', (data) => this.message(data));
    this.socket.on('error', (error) => source.fail(error));
    this.socket.on('close', (code, reason) => source.closing || source.fail(new Error(`a viewer was closed: ${code} ${reason}`)));
  }

  message(data) {
    const head = data.latin1Slice(0, Math.min(data.length, HEAD_BYTES));
    if (head.startsWith('{"type":"check"')) this.socket.send(`seen ${JSON.parse(data).sent}`);
    if (!head.startsWith('{"type":"delta"')) return;
    const match = DELTA.exec(head);
    if (match && !this.check) return this.delta(match[1], Number(match[2]), data.length - match[0].length - 2);
    const { partId, offset, text } = JSON.parse(data);
    this.delta(partId, offset, text.length);
    this.text += text;
  }

  delta(partId, offset, length) {
    if (partId !== this.part) {
      this.endOfPart();
      this.part = partId;
      this.have = 0;
    }
    if (offset !== this.have) this.source.fail(new Error(`${partId}: a delta at ${offset}, not at ${this.have}`));
    this.have += length;
    this.source.arrived(this, length);
  }

  endOfPart() {
    if (this.check && this.part) this.source.verify(this.part, this.text);
    this.text = '';
  }
}

/** Connects `count` viewers; resolves when each has its first frame (or is open, where none comes). */
export async function connectViewers({ count, url, protocols, greeted, source }) {
  const viewers = Array.from({ length: count }, (_, i) => new Viewer(url, protocols, source, i === 0));
  await Promise.all(viewers.map((viewer) => once(viewer.socket, greeted ? 'message' : 'open')));
  return viewers;
}

/** A stream of numbered deltas: what each delta says, when it was sent, and who has it. */
export class Numbered extends EventEmitter {
  /** `perPart` deltas make a part. */
  constructor(perPart) {
    super();
    this.perPart = perPart;
    this.sent = 0;
    this.sentAt = [];
    this.latencies = null;
    this.viewers = [];
  }

  /** Text of delta `number`: as long as what a model streams at once. */
  text(number) {
    return `${String(number).padStart(9, '0')} of a streamed text.  `;
  }

  get width() {
    return this.text(0).length;
  }

  partId(part) {
    return `prt_bench${part}`;
  }

  /** The text of a whole part, or of its first `count` deltas. */
  partText(part, count = this.perPart) {
    return Array.from({ length: count }, (_, i) => this.text(part * this.perPart + i)).join('');
  }

  /** A viewer has `length` characters more. */
  arrived(viewer, length) {
    const deltas = length / this.width;
    if (this.latencies) {
      const now = performance.now();
      for (let i = 0; i < deltas; i += 1) this.latencies.push(now - this.sentAt[viewer.received + i]);
    }
    viewer.received += deltas;
    if (viewer.received >= this.sent) this.emit('all');
  }

  verify(partId, text) {
    const part = Number(partId.slice('prt_bench'.length));
    if (text !== this.partText(part, text.length / this.width)) this.fail(new Error(`${partId} arrived with another text`));
  }

  /** How many deltas the slowest viewer has. */
  get least() {
    return this.viewers.reduce((least, viewer) => Math.min(least, viewer.received), Infinity);
  }

  fail(error) {
    this.failure ??= error;
    this.emit('all');
  }

  /** Until every viewer has everything that was sent; fails when nothing arrives for `patienceMs`. */
  async delivered(patienceMs = 15_000) {
    for (let before = -1; this.least < this.sent && !this.failure; ) {
      const all = await once(this, 'all', { signal: AbortSignal.timeout(patienceMs) }).catch(() => null);
      if (!all && this.least === before) {
        throw new Error(`only ${this.least} of ${this.sent} deltas arrived at every viewer`);
      }
      before = this.least;
    }
    for (const viewer of this.viewers) if (viewer.check) this.verify(viewer.part, viewer.text);
    if (this.failure) throw this.failure;
  }
}
