import { describe, expect, it } from "vitest";
import { ada, AT, event, hello, part, permission, prompt, session, turnEvents } from "@/features/session/frames.fixture";
import { INITIAL, KEPT_EVENTS, prepend, reduce, trim, type SessionState } from "@/features/session/reducer";
import type { Event } from "@/protocol/Event";
import type { EventBody } from "@/protocol/EventBody";
import type { Part } from "@/protocol/Part";

const LOG = turnEvents();

function fresh(events: readonly Event[] = LOG): SessionState {
  return reduce(INITIAL, [hello({ headSeq: events.at(-1)?.seq ?? 0 }), { type: "events", events: [...events] }]);
}

function parts(state: SessionState): readonly Part[] {
  return state.fold.blocks.flatMap((block) =>
    block.kind === "turn" ? block.turn.items.flatMap((item) => (item.kind === "message" ? item.message.parts : [])) : [],
  );
}

function textOf(state: SessionState, id: string): string | undefined {
  const found = parts(state).find((p) => p.id === id);
  return found?.type === "text" ? found.text : undefined;
}

/** The log up to the open text part. */
function streaming(): SessionState {
  return reduce(INITIAL, [
    hello({
      headSeq: 10,
      openParts: [{ turnId: "trn_1", messageId: "msg_2", part: part("prt_2", 0, { type: "text", text: "It " }) }],
      turn: { id: "trn_1", promptId: "prm_1", startedAt: "2026-11-21T09:00:00.000Z", aborting: false },
    }),
    { type: "events", events: LOG.slice(0, 10) },
  ]);
}

/** The greeting of a page that comes back, with so much of the open text part. */
function greetingOf(text: string) {
  return hello({
    headSeq: 10,
    firstSeq: 11,
    openParts: [{ turnId: "trn_1", messageId: "msg_2", part: part("prt_2", 0, { type: "text", text }) }],
  });
}

describe("the fold", () => {
  it("is the same whether events come in one page, one by one, or from the middle with older ones later", () => {
    const whole = fresh();
    const single = reduce(INITIAL, [
      hello({ headSeq: 12, firstSeq: 1 }),
      ...LOG.map((e) => ({ type: "event", event: e }) as const),
    ]);
    for (let cut = 1; cut < LOG.length; cut += 1) {
      const late = reduce(INITIAL, [
        hello({ headSeq: 12, firstSeq: cut + 1 }),
        { type: "events", events: LOG.slice(cut) },
      ]);
      expect(prepend(late, LOG.slice(0, cut)).fold).toEqual(whole.fold);
    }
    expect(single.fold).toEqual(whole.fold);
    expect(whole.fold.open).toEqual({});
  });

  it("makes shells for what a page that begins in the middle only names", () => {
    const state = reduce(INITIAL, [hello({ headSeq: 12, firstSeq: 11 }), { type: "events", events: LOG.slice(10) }]);
    expect(textOf(state, "prt_2")).toBe("It works.");
    expect(state.firstSeq).toBe(11);
  });

  it("orders parts by index even when they finish in another order", () => {
    const at = { turnId: "trn_1", messageId: "msg_1" };
    const state = fresh([
      ...LOG.slice(0, 4),
      event(5, { type: "part.finished", ...at, part: part("prt_b", 1, { type: "text", text: "b" }) }),
      event(6, { type: "part.finished", ...at, part: part("prt_a", 0, { type: "text", text: "a" }) }),
    ]);
    expect(parts(state).map((p) => p.id)).toEqual(["prt_a", "prt_b"]);
  });

  it("does not change what an earlier state holds", () => {
    const before = streaming();
    const copy = structuredClone(before.fold);
    reduce(before, [{ type: "delta", partId: "prt_2", offset: 3, text: "works" }, { type: "events", events: LOG.slice(10) }]);
    expect(before.fold).toEqual(copy);
  });

  it("drops a part that the engine took back", () => {
    const state = reduce(streaming(), [
      { type: "event", event: event(11, { type: "part.removed", messageId: "msg_2", partId: "prt_2" }) },
      { type: "delta", partId: "prt_2", offset: 3, text: "late" },
    ]);
    expect(textOf(state, "prt_2")).toBeUndefined();
    expect(state.fold.open).toEqual({});
  });

  it("skips an event type that it does not know", () => {
    const strange = { ...event(13, { type: "note.todos", todos: [] }), type: "pr.opened" } as unknown as Event;
    const state = reduce(fresh(), [{ type: "event", event: strange }]);
    expect(state.lastSeq).toBe(13);
    expect(state.fold).toEqual(fresh().fold);
  });

  it("puts a retry above the answer that came after it, though its message was begun before", () => {
    const retry = event(5, { type: "turn.retrying", turnId: "trn_1", attempt: 1, message: "429", nextAt: "2026-11-21T09:00:03.000Z" });
    const answer = event(6, { type: "part.finished", turnId: "trn_1", messageId: "msg_1", part: part("prt_1", 0, { type: "text", text: "ok" }) });
    const state = fresh([...LOG.slice(0, 4), retry, answer]);
    const [block] = state.fold.blocks;
    expect(block?.kind === "turn" && block.turn.items.map((item) => item.kind)).toEqual(["notice", "message"]);
  });

  it("puts what was said between a prompt and its turn below the prompt", () => {
    const trouble = event(3, { type: "sandbox.trouble", generation: 1, cause: { code: "x", message: "slow" } });
    const state = fresh([...LOG.slice(0, 2), trouble, event(4, { type: "turn.started", turnId: "trn_1", promptId: "prm_1" })]);
    expect(state.fold.blocks.map((block) => block.kind)).toEqual(["turn"]);
  });
});

describe("deltas", () => {
  it("append, skip what is known already, and stop at a gap until the finished part", () => {
    let state = streaming();
    expect(textOf(state, "prt_2")).toBe("It ");
    state = reduce(state, [
      { type: "delta", partId: "prt_2", offset: 3, text: "wor" },
      { type: "delta", partId: "prt_2", offset: 4, text: "orks" },
      { type: "delta", partId: "prt_2", offset: 0, text: "It " },
    ]);
    expect(textOf(state, "prt_2")).toBe("It works");
    state = reduce(state, [
      { type: "delta", partId: "prt_2", offset: 20, text: "lost" },
      { type: "delta", partId: "prt_2", offset: 8, text: "!" },
    ]);
    expect(textOf(state, "prt_2")).toBe("It works");
    state = reduce(state, [{ type: "events", events: LOG.slice(10) }]);
    expect(textOf(state, "prt_2")).toBe("It works.");
  });

  it("replace the text on reset", () => {
    const state = reduce(streaming(), [{ type: "delta", partId: "prt_2", offset: 0, text: "New", reset: true }]);
    expect(textOf(state, "prt_2")).toBe("New");
  });

  it("that disagree with what is shown replace it from there: the text was written anew meanwhile", () => {
    const before = reduce(streaming(), [{ type: "delta", partId: "prt_2", offset: 3, text: "works very well" }]);
    const after = reduce(before, [greetingOf("It works"), { type: "delta", partId: "prt_2", offset: 8, text: ", mostly." }]);
    expect(textOf(after, "prt_2")).toBe("It works, mostly.");
    const on = reduce(after, [{ type: "delta", partId: "prt_2", offset: 17, text: " So." }]);
    expect(textOf(on, "prt_2")).toBe("It works, mostly. So.");
  });

  it("count UTF-16 units", () => {
    const state = reduce(streaming(), [
      { type: "delta", partId: "prt_2", offset: 3, text: "🙂" },
      { type: "delta", partId: "prt_2", offset: 5, text: "!" },
    ]);
    expect(textOf(state, "prt_2")).toBe("It 🙂!");
  });

  it("for a finished part change nothing", () => {
    const state = reduce(fresh(), [{ type: "delta", partId: "prt_2", offset: 9, text: " more" }]);
    expect(textOf(state, "prt_2")).toBe("It works.");
  });

  it("keep their text when a running tool part is started again", () => {
    const running = LOG.slice(0, 6);
    const state = reduce(INITIAL, [
      hello({ headSeq: 6 }),
      { type: "events", events: running },
      { type: "delta", partId: "prt_1", offset: 0, text: "line 1\n" },
      { type: "event", event: { ...(running[5] as Event), seq: 7 } },
    ]);
    expect(parts(state)[0]).toMatchObject({ output: "line 1\n", status: "running" });
  });

  it("survive a page of older events", () => {
    const late = reduce(INITIAL, [
      hello({ headSeq: 10, firstSeq: 10 }),
      { type: "events", events: LOG.slice(9, 10) },
      { type: "delta", partId: "prt_2", offset: 0, text: "It w" },
    ]);
    expect(textOf(prepend(late, LOG.slice(0, 9)), "prt_2")).toBe("It w");
  });
});

describe("a greeting", () => {
  it("resumes when the events follow, without a copy of what is known", () => {
    const before = streaming();
    const after = reduce(before, [hello({ headSeq: 12, firstSeq: 11 }), { type: "events", events: LOG.slice(10) }]);
    expect(after.fold).toEqual(fresh().fold);
    expect(after.log).toHaveLength(12);
  });

  it("starts over from the new page when events are missing between", () => {
    const after = reduce(streaming(), [
      hello({ headSeq: 200, firstSeq: 150 }),
      { type: "events", events: [event(150, { type: "prompt.queued", prompt: prompt("prm_9") })] },
    ]);
    expect(after.firstSeq).toBe(150);
    expect(after.fold.blocks).toEqual([]);
  });

  it("starts over when the server knows less than this page", () => {
    const after = reduce(fresh(), [hello({ headSeq: 3, firstSeq: 4 })]);
    expect(after.log).toEqual([]);
    expect(after.lastSeq).toBe(3);
  });

  it("is not undone by the events up to it", () => {
    const state = reduce(INITIAL, [
      hello({ headSeq: 2, queue: [prompt("prm_1", "edited since")] }),
      { type: "events", events: LOG.slice(0, 2) },
    ]);
    expect(state.queue.map((p) => p.text)).toEqual(["edited since"]);
  });

  it("that is behind what is shown takes nothing back, and what comes again is not doubled", () => {
    const before = reduce(streaming(), [{ type: "delta", partId: "prt_2", offset: 3, text: "works very well" }]);
    const resumed = reduce(before, [greetingOf("It works")]);
    expect(textOf(resumed, "prt_2")).toBe("It works very well");
    const again = reduce(resumed, [{ type: "delta", partId: "prt_2", offset: 8, text: " very" }]);
    expect(textOf(again, "prt_2")).toBe("It works very well");
    const on = reduce(again, [{ type: "delta", partId: "prt_2", offset: 13, text: " well indeed" }]);
    expect(textOf(on, "prt_2")).toBe("It works very well indeed");
    expect(textOf(reduce(before, [greetingOf("It works very well and is")]), "prt_2")).toBe("It works very well and is");
  });

  it("fills the gap that a lost connection left", () => {
    const gap = reduce(streaming(), [{ type: "delta", partId: "prt_2", offset: 9, text: "!" }]);
    const on = reduce(gap, [greetingOf("It "), { type: "delta", partId: "prt_2", offset: 3, text: "works." }]);
    expect(textOf(on, "prt_2")).toBe("It works.");
  });

  it("whose text is another one replaces what is shown", () => {
    const before = reduce(streaming(), [{ type: "delta", partId: "prt_2", offset: 3, text: "works" }]);
    expect(textOf(reduce(before, [greetingOf("Is")]), "prt_2")).toBe("Is");
  });

  it("knows the text of a prompt that was queued before the page", () => {
    const state = reduce(INITIAL, [
      hello({ headSeq: 2, firstSeq: 3, queue: [prompt("prm_1", "from the queue")] }),
      { type: "event", event: event(3, { type: "turn.started", turnId: "trn_1", promptId: "prm_1" }) },
    ]);
    expect(state.fold.prompts["prm_1"]?.text).toBe("from the queue");
    expect(state.queue).toEqual([]);
  });
});

describe("live events", () => {
  it("keep queue, turn, list and open questions up to date", () => {
    let state = reduce(fresh(), [
      { type: "event", event: event(13, { type: "prompt.queued", prompt: prompt("prm_2", "a") }) },
      { type: "event", event: event(14, { type: "prompt.queued", prompt: prompt("prm_3", "b") }) },
      { type: "event", event: event(15, { type: "prompt.edited", promptId: "prm_3", text: "c" }) },
      { type: "event", event: event(16, { type: "turn.started", turnId: "trn_2", promptId: "prm_2" }) },
      { type: "event", event: event(17, { type: "interaction.opened", interaction: permission("int_1", "trn_2") }) },
      { type: "event", event: event(18, { type: "note.todos", todos: [{ content: "x", status: "pending", priority: "high" }] }) },
    ]);
    expect(state.queue.map((p) => p.text)).toEqual(["c"]);
    expect(state.turn?.id).toBe("trn_2");
    expect(state.interactions).toHaveLength(1);
    expect(state.todos).toHaveLength(1);
    state = reduce(state, [
      {
        type: "event",
        event: event(19, {
          type: "interaction.resolved", interactionId: "int_1", how: "answered", by: ada,
          answer: { type: "permission", reply: "once" },
        }),
      },
      { type: "event", event: event(20, { type: "turn.aborting", turnId: "trn_2", by: ada }) },
      { type: "event", event: event(21, { type: "prompt.withdrawn", promptId: "prm_3", by: ada }) },
    ]);
    expect(state.interactions).toEqual([]);
    expect(state.turn?.aborting).toBe(true);
    expect(state.queue).toEqual([]);
  });

  it("that were seen already are ignored; one that is missing breaks the state", () => {
    const state = fresh();
    expect(reduce(state, [{ type: "events", events: LOG.slice(5) }])).toEqual(state);
    const later = event(14, { type: "note.todos", todos: [] });
    expect(reduce(state, [{ type: "event", event: later }]).broken).toBe(true);
  });

  it("keep the order of the queue as the server keeps it", () => {
    const queue = [prompt("prm_2"), prompt("prm_3"), prompt("prm_4")];
    const turn = { id: "trn_2", promptId: "prm_x", startedAt: AT, aborting: false };
    const before = reduce(INITIAL, [hello({ headSeq: 12, queue, turn }), { type: "events", events: [...LOG] }]);
    const order = (...bodies: EventBody[]) =>
      reduce(before, bodies.map((body, at) => ({ type: "event", event: event(13 + at, body) }) as const)).queue.map((p) => p.id);
    expect(order({ type: "prompt.moved", promptId: "prm_4", to: "first", by: ada })).toEqual(["prm_4", "prm_2", "prm_3"]);
    expect(order({ type: "prompt.moved", promptId: "prm_2", to: { before: "prm_4" }, by: ada })).toEqual(["prm_3", "prm_2", "prm_4"]);
    expect(order({ type: "prompt.moved", promptId: "prm_2", to: "last", by: ada })).toEqual(["prm_3", "prm_4", "prm_2"]);
    expect(order({ type: "prompt.queued", prompt: prompt("prm_5", "now", { mode: "steer" }) })[0]).toBe("prm_5");
    expect(order({ type: "prompt.steered", promptId: "prm_3", turnId: "trn_2" })).toEqual(["prm_2", "prm_4"]);
  });

  it("say what may have changed what the session waits for", () => {
    const at = (body: EventBody) => reduce(fresh(), [{ type: "event", event: event(13, body) }]).waitSeq;
    expect(at({ type: "sandbox.step", generation: 1, step: "booting", attempt: 1 })).toBe(13);
    expect(at({ type: "session.phase", phase: "starting" })).toBe(13);
    expect(at({ type: "note.todos", todos: [] })).toBe(12);
  });

  it("put a session away and take it back out", () => {
    const away = reduce(fresh(), [{ type: "event", event: event(13, { type: "session.archived", archived: true, by: ada }) }]);
    expect(away.session?.archivedAt).toBe(AT);
    const back = reduce(away, [{ type: "event", event: event(14, { type: "session.archived", archived: false, by: ada }) }]);
    expect(back.session?.archivedAt).toBeUndefined();
  });

  it("close the open parts of a turn that ends", () => {
    const state = reduce(streaming(), [{ type: "event", event: { ...(LOG[11] as Event), seq: 11 } }]);
    expect(state.fold.open).toEqual({});
    expect(state.turn).toBeNull();
  });

  it("take the cause of a phase away with the phase", () => {
    const failed = reduce(fresh(), [
      { type: "session", session: session({ phase: "error", cause: { code: "x", message: "y" } }) },
      { type: "event", event: event(13, { type: "session.phase", phase: "starting" }) },
    ]);
    expect(failed.session).toMatchObject({ phase: "starting" });
    expect(failed.session?.cause).toBeUndefined();
  });
});

describe("a prompt that steers", () => {
  const steered = [
    ...LOG.slice(0, 8),
    event(9, { type: "prompt.queued", prompt: prompt("prm_2", "use tabs", { mode: "steer" }) }),
    event(10, { type: "prompt.steered", promptId: "prm_2", turnId: "trn_1" }),
    ...LOG.slice(8).map((known) => ({ ...known, seq: known.seq + 2 })),
  ];
  const turnOf = (state: SessionState) => state.fold.blocks.flatMap((block) => (block.kind === "turn" ? [block.turn] : []))[0];

  it("stands in the turn where the agent took it in, and ends with it", () => {
    const running = fresh(steered.slice(0, 12));
    expect(turnOf(running)?.items.map((item) => item.kind)).toEqual(["message", "prompt", "message"]);
    expect(running.fold.prompts["prm_2"]?.state).toBe("steered");
    expect(fresh(steered).fold.prompts["prm_2"]?.state).toBe("done");
  });

  it("is there once, whatever page the log begins with", () => {
    const whole = fresh(steered);
    for (let cut = 1; cut < steered.length; cut += 1) {
      const late = reduce(INITIAL, [hello({ headSeq: 14, firstSeq: cut + 1 }), { type: "events", events: steered.slice(cut) }]);
      expect(prepend(late, steered.slice(0, cut)).fold).toEqual(whole.fold);
    }
  });

  it("has failed when its turn had ended before", () => {
    const late = event(14, { type: "prompt.steered", promptId: "prm_2", turnId: "trn_1" });
    const state = fresh([...LOG, event(13, { type: "prompt.queued", prompt: prompt("prm_2") }), late]);
    expect(state.fold.prompts["prm_2"]?.state).toBe("failed");
  });
});

describe("a long log", () => {
  /** `turns` whole turns of twelve events each, one after the other. */
  function long(turns: number): Event[] {
    return Array.from({ length: turns }, (_, n) => {
      const text = JSON.stringify(LOG).replace(/_([12])"/g, `_${n}_$1"`);
      return (JSON.parse(text) as Event[]).map((known, at) => ({ ...known, seq: n * LOG.length + at + 1 }));
    }).flat();
  }
  const log = long(400);

  it("is cut at a turn's beginning, and older pages bring the same back", () => {
    const whole = fresh(log);
    const short = trim(whole);
    expect(short.log.length).toBeGreaterThan(KEPT_EVENTS / 2);
    expect(short.log.length).toBeLessThanOrEqual(KEPT_EVENTS);
    expect(short.log[0]?.type).toBe("turn.started");
    expect(short.firstSeq).toBe(short.log[0]?.seq);
    const [block] = short.fold.blocks;
    expect(block?.kind === "turn" && short.fold.prompts[block.turn.promptId ?? ""]?.text).toBe("please");
    expect(prepend(short, log.slice(0, short.firstSeq - 1)).fold).toEqual(whole.fold);
  });

  it("keeps the text of what is being written, open questions and waiting prompts", () => {
    const next = log.length + 1;
    const state = trim(
      reduce(fresh(log), [
        { type: "event", event: event(next, { type: "turn.started", turnId: "trn_x", promptId: "prm_x" }) },
        { type: "event", event: event(next + 1, { type: "part.started", turnId: "trn_x", messageId: "msg_x", part: part("prt_x", 0, { type: "text", text: "" }) }) },
        { type: "event", event: event(next + 2, { type: "interaction.opened", interaction: permission("int_x", "trn_x") }) },
        { type: "event", event: event(next + 3, { type: "prompt.queued", prompt: prompt("prm_y", "later") }) },
        { type: "delta", partId: "prt_x", offset: 0, text: "half a sen" },
      ]),
    );
    expect(textOf(state, "prt_x")).toBe("half a sen");
    expect(state.fold.prompts["prm_y"]?.text).toBe("later");
    expect(state.interactions).toHaveLength(1);
    const more = reduce(state, [{ type: "delta", partId: "prt_x", offset: 10, text: "tence" }]);
    expect(textOf(more, "prt_x")).toBe("half a sentence");
  });

  it("is left alone while it is short", () => {
    const state = fresh(long(10));
    expect(trim(state)).toBe(state);
  });
});
