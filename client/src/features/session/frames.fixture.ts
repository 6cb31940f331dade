/** Makers of frames for tests: short to write, complete on the wire. */
import type { Event } from "@/protocol/Event";
import type { EventBody } from "@/protocol/EventBody";
import type { Interaction } from "@/protocol/Interaction";
import type { Part } from "@/protocol/Part";
import type { PartBody } from "@/protocol/PartBody";
import type { Person } from "@/protocol/Person";
import type { Prompt } from "@/protocol/Prompt";
import type { ServerFrame } from "@/protocol/ServerFrame";
import type { Session } from "@/protocol/Session";

export const AT = "2026-11-21T09:00:00.000Z";
export const ada: Person = { id: "usr_ada", name: "Ada", email: "ada@example.org" };

export function session(change: Partial<Session> = {}): Session {
  return {
    id: "ses_1", title: "Fix it", phase: "running", activity: "idle", model: "demo/demo", owner: ada,
    createdAt: AT, updatedAt: AT, headSeq: 0, queue: 0, ...change,
  };
}

export function prompt(id: string, text = "please", change: Partial<Prompt> = {}): Prompt {
  return { id, text, author: ada, state: "queued", createdAt: AT, ...change };
}

export function part(id: string, index: number, body: PartBody, change: Partial<Part> = {}): Part {
  return { id, index, startedAt: AT, ...body, ...change } as Part;
}

export function event(seq: number, body: EventBody): Event {
  return { seq, at: AT, ...body };
}

type Hello = Extract<ServerFrame, { type: "hello" }>;

export function hello(change: Partial<Hello> = {}): Hello {
  return {
    type: "hello", protocol: 1, session: session(), headSeq: 0, firstSeq: 1, openParts: [], queue: [], interactions: [],
    todos: [], presence: [ada], ...change,
  };
}

export function permission(id: string, turnId: string): Interaction {
  return { id, turnId, openedAt: AT, deadline: AT, kind: "permission", permission: "bash", patterns: ["ls"], always: [] };
}

/** A whole small turn: prompt, two messages, a tool that runs, an answer. */
export function turnEvents(): Event[] {
  const turnId = "trn_1";
  const bash = { type: "tool", tool: "bash", input: { command: "npm test" } } as const;
  return [
    event(1, { type: "session.created", owner: ada, title: "Fix it", model: "demo/demo" }),
    event(2, { type: "prompt.queued", prompt: prompt("prm_1") }),
    event(3, { type: "turn.started", turnId, promptId: "prm_1" }),
    event(4, { type: "message.started", turnId, messageId: "msg_1" }),
    event(5, { type: "part.started", turnId, messageId: "msg_1", part: part("prt_1", 0, { ...bash, status: "pending", input: {} }) }),
    event(6, { type: "part.started", turnId, messageId: "msg_1", part: part("prt_1", 0, { ...bash, status: "running" }) }),
    event(7, {
      type: "part.finished", turnId, messageId: "msg_1",
      part: part("prt_1", 0, { ...bash, status: "completed", output: "ok", exitCode: 0 }, { endedAt: AT }),
    }),
    event(8, { type: "message.finished", turnId, messageId: "msg_1" }),
    event(9, { type: "message.started", turnId, messageId: "msg_2" }),
    event(10, { type: "part.started", turnId, messageId: "msg_2", part: part("prt_2", 0, { type: "text", text: "" }) }),
    event(11, {
      type: "part.finished", turnId, messageId: "msg_2",
      part: part("prt_2", 0, { type: "text", text: "It works." }, { endedAt: AT }),
    }),
    event(12, {
      type: "turn.finished", turnId, promptId: "prm_1", outcome: "done", files: [],
      usage: { input: 1, output: 2, reasoning: 0, cacheRead: 0, cacheWrite: 0, cost: 0 },
    }),
  ];
}
