/** A viewer of a real session, as a person's page is one. */
import WebSocket from 'ws';

const PATIENCE_MS = 120_000;

/** A viewer that waits for what a person would see next. */
export class Following {
  constructor(api, session) {
    this.waiting = new Map();
    this.head = Infinity;
    this.attached = this.when('hello');
    this.socket = new WebSocket(api.socketUrl(session), ['errand', `bearer.${api.token}`]);
    this.socket.on('message', (data) => this.frame(JSON.parse(data))).on('error', (error) => this.fail(error));
  }

  frame(frame) {
    if (frame.type === 'hello') this.head = frame.headSeq;
    if (frame.type === 'events') for (const event of frame.events) this.event(event);
    else if (frame.type === 'event') this.event(frame.event);
    else if (frame.type === 'check') this.socket.send(`seen ${frame.sent}`);
    else this.tell(frame.type);
  }

  event(event) {
    this.onEvent?.(event);
    if (event.seq > this.head) this.tell(event.type, event); // What was there before nobody waits for.
    if (event.type === 'session.phase' && event.phase === 'error') this.fail(new Error(`the session failed: ${event.cause?.message}`));
  }

  when(what) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${what} within ${PATIENCE_MS / 1000} s`)), PATIENCE_MS);
      this.waiting.set(what, { resolve, reject, timer });
    });
  }

  tell(what, with_) {
    const waiter = this.waiting.get(what);
    if (!waiter) return;
    clearTimeout(waiter.timer);
    this.waiting.delete(what);
    waiter.resolve(with_);
  }

  fail(error) {
    for (const waiter of this.waiting.values()) {
      clearTimeout(waiter.timer);
      waiter.reject(error);
    }
    this.waiting.clear();
  }

  /** Time of the next delta. */
  async delta() {
    await this.when('delta');
    return Date.now();
  }

  async turnEnd() {
    const event = await this.when('turn.finished');
    if (event.outcome !== 'done') throw new Error(`the turn ${event.outcome}: ${event.cause?.message}`);
  }

  close() {
    this.socket.close();
  }
}
