/**
 * A TCP proxy whose connections can be disturbed: cut, held up, slowed down, or left open towards one end only.
 * It knows connections by what their first bytes ask for (`kindOf`), so that one kind can be hit alone.
 */
import net from 'node:net';

/** What the first line of a request says about its connection. */
const KINDS = [
  ['runner', /^GET \/runner\//],
  ['llm', /^POST \/llm\//],
  ['viewer', /^GET \/api\/sessions\/[^/]+\/ws/],
];

/** Bytes per second and direction of a slow connection, and what each piece waits at least. */
const SLOW_RATE = 20_000;
const SLOW_WAIT_MS = 120;

/** The kind of a connection by the beginning of its request, and the session that its path names. */
export function kindOf(head) {
  const [kind] = KINDS.find(([, pattern]) => pattern.test(head)) ?? ['http'];
  return { kind, session: head.match(/^\S+ \/\S*(ses_[A-Z0-9]+)/)?.[1] };
}

export class Proxy {
  #server;
  #links = new Set();
  /** The disturbances in progress: `{mode, wanted(link)}`. */
  #rules = new Set();

  /** Listens on a free port and passes on to `target`. */
  static async to(target) {
    const proxy = new Proxy();
    proxy.target = target;
    proxy.#server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (near) => proxy.#accept(near));
    await new Promise((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    proxy.port = proxy.#server.address().port;
    return proxy;
  }

  /** Connections that are open now. */
  get links() {
    return [...this.#links];
  }

  /**
   * Disturbs the connections for which `wanted` holds, those that come meanwhile too, until `end()` is called:
   *
   * - `cut`: they are reset, new ones as soon as it is known what they are
   * - `stall`: nothing gets through; afterwards all of it does
   * - `slow`: a trickle
   * - `half-open`: whom they lead to sees a reset, who dialled sees nothing at all until the end, then a reset
   * - `ghost`: who dialled sees a reset and may dial again, whom they lead to sees nothing until the end
   *
   * `{hit, end()}`: `hit` is the number of connections that were open.
   */
  disturb(mode, wanted = () => true) {
    const hit = this.links.filter(wanted);
    const rule = { mode, wanted: mode === 'ghost' ? (link) => hit.includes(link) : wanted };
    this.#rules.add(rule);
    for (const link of hit) link.obey(this.#modeOf(link));
    const end = () => {
      this.#rules.delete(rule);
      for (const link of this.links.filter(rule.wanted)) link.obey(this.#modeOf(link));
    };
    return { hit: hit.length, end };
  }

  #modeOf(link) {
    return [...this.#rules].reverse().find((rule) => rule.wanted(link))?.mode ?? 'pass';
  }

  #accept(near) {
    const link = new Link(near, this.target, () => this.#links.delete(link));
    this.#links.add(link);
    near.once('data', (head) => {
      Object.assign(link, kindOf(head.toString('latin1').slice(0, 400)));
      link.dial(head);
      link.obey(this.#modeOf(link));
    });
    near.resume();
  }

  async stop() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const link of this.links) link.reset();
    await closed;
  }
}

/** Modes in which only one end knows that the connection is gone. */
const ONE_ENDED = ['half-open', 'ghost'];

/** One connection: `near` dialled us, `far` is whom we dialled for it. */
class Link {
  mode = 'pass';
  kind = 'unknown';
  session = undefined;
  #pipes = [];

  constructor(near, port, gone) {
    Object.assign(this, { near, port, gone });
    near.once('error', () => this.reset());
    near.once('close', () => this.#closed());
  }

  dial(head) {
    this.far = net.connect({ port: this.port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    this.far.once('error', () => !ONE_ENDED.includes(this.mode) && this.reset());
    this.far.once('close', () => this.#closed());
    this.#pipes = [new Pipe(this, this.near, this.far), new Pipe(this, this.far, this.near)];
    this.#pipes[0].take(head);
  }

  obey(mode) {
    const before = this.mode;
    this.mode = mode;
    if (mode === 'cut' || (ONE_ENDED.includes(before) && mode !== before)) return this.reset();
    if (mode !== before && ONE_ENDED.includes(mode)) (mode === 'ghost' ? this.near : this.far)?.resetAndDestroy();
    for (const pipe of this.#pipes) pipe.move();
  }

  /** Both ends get a reset. */
  reset() {
    for (const socket of [this.near, this.far]) if (socket && !socket.destroyed) socket.resetAndDestroy();
    this.gone();
  }

  #closed() {
    if (ONE_ENDED.includes(this.mode) && (!this.near.destroyed || !this.far?.destroyed)) return;
    if (this.near.destroyed && (!this.far || this.far.destroyed)) this.gone();
    else if (this.near.destroyed) this.reset();
  }
}

const END = Symbol('the end of what one side sends');

/** One direction. What was read goes on in order, when the link's mode lets it. */
class Pipe {
  #queue = [];
  #waiting = false;

  constructor(link, from, to) {
    Object.assign(this, { link, from, to });
    from.on('data', (chunk) => this.take(chunk));
    from.once('end', () => this.take(END));
  }

  take(chunk) {
    this.#queue.push(chunk);
    this.from.pause();
    this.move();
  }

  move() {
    const { mode } = this.link;
    if (this.#waiting || mode === 'stall') return;
    if (ONE_ENDED.includes(mode)) this.#queue = [];
    if (this.#queue.length === 0) return void this.from.resume();
    if (mode === 'slow') return this.#wait(SLOW_WAIT_MS + ((this.#queue[0].length ?? 0) * 1000) / SLOW_RATE);
    this.#write();
    this.move();
  }

  #wait(ms) {
    this.#waiting = true;
    setTimeout(() => {
      this.#waiting = false;
      if (['slow', 'pass'].includes(this.link.mode)) this.#write();
      this.move();
    }, ms);
  }

  #write() {
    const chunk = this.#queue.shift();
    if (chunk === undefined || this.to.destroyed) return;
    if (chunk === END) return void this.to.end();
    if (this.to.write(chunk)) return;
    this.#waiting = true;
    const on = () => {
      this.to.off('drain', on).off('close', on);
      this.#waiting = false;
      this.move();
    };
    this.to.on('drain', on).on('close', on);
  }
}
