/**
 * A viewer that never gives up: it dials again whenever its connection is lost or silent, resumes after the last event
 * that it has, and fills gaps by pages. It folds the frames as the web client does, keeps the log as it came, and notes
 * what must not happen.
 */
import { WebSocket } from 'ws';

import { INITIAL, prepend, reduce } from './client-fold.mjs';
import { pause } from './installation.mjs';

const PING_MS = 2000;
const SILENT_MS = 6000;
const AGAIN_MS = 200;

export class SteadyViewer {
  events = [];
  problems = [];
  session = null;
  /** Finished parts that have less text than was shown of them before: `{part, turnId, shown, kept}`. */
  cuts = [];
  /** Text of open parts as far as it was shown. */
  #written = new Map();
  /** The client's state; see `shown`. */
  #state = INITIAL;
  #checks = new Set();
  #over = false;
  #socket = null;

  /** `person` gives address and requests. */
  constructor(person) {
    this.person = person;
    this.done = this.#live();
  }

  get head() {
    return this.events.at(-1)?.seq ?? 0;
  }

  /** What a page would show, with everything older scrolled into view. */
  get shown() {
    return prepend(this.#state, this.events.filter(({ seq }) => seq < this.#state.firstSeq)).fold;
  }

  /** Resolves with what `probe()` returns once that is truthy; asked after every frame. */
  until(probe) {
    return new Promise((resolve, reject) => {
      const check = () => {
        if (this.#over) return reject(new Error('the viewer was closed'));
        const found = probe();
        if (!found) return;
        this.#checks.delete(check);
        resolve(found);
      };
      this.#checks.add(check);
      check();
    });
  }

  /** Loses its connection, as a phone in a tunnel does. */
  drop() {
    this.#socket?.terminate();
  }

  async close() {
    this.#over = true;
    this.#socket?.terminate();
    for (const check of [...this.#checks]) check();
    await this.done;
  }

  async #live() {
    while (!this.#over) {
      await this.#connection();
      if (!this.#over) await pause(AGAIN_MS);
    }
  }

  /** One connection, to its end. */
  #connection() {
    const { url, token, path } = this.person;
    const address = `${url.replace('http', 'ws')}${path}/ws?after=${this.head}`;
    const socket = new WebSocket(address, { headers: { authorization: `Bearer ${token}` }, handshakeTimeout: SILENT_MS });
    this.#socket = socket;
    let heard = Date.now();
    const pulse = setInterval(() => {
      if (Date.now() - heard > SILENT_MS) socket.terminate();
      else if (socket.readyState === WebSocket.OPEN) socket.send('ping');
    }, PING_MS);
    let inOrder = Promise.resolve();
    socket.on('message', (data) => {
      heard = Date.now();
      const text = data.toString();
      if (text !== 'pong') inOrder = inOrder.then(() => this.#take(socket, JSON.parse(text)));
    });
    socket.on('error', () => {});
    return new Promise((resolve) => {
      socket.on('close', () => {
        clearInterval(pulse);
        inOrder.then(resolve);
      });
    });
  }

  async #take(socket, frame) {
    if (frame.type === 'hello' || frame.type === 'session') this.session = frame.session;
    if (frame.type === 'hello' && frame.firstSeq > this.head + 1) await this.#fill(frame.firstSeq);
    if (frame.type === 'check') return socket.send(`seen ${frame.sent}`);
    if (frame.type === 'ack' || frame.type === 'reject') return;
    if (frame.type === 'hello') for (const { part } of frame.openParts) this.#write(part.id, 0, part.text ?? part.output ?? '');
    if (frame.type === 'delta') this.#write(frame.partId, frame.offset, frame.text, frame.reset);
    this.#state = reduce(this.#state, [frame]);
    if (this.#state.broken) this.problems.push({ kind: 'lost', what: `a gap after ${this.#state.lastSeq} while connected` });
    const news = frame.type === 'event' ? [frame.event] : frame.type === 'events' ? frame.events : [];
    for (const event of news) this.#append(event);
    for (const check of [...this.#checks]) check();
  }

  #write(id, offset, text, reset) {
    const before = reset ? '' : (this.#written.get(id) ?? '');
    if (offset + text.length > before.length && offset <= before.length) this.#written.set(id, before.slice(0, offset) + text);
    else if (reset) this.#written.set(id, text);
  }

  /** What was shown of a part must be in it when it is finished. */
  #compare({ part, turnId }) {
    const shown = this.#written.get(part.id)?.trimEnd() ?? '';
    const kept = part.text ?? part.output ?? '';
    this.#written.delete(part.id);
    if (!kept.startsWith(shown)) this.cuts.push({ part: part.id, turnId, shown: shown.slice(-200), kept: kept.slice(-200) });
  }

  async #fill(end) {
    while (this.head < end - 1 && !this.#over) {
      const page = await this.person.insist(`${this.person.path}/events?after=${this.head}&limit=200`);
      for (const event of page.events) if (event.seq < end) this.#append(event);
    }
  }

  #append(event) {
    if (event.type === 'part.finished') this.#compare(event);
    if (event.seq === this.head + 1) this.events.push(event);
    else if (event.seq > this.head) this.problems.push({ kind: 'lost', what: `a viewer got ${event.seq} after ${this.head}` });
    else this.problems.push({ kind: 'duplicated', what: `a viewer got ${event.seq} again after ${this.head}` });
  }
}
