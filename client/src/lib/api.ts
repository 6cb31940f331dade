/** The REST API: one function for a call, one error type. What is cached and when is the features' business. */
import type { ErrorBody } from "@/protocol/ErrorBody";
import type { ErrorCode } from "@/protocol/ErrorCode";

/** A call that did not succeed, with words for the person. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** `offline` when no answer came at all. */
  readonly code: ErrorCode | "offline";
  readonly status: number;
  readonly requestId: string | undefined;

  constructor(code: ErrorCode | "offline", message: string, status: number, requestId?: string) {
    super(message);
    this.code = code;
    this.status = status;
    this.requestId = requestId;
  }
}

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/**
 * Calls the Worker; the type of the answer is the caller's promise about the route. `key` is the caller's own name for a
 * write: the same again under the same key is done once.
 */
export async function call<T>(method: Method, path: string, body?: unknown, signal?: AbortSignal, key?: string): Promise<T> {
  const response = await ask(method, path, body, signal, key);
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

/** As {@link call}, for answers that are not JSON; whatever is no success is thrown. */
export async function ask(method: Method, path: string, body?: unknown, signal?: AbortSignal, key?: string): Promise<Response> {
  const headers: Record<string, string> = { accept: "application/json" };
  const init: RequestInit = { method, headers, credentials: "same-origin" };
  if (body !== undefined) {
    headers["content-type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  if (key !== undefined) headers["idempotency-key"] = key;
  if (signal) init.signal = signal;
  const response = await fetch(path, init).catch((cause: unknown) => {
    if (signal?.aborted) throw cause;
    throw new ApiError("offline", "Errand does not answer. Check that it is running, then try again.", 0);
  });
  if (!response.ok) throw await errorFrom(response);
  return response;
}

async function errorFrom(response: Response): Promise<ApiError> {
  const body = (await response.json().catch(() => null)) as Partial<ErrorBody> | null;
  if (body?.error) {
    return new ApiError(body.error.code, body.error.message, response.status, body.error.requestId);
  }
  return new ApiError("internal", `Errand answered ${response.status} without saying why.`, response.status);
}

/** What to show for anything that was thrown. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error) || error.message === "") return "Something went wrong.";
  const { message } = error;
  // The API says it as a part of a sentence; here it stands by itself.
  return `${message.slice(0, 1).toUpperCase()}${message.slice(1)}${/[.!?…”]$/.test(message) ? "" : "."}`;
}
