/** A person's view of a session: the WebSocket, everything that came over it, and waiting for what should come. */
import assert from 'node:assert/strict';

import { WebSocket } from 'ws';

import { newId } from './ids.mjs';
import { PATIENCE } from './programs.mjs';

export class Viewer {
  #address;
  #socket;
  #checks = new Set();
  /** All frames in the order in which they came, over all connections. */
  frames = [];
  /** The log as far as it came. */
  events = [];
  /** The session's summary as last told. */
  session = null;

  /** `address(after)` gives `{url, headers}`. */
  constructor(address) {
    this.#address = address;
  }

  /** Connects, after `after` when given, and resolves with `hello`. */
  async open(after) {
    const { url, headers } = this.#address(after);
    const from = this.frames.length;
    const socket = new WebSocket(url, { headers });
    this.#socket = socket;
    socket.on('message', (data) => this.#take(JSON.parse(data.toString())));
    socket.on('error', (error) => {
      this.failure = error;
    });
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        resolve({ code, reason: reason.toString() });
        this.#wake();
      });
    });
    this.hello = await this.until(() => {
      if (socket.readyState === WebSocket.CLOSED) throw this.failure ?? new Error('the socket was closed');
      return this.frames.slice(from).find((frame) => frame.type === 'hello');
    }, 'hello');
    return this.hello;
  }

  /** Connects again after the last event that came. */
  async resume() {
    this.close();
    return this.open(this.events.at(-1)?.seq ?? 0);
  }

  /** Resolves with what `probe(this)` returns once that is truthy; it is asked after every frame. */
  until(probe, what) {
    return new Promise((resolve, reject) => {
      const settle = (act, value) => {
        clearTimeout(timer);
        this.#checks.delete(check);
        act(value);
      };
      const check = () => {
        try {
          const found = probe(this);
          if (found) settle(resolve, found);
        } catch (error) {
          settle(reject, error);
        }
      };
      const timer = setTimeout(() => {
        const last = this.frames.slice(-6).map((frame) => JSON.stringify(frame).slice(0, 300));
        settle(reject, new Error(`never came: ${what}; the last frames:\n${last.join('\n')}`));
      }, PATIENCE);
      this.#checks.add(check);
      check();
    });
  }

  /** The first event, of those that came and those to come, for which `wanted` holds. */
  event(wanted, what = String(wanted)) {
    return this.until(() => this.events.find(wanted), what);
  }

  /** Resolves when the session's summary satisfies `wanted`. */
  untilSession(wanted, what = String(wanted)) {
    return this.until(() => this.session && wanted(this.session) && this.session, what);
  }

  /** The end of a turn: by its id, or by its prompt's. */
  finished({ turnId, promptId }) {
    return this.event(
      (event) => event.type === 'turn.finished' && (event.turnId === turnId || event.promptId === promptId),
      `the end of ${turnId ?? promptId}`,
    );
  }

  /** Sends a command and resolves with its `ack` or `reject`. */
  async command(command) {
    const id = newId('cmd');
    this.#socket.send(JSON.stringify({ id, ...command }));
    return this.until(() => this.frames.find((frame) => ['ack', 'reject'].includes(frame.type) && frame.id === id), `the answer to ${command.type}`);
  }

  send(text) {
    this.#socket.send(text);
  }

  close() {
    this.#socket?.close();
  }

  #take(frame) {
    this.frames.push(frame);
    if (frame.type === 'check') this.#socket.send(`seen ${frame.sent}`);
    if (frame.type === 'hello' || frame.type === 'session') this.session = frame.session;
    const news = frame.type === 'event' ? [frame.event] : frame.type === 'events' ? frame.events : [];
    for (const event of news) {
      const last = this.events.at(-1);
      if (last) assert.equal(event.seq, last.seq + 1, 'events come without gaps and repetitions');
      this.events.push(event);
    }
    this.#wake();
  }

  #wake() {
    for (const check of [...this.#checks]) check();
  }
}
