/**
 * A WebSocket that comes back by itself: dials, notices silence, backs off with jitter, listens to hints of the browser
 * (online, visible again). Knows no frames and no React; positions are the business of whoever builds the address.
 */

/** Where the connection stands. */
export type LinkState =
  | { readonly kind: "connecting" }
  | { readonly kind: "open" }
  | { readonly kind: "offline"; readonly since: number; readonly attempt: number }
  | { readonly kind: "closed"; readonly code: number };

/** Close codes after which dialling again would only repeat the refusal (close.rs). */
const FINAL = new Set([4400, 4401, 4404, 4409, 4410, 4413, 4426]);
/** The server cut this page off because it read too slowly: it is to dial again and catch up. */
const OVERLOADED = 4429;
const OVERLOADED_JITTER_MS = 300;
const PING_EVERY_MS = 20_000;
const ANSWER_WITHIN_MS = 8_000;
const HINT_ANSWER_WITHIN_MS = 3_000;
const DIAL_WITHIN_MS = 15_000;
const BACKOFF_FIRST_MS = 400;
const BACKOFF_MOST_MS = 15_000;

/** What is used of a browser's WebSocket. */
export interface SocketLike {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  send(data: string): void;
  close(code?: number): void;
}

/** What the owner of a socket decides and learns. */
export interface LiveSocketOptions {
  /** The address of the next dial, with the position to resume from. */
  readonly url: () => string;
  /** A frame that is not a pong. */
  readonly onFrame: (text: string) => void;
  /** The connection changed. */
  readonly onState: (state: LinkState) => void;
  /** A dial failed before it opened: the browser hides why, so ask by REST. Answers a final close code, if it is one. */
  readonly diagnose?: () => Promise<number | undefined>;
  /** Makes the socket; the browser's own unless a test says otherwise. */
  readonly dial?: (url: string) => SocketLike;
  /** For jitter; 0 ≤ x < 1. */
  readonly random?: () => number;
}

type Timer = ReturnType<typeof setTimeout>;

/** How long to wait before dial number `attempt` (from 1): doubling, capped, half of it random. */
export function backoff(attempt: number, random: number): number {
  const whole = Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt - 1, 10));
  return Math.round(whole / 2 + (whole / 2) * random);
}

/** See the head of the file. */
export class LiveSocket {
  private readonly options: LiveSocketOptions;
  private socket: SocketLike | null = null;
  private attempt = 0;
  private lostAt: number | null = null;
  private redial: Timer | undefined;
  private pinger: Timer | undefined;
  private verdict: Timer | undefined;
  private running = false;
  private state: LinkState = { kind: "connecting" };

  constructor(options: LiveSocketOptions) {
    this.options = options;
  }

  /** Begins; fine when it has begun. */
  start(): void {
    if (this.running) return;
    this.running = true;
    this.attempt = 0;
    this.lostAt = null;
    if (typeof window !== "undefined") {
      window.addEventListener("online", this.hint);
      window.addEventListener("offline", this.hint);
      document.addEventListener("visibilitychange", this.hint);
    }
    this.dial();
  }

  /** Ends for good, until the next start. */
  stop(): void {
    if (!this.running) return;
    this.running = false;
    if (typeof window !== "undefined") {
      window.removeEventListener("online", this.hint);
      window.removeEventListener("offline", this.hint);
      document.removeEventListener("visibilitychange", this.hint);
    }
    this.clearTimers();
    this.drop(1000);
  }

  /** Sends when open; says whether it did. */
  send(text: string): boolean {
    if (this.state.kind !== "open" || !this.socket) return false;
    this.socket.send(text);
    return true;
  }

  /** Dials anew at once: the person asked, or what arrived does not fit together. */
  reconnect(): void {
    if (!this.running) return;
    this.drop(1000);
    this.dial();
  }

  private readonly hint = (): void => {
    if (document.visibilityState === "hidden") return;
    if (this.state.kind === "offline") this.reconnect();
    // "offline" says nothing about a Worker on this machine: believe the socket, but ask it now.
    else if (this.state.kind === "open") this.probe(HINT_ANSWER_WITHIN_MS);
  };

  private dial(): void {
    this.clearTimers();
    if (this.lostAt === null) this.become({ kind: "connecting" });
    const make = this.options.dial ?? ((url: string): SocketLike => new WebSocket(url));
    const socket = make(this.options.url());
    this.socket = socket;
    let opened = false;
    this.verdict = setTimeout(() => {
      if (socket === this.socket) this.lost(false);
    }, DIAL_WITHIN_MS);
    socket.onopen = () => {
      if (socket !== this.socket) return;
      opened = true;
      this.opened();
    };
    socket.onmessage = (event) => {
      if (socket === this.socket) this.received(event.data);
    };
    socket.onclose = (event) => {
      if (socket !== this.socket) return;
      if (FINAL.has(event.code)) this.end(event.code);
      // After frames have come; a door that is closed in one's face is an ordinary loss.
      else if (event.code === OVERLOADED && opened && this.attempt === 0) this.again();
      else this.lost(!opened);
    };
  }

  private opened(): void {
    clearTimeout(this.verdict);
    this.verdict = undefined;
    this.pinger = setInterval(() => this.probe(ANSWER_WITHIN_MS), PING_EVERY_MS);
    this.become({ kind: "open" });
  }

  private received(data: unknown): void {
    clearTimeout(this.verdict);
    this.verdict = undefined;
    this.attempt = 0;
    this.lostAt = null;
    if (typeof data === "string" && data !== "pong") this.options.onFrame(data);
  }

  private probe(within: number): void {
    if (this.verdict !== undefined || !this.socket) return;
    this.socket.send("ping");
    this.verdict = setTimeout(() => this.lost(false), within);
  }

  private lost(ask: boolean): void {
    this.clearTimers();
    this.drop(1000);
    if (!this.running) return;
    this.attempt += 1;
    this.lostAt ??= Date.now();
    this.become({ kind: "offline", since: this.lostAt, attempt: this.attempt });
    const wait = backoff(this.attempt, (this.options.random ?? Math.random)());
    this.redial = setTimeout(() => this.dial(), wait);
    if (ask) void this.askWhy();
  }

  /** Dials again at once, spread a little, as all who were cut off do. */
  private again(): void {
    this.clearTimers();
    this.drop(1000);
    this.become({ kind: "connecting" });
    this.attempt = 1;
    this.redial = setTimeout(() => this.dial(), (this.options.random ?? Math.random)() * OVERLOADED_JITTER_MS);
  }

  private async askWhy(): Promise<void> {
    const code = await this.options.diagnose?.();
    if (code !== undefined && this.running && this.state.kind !== "open") this.end(code);
  }

  private end(code: number): void {
    this.clearTimers();
    this.drop(1000);
    this.become({ kind: "closed", code });
  }

  private drop(code: number): void {
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close(code);
  }

  private clearTimers(): void {
    clearTimeout(this.redial);
    clearInterval(this.pinger);
    clearTimeout(this.verdict);
    this.redial = this.pinger = this.verdict = undefined;
  }

  private become(state: LinkState): void {
    this.state = state;
    this.options.onState(state);
  }
}

/** The address of a WebSocket of this origin. */
export function socketUrl(path: string): string {
  const { protocol, host } = window.location;
  return `${protocol === "https:" ? "wss" : "ws"}://${host}${path}`;
}
