/**
 * One session as this page has it: the socket's frames folded into a state, commands with their outcomes, older pages.
 * Orchestrates; what frames mean is the reducer's business, how it looks the components'. No React.
 */
import { prepend, INITIAL, reduce, trim, type SessionState, type StateFrame } from "@/features/session/reducer";
import { ApiError, call, messageOf } from "@/lib/api";
import { newId } from "@/lib/ids";
import { LiveSocket, socketUrl, type LinkState, type SocketLike } from "@/lib/live-socket";
import { keep, kept } from "@/lib/storage";
import { Store } from "@/lib/store";
import type { ClientFrame } from "@/protocol/ClientFrame";
import type { Command } from "@/protocol/Command";
import type { EventPage } from "@/protocol/EventPage";
import type { ServerFrame } from "@/protocol/ServerFrame";
import type { Session } from "@/protocol/Session";

/** The protocol that this client speaks (lib.rs, PROTOCOL_VERSION). */
const PROTOCOL = 1;
/** Events in one older page. */
const PAGE = 100;
const PROTOCOL_MISMATCH = 4426;

/** A command without its answer yet, or refused and not yet dismissed. */
export interface Sent {
  readonly frame: ClientFrame;
  readonly at: number;
  /** Why it was refused. */
  readonly refused?: string;
}

/** Whether older events are on their way. */
export type Older = "idle" | "loading" | "failed";

/** All that the page shows. */
export interface SessionSnapshot {
  readonly state: SessionState;
  readonly link: LinkState;
  readonly outbox: readonly Sent[];
  readonly older: Older;
}

/** What a test puts in place of the browser. */
export interface StoreDeps {
  readonly dial?: (url: string) => SocketLike;
  readonly url?: (path: string) => string;
  readonly fetchPage?: (path: string) => Promise<EventPage>;
  /** Runs `flush` when the next frame is painted. */
  readonly schedule?: (flush: () => void) => void;
  /** Whether nobody can see the page: then nothing waits for a painted frame. */
  readonly hidden?: () => boolean;
}

const BLANK: SessionSnapshot = { state: INITIAL, link: { kind: "connecting" }, outbox: [], older: "idle" };

/** See the head of the file. */
export class SessionStore {
  readonly snapshot = new Store<SessionSnapshot>(BLANK);
  readonly id: string;
  private readonly deps: StoreDeps;
  private readonly socket: LiveSocket;
  private inbox: ServerFrame[] = [];
  private scheduled = false;
  private users = 0;
  private atEnd = true;

  constructor(id: string, deps: StoreDeps = {}) {
    this.id = id;
    this.deps = deps;
    this.socket = new LiveSocket({
      url: () => this.url(),
      onFrame: (text) => this.receive(text),
      onState: (link) => this.linked(link),
      diagnose: () => this.diagnose(),
      ...(deps.dial ? { dial: deps.dial } : {}),
    });
    this.patch({ outbox: this.restoreOutbox() });
  }

  /** Somebody looks; the answer says that they have stopped. The last one to stop closes the socket. */
  readonly watch = (): (() => void) => {
    this.users += 1;
    if (this.users === 1) this.socket.start();
    return () => {
      this.users -= 1;
      if (this.users === 0) this.socket.stop();
    };
  };

  /** Dials again at once. */
  readonly reconnect = (): void => this.socket.reconnect();

  /** Sends a command; it stays in the outbox, and is sent again after a reconnect, until it is answered. */
  readonly send = (command: Command): void => {
    const { outbox } = this.snapshot.get();
    if (repeats(outbox.at(-1), command)) return;
    const frame: ClientFrame = { id: newId("cmd"), ...command };
    this.setOutbox([...outbox, { frame, at: Date.now() }]);
    this.socket.send(JSON.stringify(frame));
  };

  /** Forgets a refused command. */
  readonly dismiss = (commandId: string): void => {
    this.setOutbox(this.snapshot.get().outbox.filter((sent) => sent.frame.id !== commandId));
  };

  /** Fetches the page before what is here. */
  readonly loadOlder = async (): Promise<void> => {
    const { state, older } = this.snapshot.get();
    if (older === "loading" || state.firstSeq <= 1) return;
    this.patch({ older: "loading" });
    const path = `/api/sessions/${this.id}/events?before=${state.firstSeq}&limit=${PAGE}`;
    try {
      const page = await (this.deps.fetchPage ?? ((url: string) => call<EventPage>("GET", url)))(path);
      this.patch({ state: prepend(this.snapshot.get().state, page.events), older: "idle" });
    } catch {
      this.patch({ older: "failed" });
    }
  };

  /** Whether the reader is at the end: only then may the oldest events be forgotten. */
  readonly readerAtEnd = (is: boolean): void => {
    this.atEnd = is;
    const { state } = this.snapshot.get();
    if (is) this.patch({ state: trim(state) });
  };

  private url(): string {
    const { session, lastSeq } = this.snapshot.get().state;
    const path = `/api/sessions/${this.id}/ws${session ? `?after=${lastSeq}` : ""}`;
    return (this.deps.url ?? socketUrl)(path);
  }

  private async diagnose(): Promise<number | undefined> {
    try {
      await call<Session>("GET", `/api/sessions/${this.id}`);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return 4401;
      if (error instanceof ApiError && error.status === 404) return 4404;
    }
    return undefined;
  }

  private linked(link: LinkState): void {
    // What only that connection meant is void: its deltas, and its questions how far this page has read.
    if (link.kind !== "open") this.inbox = this.inbox.filter((frame) => frame.type !== "delta" && frame.type !== "check");
    this.patch({ link });
    if (link.kind !== "open") return;
    for (const sent of this.snapshot.get().outbox) {
      if (sent.refused === undefined) this.socket.send(JSON.stringify(sent.frame));
    }
  }

  private receive(text: string): void {
    let frame: ServerFrame;
    try {
      frame = JSON.parse(text) as ServerFrame;
    } catch {
      return this.socket.reconnect();
    }
    if (frame.type === "hello" && frame.protocol !== PROTOCOL) {
      this.socket.stop();
      return this.patch({ link: { kind: "closed", code: PROTOCOL_MISMATCH } });
    }
    this.inbox.push(frame);
    // A page out of sight is painted seldom or never; what the server waits for is folded at once.
    if (frame.type === "check" && (this.deps.hidden ?? outOfSight)()) return this.flush();
    if (this.scheduled) return;
    this.scheduled = true;
    (this.deps.schedule ?? onNextPaint)(this.flush);
  }

  /** Folds all that came since the last time: one new state for one painted frame. */
  private readonly flush = (): void => {
    this.scheduled = false;
    const frames = this.inbox;
    if (frames.length === 0) return;
    this.inbox = [];
    const about: StateFrame[] = [];
    let read: number | undefined;
    let outbox = this.snapshot.get().outbox;
    for (const frame of frames) {
      if (frame.type === "ack") outbox = outbox.filter((sent) => sent.frame.id !== frame.id);
      else if (frame.type === "reject") outbox = outbox.map((sent) => refuse(sent, frame));
      else if (frame.type === "check") read = frame.sent;
      else about.push(frame);
    }
    const folded = reduce(this.snapshot.get().state, about);
    const state = this.atEnd ? trim(folded) : folded;
    this.patch({ state });
    // All that came before the question is in the state now; the last answer holds for earlier questions too.
    if (read !== undefined) this.socket.send(`seen ${read}`);
    if (outbox !== this.snapshot.get().outbox) this.setOutbox(outbox);
    if (state.broken) this.socket.reconnect();
  };

  private patch(change: Partial<SessionSnapshot>): void {
    this.snapshot.set({ ...this.snapshot.get(), ...change });
  }

  private get outboxKey(): string {
    return `errand.outbox.${this.id}`;
  }

  private setOutbox(outbox: readonly Sent[]): void {
    this.patch({ outbox });
    const prompts = outbox.filter((sent) => sent.frame.type === "prompt");
    keep(this.outboxKey, prompts.length === 0 ? null : JSON.stringify(prompts));
  }

  /** Prompts that were sent and not answered before the page was reloaded: their ids make repeating harmless. */
  private restoreOutbox(): readonly Sent[] {
    const text = kept(this.outboxKey);
    if (text === null) return [];
    try {
      return JSON.parse(text) as Sent[];
    } catch (error) {
      console.warn(`the kept prompts of ${this.id} cannot be read: ${messageOf(error)}`);
      return [];
    }
  }
}

/** A button was pressed twice: the same is asked again while the answer is on its way. */
function repeats(last: Sent | undefined, command: Command): boolean {
  if (!last || last.refused !== undefined) return false;
  const { id: _id, ...asked } = last.frame;
  return JSON.stringify(asked) === JSON.stringify(command);
}

function refuse(sent: Sent, frame: Extract<ServerFrame, { type: "reject" }>): Sent {
  return sent.frame.id === frame.id ? { ...sent, refused: frame.message } : sent;
}

function outOfSight(): boolean {
  return typeof document !== "undefined" && document.visibilityState === "hidden";
}

function onNextPaint(flush: () => void): void {
  if (!outOfSight()) requestAnimationFrame(flush);
  else setTimeout(flush, 250);
}
