import { afterEach, describe, expect, it, vi } from "vitest";
import { event, hello, prompt, turnEvents } from "@/features/session/frames.fixture";
import { SessionStore, type StoreDeps } from "@/features/session/session-store";
import type { SocketLike } from "@/lib/live-socket";
import type { ClientFrame } from "@/protocol/ClientFrame";
import type { ServerFrame } from "@/protocol/ServerFrame";

class Door implements SocketLike {
  onopen: SocketLike["onopen"] = null;
  onmessage: SocketLike["onmessage"] = null;
  onclose: SocketLike["onclose"] = null;
  readonly commands: ClientFrame[] = [];
  readonly texts: string[] = [];
  readonly url: string;
  constructor(url: string) {
    this.url = url;
  }
  send(data: string) {
    if (data.startsWith("{")) this.commands.push(JSON.parse(data) as ClientFrame);
    else if (data !== "ping") this.texts.push(data);
  }
  close() {
    this.onmessage = null;
  }
  open(...frames: ServerFrame[]) {
    this.onopen?.(new Event("open"));
    this.say(...frames);
  }
  shut(code: number) {
    this.onclose?.({ code } as CloseEvent);
  }
  say(...frames: ServerFrame[]) {
    for (const frame of frames) this.onmessage?.(new MessageEvent("message", { data: JSON.stringify(frame) }));
  }
}

let stop = () => {};
afterEach(() => stop());

function begin(pages: Record<string, ReturnType<typeof turnEvents>> = {}, deps: StoreDeps = {}) {
  const doors: Door[] = [];
  const store = new SessionStore("ses_1", {
    dial: (url) => {
      const door = new Door(url);
      doors.push(door);
      return door;
    },
    url: (path) => path,
    fetchPage: (path) => {
      const events = pages[path];
      return events ? Promise.resolve({ events, headSeq: 12 }) : Promise.reject(new Error("no"));
    },
    schedule: (flush) => flush(),
    ...deps,
  });
  stop = store.watch();
  return { store, doors, door: () => doors.at(-1) as Door };
}

describe("a session's store", () => {
  it("dials without a position first, and from the last event afterwards", () => {
    const { store, doors, door } = begin();
    expect(door().url).toBe("/api/sessions/ses_1/ws");
    door().open(hello({ headSeq: 12 }), { type: "events", events: turnEvents() });
    store.reconnect();
    expect(doors[1]?.url).toBe("/api/sessions/ses_1/ws?after=12");
  });

  it("repeats an unanswered command with the same id after a reconnect, and not an answered one", () => {
    const { store, doors, door } = begin();
    door().open(hello());
    store.send({ type: "prompt", promptId: "prm_1", text: "one" });
    store.send({ type: "prompt", promptId: "prm_2", text: "two" });
    const [first, second] = door().commands;
    door().say({ type: "ack", id: first?.id ?? "" });
    store.reconnect();
    doors[1]?.open(hello());
    expect(doors[1]?.commands).toEqual([second]);
    doors[1]?.say({ type: "ack", id: second?.id ?? "" });
    expect(store.snapshot.get().outbox).toEqual([]);
  });

  it("keeps what was written while offline and sends it on connecting", () => {
    const { store, door } = begin();
    store.send({ type: "abort" });
    expect(door().commands).toEqual([]);
    door().open(hello());
    expect(door().commands).toMatchObject([{ type: "abort" }]);
  });

  it("shows why a command was refused until that is dismissed, and does not repeat it", () => {
    const { store, doors, door } = begin();
    door().open(hello());
    store.send({ type: "prompt", promptId: "prm_1", text: "one" });
    const id = door().commands[0]?.id ?? "";
    door().say({ type: "reject", id, code: "rate_limited", message: "The queue is full." });
    expect(store.snapshot.get().outbox).toMatchObject([{ refused: "The queue is full." }]);
    store.reconnect();
    doors[1]?.open(hello());
    expect(doors[1]?.commands).toEqual([]);
    store.dismiss(id);
    expect(store.snapshot.get().outbox).toEqual([]);
  });

  it("dials again when an event is missing", () => {
    const { doors, door } = begin();
    door().open(hello({ headSeq: 12 }), { type: "events", events: turnEvents() });
    door().say({ type: "event", event: event(20, { type: "prompt.queued", prompt: prompt("prm_2") }) });
    expect(doors).toHaveLength(2);
    expect(doors[1]?.url).toBe("/api/sessions/ses_1/ws?after=12");
  });

  it("says how far it has read only when all before the question is in its state", () => {
    const late: (() => void)[] = [];
    const { store, door } = begin({}, { schedule: (flush) => late.push(flush) });
    door().open(hello({ headSeq: 12 }), { type: "events", events: turnEvents() }, { type: "check", sent: 300_000 });
    door().say({ type: "check", sent: 600_000 });
    expect(door().texts).toEqual([]);
    late.shift()?.();
    expect(store.snapshot.get().state.lastSeq).toBe(12);
    expect(door().texts).toEqual(["seen 600000"]);
  });

  it("answers at once when nobody can see the page, which is not painted then", () => {
    const { store, door } = begin({}, { schedule: () => undefined, hidden: () => true });
    door().open(hello({ headSeq: 12 }), { type: "events", events: turnEvents() }, { type: "check", sent: 5 });
    expect(door().texts).toEqual(["seen 5"]);
    expect(store.snapshot.get().state.lastSeq).toBe(12);
  });

  it("does not answer a question of a connection that is gone", () => {
    const late: (() => void)[] = [];
    const { doors, door, store } = begin({}, { schedule: (flush) => late.push(flush) });
    door().open(hello({ headSeq: 12 }), { type: "events", events: turnEvents() }, { type: "check", sent: 5 });
    store.reconnect();
    door().open(hello({ headSeq: 12, firstSeq: 13 }));
    for (const flush of late) flush();
    expect(doors.flatMap((each) => each.texts)).toEqual([]);
  });

  it("goes on without a hole or a repetition after it was cut off for reading too slowly", async () => {
    const log = turnEvents();
    const { store, doors, door } = begin();
    door().open(hello({ headSeq: 6 }), { type: "events", events: log.slice(0, 6) });
    door().shut(4429);
    expect(store.snapshot.get().link).toEqual({ kind: "connecting" });
    await vi.waitFor(() => expect(doors).toHaveLength(2));
    expect(door().url).toBe("/api/sessions/ses_1/ws?after=6");
    door().open(hello({ headSeq: 12, firstSeq: 7 }), { type: "events", events: log.slice(5) });
    expect(store.snapshot.get().state.log.map((known) => known.seq)).toEqual(log.map((known) => known.seq));
  });

  it("shows one outcome of a command, however often it was sent and answered", () => {
    const { store, doors, door } = begin();
    door().open(hello());
    store.send({ type: "withdraw_prompt", promptId: "prm_1" });
    const [sent] = door().commands;
    store.reconnect();
    door().open(hello());
    store.reconnect();
    door().open(hello());
    expect(doors.slice(1).map((each) => each.commands)).toEqual([[sent], [sent]]);
    const id = sent?.id ?? "";
    door().say({ type: "ack", id }, { type: "reject", id, code: "conflict", message: "This prompt no longer waits." }, { type: "ack", id });
    expect(store.snapshot.get().outbox).toEqual([]);
  });

  it("asks once for what is asked twice while the answer is on its way, and again afterwards", () => {
    const { store, door } = begin();
    door().open(hello());
    store.send({ type: "resume" });
    store.send({ type: "resume" });
    store.send({ type: "move_prompt", promptId: "prm_1", to: "first" });
    store.send({ type: "move_prompt", promptId: "prm_2", to: "first" });
    store.send({ type: "move_prompt", promptId: "prm_1", to: "first" });
    expect(door().commands.map((frame) => frame.type)).toEqual(["resume", "move_prompt", "move_prompt", "move_prompt"]);
    for (const { id } of door().commands) door().say({ type: "ack", id });
    store.send({ type: "resume" });
    expect(door().commands).toHaveLength(5);
  });

  it("forgets the oldest of a long log only while the reader is at the end", () => {
    const log = Array.from({ length: 5000 }, (_, at) => event(at + 1, { type: "note.todos", todos: [] }));
    const { store, door } = begin();
    store.readerAtEnd(false);
    door().open(hello({ headSeq: 5000 }), { type: "events", events: log });
    expect(store.snapshot.get().state.log).toHaveLength(5000);
    store.readerAtEnd(true);
    expect(store.snapshot.get().state).toMatchObject({ firstSeq: 3001, lastSeq: 5000 });
    door().say(...Array.from({ length: 3000 }, (_, at) => ({ type: "event", event: event(5001 + at, { type: "note.todos", todos: [] }) }) as const));
    expect(store.snapshot.get().state.log.length).toBeLessThan(4001);
  });

  it("stops when the server speaks another protocol", () => {
    const { store, doors, door } = begin();
    door().open(hello({ protocol: 99 }));
    expect(store.snapshot.get().link).toEqual({ kind: "closed", code: 4426 });
    expect(doors).toHaveLength(1);
  });

  it("fetches the page before the first event, and says when that failed", async () => {
    const log = turnEvents();
    const { store, door } = begin({ "/api/sessions/ses_1/events?before=9&limit=100": log.slice(0, 8) });
    door().open(hello({ headSeq: 12, firstSeq: 9 }), { type: "events", events: log.slice(8) });
    await store.loadOlder();
    expect(store.snapshot.get()).toMatchObject({ older: "idle", state: { firstSeq: 1 } });
    const other = begin();
    other.door().open(hello({ headSeq: 12, firstSeq: 9 }), { type: "events", events: log.slice(8) });
    await other.store.loadOlder();
    expect(other.store.snapshot.get().older).toBe("failed");
  });
});
