import { describe, expect, it } from "vitest";
import { ada, AT, event, hello, part, permission, prompt, session, turnEvents } from "@/features/session/frames.fixture";
import { project, waiting, type Row } from "@/features/session/projection";
import { INITIAL, prepend, reduce, type SessionState } from "@/features/session/reducer";
import type { Sent } from "@/features/session/session-store";
import type { Event } from "@/protocol/Event";
import type { Part } from "@/protocol/Part";

const at = { turnId: "trn_1", messageId: "msg_1" };

function state(events: readonly Event[], change: Parameters<typeof hello>[0] = {}): SessionState {
  return reduce(INITIAL, [hello({ headSeq: events.at(-1)?.seq ?? 0, ...change }), { type: "events", events: [...events] }]);
}

function withParts(...parts: Part[]): SessionState {
  const started = turnEvents().slice(0, 4);
  return state([...started, ...parts.map((p, i) => event(5 + i, { type: "part.finished", ...at, part: p }))]);
}

const tool = (id: string, index: number, name: string, change: object = {}) =>
  part(id, index, { type: "tool", tool: name, status: "completed", input: {}, output: "x", ...change });

const kinds = (rows: readonly Row[]) => rows.map((row) => row.kind);

describe("rows", () => {
  it("of a finished turn are prompt, work and footer", () => {
    expect(kinds(project(state(turnEvents()), []))).toEqual(["beginning", "prompt", "part", "part", "footer"]);
  });

  const notice = { budget: "bdg_1", what: "The org’s budget", limit: 10_000, spent: 10_000 };
  const ask = { id: "int_1", turnId: "trn_none", openedAt: AT, deadline: AT, kind: "budget", notice } as const;
  const stopped = [...turnEvents(), event(13, { type: "budget.reached", notice }), event(14, { type: "interaction.opened", interaction: ask })];

  it("of a budget that is used up stand after the turn that it cut, and stay when it is extended", () => {
    const open = project(state(stopped, { interactions: [ask] }), []);
    expect(kinds(open)).toEqual(["beginning", "prompt", "part", "part", "footer", "notice", "asked"]);
    const extended = { type: "interaction.resolved", interactionId: "int_1", how: "answered", answer: { type: "extend", limit: 20_000 }, by: ada } as const;
    const rows = project(state([...stopped, event(15, extended), event(16, { type: "prompt.queued", prompt: prompt("prm_2") })], { queue: [prompt("prm_2")] }), []);
    expect(kinds(rows).slice(4)).toEqual(["footer", "notice", "asked", "pending"]);
    expect(rows.find((row) => row.kind === "asked")).toMatchObject({ asked: { resolution: { how: "answered" } } });
  });

  it("of a question that only the greeting tells are there as well", () => {
    expect(kinds(project(state([], { interactions: [ask], firstSeq: 1 }), []))).toEqual(["beginning", "asked"]);
  });

  it("hide empty text and reasoning", () => {
    const rows = project(withParts(part("prt_1", 0, { type: "text", text: " \n" }), part("prt_2", 1, { type: "reasoning", text: "" })), []);
    expect(kinds(rows)).toEqual(["beginning", "prompt"]);
  });

  it("fold reads and searches in a row, and only those that worked", () => {
    const failed = tool("prt_4", 3, "read", { status: "error", error: "no such file" });
    const rows = project(withParts(tool("prt_1", 0, "read"), tool("prt_2", 1, "grep"), tool("prt_3", 2, "read"), failed, tool("prt_5", 4, "read")), []);
    expect(kinds(rows)).toEqual(["beginning", "prompt", "group", "part", "part"]);
    expect(rows[2]).toMatchObject({ key: "prt_1", parts: [{ id: "prt_1" }, { id: "prt_2" }, { id: "prt_3" }] });
  });

  it("nest a sub-agent's parts in its call", () => {
    const call = part("prt_1", 0, { type: "subtask", description: "look", agent: "explore", status: "completed" });
    const inner = part("prt_2", 0, { type: "text", text: "found" }, { parentPartId: "prt_1" });
    const rows = project(withParts(call, inner), []);
    expect(kinds(rows)).toEqual(["beginning", "prompt", "subtask"]);
    expect(rows[2]).toMatchObject({ inner: [{ id: "prt_2" }] });
  });

  it("show a prompt that steered inside its turn, with its text as soon as that is known", () => {
    const log = [...turnEvents().slice(0, 8), event(9, { type: "prompt.steered", promptId: "prm_2", turnId: "trn_1" })];
    const before = state(log);
    expect(project(before, []).at(-1)).toMatchObject({ kind: "prompt", steered: true, prompt: null });
    const after = prepend({ ...before, firstSeq: 1 }, []);
    const known = { ...after, fold: { ...after.fold, prompts: { ...after.fold.prompts, prm_2: prompt("prm_2", "use tabs") } } };
    expect(project(known, []).at(-1)).toMatchObject({ kind: "prompt", steered: true, prompt: { text: "use tabs" } });
  });

  it("keep identity for turns that did not change", () => {
    const before = state(turnEvents());
    const after = reduce(before, [{ type: "event", event: event(13, { type: "prompt.queued", prompt: prompt("prm_2") }) }]);
    expect(project(after, [])[2]).toBe(project(before, [])[2]);
  });

  it("say that the model works only while nothing on the screen moves", () => {
    const turn = { id: "trn_1", promptId: "prm_1", startedAt: AT, aborting: false };
    const log = turnEvents();
    expect(kinds(project(state(log.slice(0, 4), { turn }), [])).at(-1)).toBe("working");
    const running = state(log.slice(0, 6), { turn, openParts: [] });
    expect(kinds(project(running, [])).at(-1)).toBe("part");
    const asked = state(log.slice(0, 4), { turn, interactions: [permission("int_1", "trn_1")] });
    expect(kinds(project(asked, [])).at(-1)).toBe("asked");
  });

  it("show the first waiting prompt and the start while the sandbox is made", () => {
    const starting = state(turnEvents().slice(0, 2), { queue: [prompt("prm_1")], session: session({ phase: "starting" }) });
    expect(kinds(project(starting, []))).toEqual(["beginning", "pending", "startup"]);
  });

  it("end with the cause while the session rests in error, and only once", () => {
    const cause = { code: "repo_not_found", message: "No such repository." };
    const failed = state([...turnEvents().slice(0, 2), event(3, { type: "session.phase", phase: "error", cause })], {
      session: session({ phase: "error", cause }),
      queue: [prompt("prm_1")],
    });
    expect(kinds(project(failed, []))).toEqual(["beginning", "pending", "failure"]);
  });
});

describe("waiting prompts", () => {
  const sent = (frame: Sent["frame"], refused?: string): Sent => ({ frame, at: 0, ...(refused === undefined ? {} : { refused }) });

  it("include the person's own before the server has answered, once", () => {
    const mine = sent({ id: "cmd_1", type: "prompt", promptId: "prm_2", text: "next" });
    const before = state(turnEvents());
    expect(waiting(before, [mine]).map((row) => [row.prompt.text, row.sent])).toEqual([["next", false]]);
    const after = reduce(before, [{ type: "event", event: event(13, { type: "prompt.queued", prompt: prompt("prm_2", "next") }) }]);
    expect(waiting(after, [mine]).map((row) => [row.prompt.text, row.sent])).toEqual([["next", true]]);
  });

  it("stand in their new order at once, and go back when the server refuses", () => {
    const queued = state(turnEvents(), { queue: [prompt("prm_a"), prompt("prm_b"), prompt("prm_c")] });
    const move = { id: "cmd_1", type: "move_prompt", promptId: "prm_c", to: { before: "prm_b" } } as const;
    const promote = { id: "cmd_2", type: "promote_prompt", promptId: "prm_b" } as const;
    const order = (...outbox: Sent[]) => waiting(queued, outbox).map((row) => row.prompt.id);
    expect(order(sent(move))).toEqual(["prm_a", "prm_c", "prm_b"]);
    expect(order(sent(move), sent(promote))).toEqual(["prm_b", "prm_a", "prm_c"]);
    expect(order(sent(move, "This prompt is being handed to the agent."), sent(promote))).toEqual(["prm_b", "prm_a", "prm_c"]);
    expect(order(sent(move, "no"))).toEqual(["prm_a", "prm_b", "prm_c"]);
    // The event came before the acknowledgement: nothing moves twice.
    const done = reduce(queued, [{ type: "event", event: event(13, { type: "prompt.moved", promptId: "prm_c", to: { before: "prm_b" }, by: ada }) }]);
    expect(waiting(done, [sent(move)]).map((row) => row.prompt.id)).toEqual(["prm_a", "prm_c", "prm_b"]);
  });

  it("that are to steer stand first while a turn runs, before the server has answered too", () => {
    const turn = { id: "trn_9", promptId: "prm_9", startedAt: AT, aborting: false };
    const queued = state(turnEvents(), { turn, queue: [prompt("prm_a")] });
    const steer = sent({ id: "cmd_1", type: "prompt", promptId: "prm_b", text: "now", mode: "steer" });
    expect(waiting(queued, [steer]).map((row) => [row.prompt.id, row.prompt.mode, row.sent])).toEqual([["prm_b", "steer", false], ["prm_a", undefined, true]]);
  });

  it("show edits and withdrawals at once, and undo refused ones", () => {
    const queued = state(turnEvents().slice(0, 2), { queue: [prompt("prm_1", "old")] });
    const edit = { id: "cmd_1", type: "edit_prompt", promptId: "prm_1", text: "new" } as const;
    const withdraw = { id: "cmd_2", type: "withdraw_prompt", promptId: "prm_1" } as const;
    expect(waiting(queued, [sent(edit)])[0]?.prompt.text).toBe("new");
    expect(waiting(queued, [sent(edit, "too late")])[0]?.prompt.text).toBe("old");
    expect(waiting(queued, [sent(withdraw)])).toEqual([]);
  });
});
