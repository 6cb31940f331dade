import { expect, it } from "vitest";
import { prompt } from "@/features/session/frames.fixture";
import { enqueued, moved, placeAt } from "@/features/session/order";

const queue = ["a", "b", "c", "d"];
const id = (name: string) => name;

it("a prompt moves to the front, to the end, and before another one", () => {
  expect(moved(queue, id, "c", "first")).toEqual(["c", "a", "b", "d"]);
  expect(moved(queue, id, "a", "last")).toEqual(["b", "c", "d", "a"]);
  expect(moved(queue, id, "a", { before: "d" })).toEqual(["b", "c", "a", "d"]);
  expect(moved(queue, id, "d", { before: "b" })).toEqual(["a", "d", "b", "c"]);
});

it("a prompt that no longer waits, and a place that is gone, move nothing", () => {
  expect(moved(queue, id, "x", "first")).toEqual(queue);
  expect(moved(queue, id, "a", { before: "x" })).toEqual(queue);
  expect(moved(queue, id, "b", { before: "b" })).toEqual(queue);
});

it("the place for an index leads to that index, from everywhere to everywhere", () => {
  for (const name of queue) {
    for (let at = 0; at < queue.length; at += 1) {
      const place = placeAt(queue, name, at);
      expect((place ? moved(queue, id, name, place) : queue)[at]).toBe(name);
      expect(place === undefined).toBe(queue[at] === name);
    }
  }
  expect(placeAt(queue, "x", 0)).toBeUndefined();
});

it("a prompt that is to steer stands before those that are not, while a turn runs", () => {
  const rows = [prompt("prm_1", "s", { mode: "steer" }), prompt("prm_2"), prompt("prm_3", "s", { mode: "steer" })];
  const steer = prompt("prm_4", "s", { mode: "steer" });
  const ids = (turnRuns: boolean) => enqueued(rows, steer, (p) => p, turnRuns).map((p) => p.id);
  expect(ids(true)).toEqual(["prm_1", "prm_4", "prm_2", "prm_3"]);
  expect(ids(false)).toEqual(["prm_1", "prm_2", "prm_3", "prm_4"]);
  expect(enqueued(rows, prompt("prm_5"), (p) => p, true).at(-1)?.id).toBe("prm_5");
});
