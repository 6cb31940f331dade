import { afterEach, describe, expect, it } from "vitest";
import { event, hello, prompt, turnEvents } from "@/features/session/frames.fixture";
import { SessionStore } from "@/features/session/session-store";
import type { SocketLike } from "@/lib/live-socket";
import type { ClientFrame } from "@/protocol/ClientFrame";
import type { ServerFrame } from "@/protocol/ServerFrame";

class Door implements SocketLike {
  onopen: SocketLike["onopen"] = null;
  onmessage: SocketLike["onmessage"] = null;
  onclose: SocketLike["onclose"] = null;
  readonly commands: ClientFrame[] = [];
  readonly url: string;
  constructor(url: string) {
    this.url = url;
  }
  send(data: string) {
    if (data !== "ping") this.commands.push(JSON.parse(data) as ClientFrame);
  }
  close() {
    this.onmessage = null;
  }
  open(...frames: ServerFrame[]) {
    this.onopen?.(new Event("open"));
    this.say(...frames);
  }
  say(...frames: ServerFrame[]) {
    for (const frame of frames) this.onmessage?.(new MessageEvent("message", { data: JSON.stringify(frame) }));
  }
}

let stop = () => {};
afterEach(() => stop());

function begin(pages: Record<string, ReturnType<typeof turnEvents>> = {}) {
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
