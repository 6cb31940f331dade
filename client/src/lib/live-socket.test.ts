import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { backoff, LiveSocket, type LinkState, type SocketLike } from "@/lib/live-socket";

class FakeSocket implements SocketLike {
  onopen: SocketLike["onopen"] = null;
  onmessage: SocketLike["onmessage"] = null;
  onclose: SocketLike["onclose"] = null;
  readonly sent: string[] = [];
  closed = false;
  readonly url: string;
  constructor(url: string) {
    this.url = url;
  }
  send(data: string) {
    this.sent.push(data);
  }
  close() {
    this.closed = true;
  }
  open() {
    this.onopen?.(new Event("open"));
  }
  say(data: string) {
    this.onmessage?.(new MessageEvent("message", { data }));
  }
  shut(code: number) {
    this.onclose?.({ code } as CloseEvent);
  }
}

let dialled: FakeSocket[];
let states: LinkState[];
let frames: string[];
let socket: LiveSocket;
let diagnosis: number | undefined;

const last = () => dialled.at(-1) as FakeSocket;

beforeEach(() => {
  vi.useFakeTimers();
  dialled = [];
  states = [];
  frames = [];
  diagnosis = undefined;
  socket = new LiveSocket({
    url: () => `ws://test/${dialled.length}`,
    onFrame: (text) => frames.push(text),
    onState: (state) => states.push(state),
    diagnose: () => Promise.resolve(diagnosis),
    dial: (url) => {
      const fake = new FakeSocket(url);
      dialled.push(fake);
      return fake;
    },
    random: () => 0.5,
  });
});

afterEach(() => {
  socket.stop();
  vi.useRealTimers();
});

describe("a live socket", () => {
  it("passes frames on, keeps pongs to itself", () => {
    socket.start();
    last().open();
    last().say("pong");
    last().say("{}");
    expect(frames).toEqual(["{}"]);
    expect(states.map((s) => s.kind)).toEqual(["connecting", "open"]);
  });

  it("dials again with growing waits, from the address of that moment, and remembers since when it is offline", () => {
    socket.start();
    last().open();
    last().say("{}");
    last().shut(1006);
    const since = states.at(-1);
    expect(since).toMatchObject({ kind: "offline", attempt: 1 });
    vi.advanceTimersByTime(299);
    expect(dialled).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(last().url).toBe("ws://test/1");
    last().shut(1006);
    expect(states.at(-1)).toMatchObject({ kind: "offline", attempt: 2, since: (since as { since: number }).since });
  });

  it("forgets earlier failures only when a frame came, not when the door merely opened", () => {
    socket.start();
    last().shut(1006);
    vi.advanceTimersByTime(300);
    last().open();
    last().shut(1006);
    expect(states.at(-1)).toMatchObject({ attempt: 2 });
    vi.advanceTimersByTime(600);
    last().open();
    last().say("{}");
    last().shut(1006);
    expect(states.at(-1)).toMatchObject({ attempt: 1 });
  });

  it("closes a connection that does not answer a ping", () => {
    socket.start();
    last().open();
    vi.advanceTimersByTime(20_000);
    expect(last().sent).toEqual(["ping"]);
    vi.advanceTimersByTime(8_000);
    expect(dialled[0]?.closed).toBe(true);
    expect(states.at(-1)).toMatchObject({ kind: "offline" });
  });

  it("keeps a connection that answers", () => {
    socket.start();
    last().open();
    for (let i = 0; i < 5; i += 1) {
      vi.advanceTimersByTime(20_000);
      last().say("pong");
    }
    expect(dialled).toHaveLength(1);
  });

  it("gives up a dial that never opens", () => {
    socket.start();
    vi.advanceTimersByTime(15_000);
    expect(states.at(-1)).toMatchObject({ kind: "offline" });
  });

  it.each([4401, 4404, 4410, 4426])("stops for good on close code %i", (code) => {
    socket.start();
    last().open();
    last().shut(code);
    vi.advanceTimersByTime(60_000);
    expect(dialled).toHaveLength(1);
    expect(states.at(-1)).toEqual({ kind: "closed", code });
  });

  it("dials again at once when it was cut off for reading too slowly, and backs off when that does not help", () => {
    socket.start();
    last().open();
    last().say("{}");
    last().shut(4429);
    expect(states.at(-1)).toEqual({ kind: "connecting" });
    vi.advanceTimersByTime(150);
    expect(dialled).toHaveLength(2);
    last().open();
    last().shut(4429);
    expect(states.at(-1)).toMatchObject({ kind: "offline", attempt: 2 });
    vi.advanceTimersByTime(150);
    expect(dialled).toHaveLength(2);
  });

  it("asks why when a dial is refused, and stops when the answer is final", async () => {
    diagnosis = 4404;
    socket.start();
    last().shut(1006);
    await vi.advanceTimersByTimeAsync(0);
    expect(states.at(-1)).toEqual({ kind: "closed", code: 4404 });
  });

  it("sends nothing and says so while it is not open", () => {
    socket.start();
    expect(socket.send("x")).toBe(false);
    last().open();
    expect(socket.send("x")).toBe(true);
  });

  it("hears nothing from a socket that it has left", () => {
    socket.start();
    const old = last();
    old.open();
    socket.reconnect();
    old.say("late");
    expect(frames).toEqual([]);
    expect(old.closed).toBe(true);
  });
});

describe("the wait before a dial", () => {
  it("doubles up to fifteen seconds and is never less than half", () => {
    expect([1, 2, 3].map((n) => backoff(n, 0))).toEqual([200, 400, 800]);
    expect(backoff(50, 0.999)).toBeLessThanOrEqual(15_000);
    expect(backoff(50, 0)).toBe(7_500);
  });
});
