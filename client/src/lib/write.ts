/** Writes that a person asks for with a button: pressed twice they are done once, and repeated after an answer that was lost, too. */
import { useMutation, useQueryClient, type QueryKey } from "@tanstack/react-query";
import { useRef } from "react";
import { messageOf } from "@/lib/api";
import { newId } from "@/lib/ids";

/** One kind of write, and how the last one went. */
export interface Write<Body, Answer> {
  readonly run: (body: Body) => void;
  readonly pending: boolean;
  /** What went wrong, for the person. */
  readonly error: string | undefined;
  /** The last one was done. */
  readonly done: boolean;
  /** What the last one was answered. */
  readonly answer: Answer | undefined;
  /** What is being written, or was. */
  readonly body: Body | undefined;
  /** Forgets how the last one went. */
  readonly reset: () => void;
}

/** `write` gets the body and a key that stays the same while the same is tried again. `refresh`: what to fetch anew when it is done. */
export function useWrite<Body = void, Answer = void>(
  write: (body: Body, key: string) => Promise<Answer>,
  { refresh = [], onDone }: { refresh?: readonly QueryKey[]; onDone?: (answer: Answer, body: Body) => void } = {},
): Write<Body, Answer> {
  const client = useQueryClient();
  const tried = useRef<{ body: string; key: string } | null>(null);
  // The mutation says a moment later that it is pending: too late for the second press of two.
  const going = useRef(false);
  const { mutate, isPending, isSuccess, error, data, variables, reset } = useMutation({
    mutationFn: (body: Body) => {
      const text = JSON.stringify(body ?? null);
      if (tried.current?.body !== text) tried.current = { body: text, key: newId("cmd") };
      return write(body, tried.current.key);
    },
    onSettled: () => {
      going.current = false;
    },
    onSuccess: async (answer, body) => {
      tried.current = null;
      await Promise.all(refresh.map((queryKey) => client.invalidateQueries({ queryKey })));
      onDone?.(answer, body);
    },
  });
  const run = (body: Body) => {
    if (going.current) return;
    going.current = true;
    mutate(body);
  };
  return { run, pending: isPending, error: error ? messageOf(error) : undefined, done: isSuccess, answer: data, body: variables, reset };
}
