/** Writes that a person asks for with a button: pressed twice they are done once, and repeated after an answer that was lost, too. */
import { useMutation, useQueryClient, type QueryKey } from "@tanstack/react-query";
import { useRef, useState } from "react";
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
}

/**
 * `write` gets the body and a key that stays the same while the same is tried again. `refresh`: what to fetch anew when it is
 * done. Body and answer may be secret: they stay out of the cache of mutations, which outlives the form.
 */
export function useWrite<Body = void, Answer = void>(
  write: (body: Body, key: string) => Promise<Answer>,
  { refresh = [], onDone }: { refresh?: readonly QueryKey[]; onDone?: (answer: Answer, body: Body) => void } = {},
): Write<Body, Answer> {
  const client = useQueryClient();
  // What was tried last, and not answered well yet.
  const tried = useRef<{ text: string; body: Body; key: string } | null>(null);
  const [answer, setAnswer] = useState<Answer>();
  // The mutation says a moment later that it is pending: too late for the second press of two.
  const going = useRef(false);
  const { mutate, isPending, isSuccess, error } = useMutation({
    mutationFn: async () => {
      if (tried.current === null) return;
      const { body, key } = tried.current;
      const given = await write(body, key);
      tried.current = null;
      setAnswer(() => given);
      await Promise.all(refresh.map((queryKey) => client.invalidateQueries({ queryKey })));
      onDone?.(given, body);
    },
    onSettled: () => {
      going.current = false;
    },
  });
  const run = (body: Body) => {
    if (going.current) return;
    going.current = true;
    const text = JSON.stringify(body ?? null);
    tried.current = { text, body, key: tried.current?.text === text ? tried.current.key : newId("cmd") };
    mutate();
  };
  return { run, pending: isPending, error: error ? messageOf(error) : undefined, done: isSuccess, answer };
}
