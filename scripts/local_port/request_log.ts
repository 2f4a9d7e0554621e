/**
 * The requests that Port's routes received, for the lab.
 *
 * @module
 */
import type { Reply } from "./call.ts";
import type { Ref } from "./catalogue.ts";
import type { Events } from "./events.ts";
import type { Failure } from "./failures.ts";
import { HttpError } from "./http_error.ts";
import type { Secrets } from "./secrets.ts";

/** The most requests that are kept. */
export const MAX_REQUESTS = 1000;

/** A request in short. */
export interface Summary {
  id: number;
  time: string;
  method: string;
  /** With the query. */
  path: string;
  status: number;
  ms: number;
  /** The User-Agent. */
  client: string;
  /** How it was made to fail. */
  failure?: Failure;
  /** Port's message, or that of the first entity that failed. */
  reason?: string;
  /** The entities that it changed. */
  changed: Ref[];
  /** How many of many entities failed. */
  failed: number;
}

/** All that is kept of a request. */
export interface RequestRecord extends Summary {
  body: string;
  answer: string;
  traceId: string;
}

/** A request and its reply, as they arrive here. */
export interface Exchange {
  time: string;
  method: string;
  url: string;
  ms: number;
  client: string;
  failure: Failure | "none";
  changed: Ref[];
  body: Uint8Array;
  reply: Reply;
  traceId: string;
}

/** Which requests are meant. */
export interface Filter {
  path: string;
  /** Starts of the status; none for all. */
  statuses: string[];
  /** The id after which they came. */
  since: number;
}

export class RequestLog {
  readonly #records = new Map<number, RequestRecord>();
  readonly #secrets: Secrets;
  #last = 0;

  constructor(secrets: Secrets) {
    this.#secrets = secrets;
  }

  /** The newest id that was given; ids are not given again. */
  get last(): number {
    return this.#last;
  }

  add({ url, body, reply, failure, ...rest }: Exchange): Summary {
    const { hide, hideAssigned, show } = this.#secrets;
    const { message, errors } = Object(reply.body);
    const failed: { message: string }[] = Array.isArray(errors) ? errors : [];
    const reason: unknown = message ?? failed[0]?.message;
    const answer = typeof reply.body === "string"
      ? reply.body
      : JSON.stringify(reply.body);
    const record: RequestRecord = {
      ...rest,
      id: ++this.#last,
      path: hideAssigned(url),
      client: hide(rest.client),
      status: reply.status,
      failed: failed.length,
      ...(failure !== "none" && { failure }),
      ...(typeof reason === "string" && { reason: hideAssigned(reason) }),
      body: show(new TextDecoder().decode(body)),
      answer: show(answer),
    };
    this.#records.set(record.id, record);
    this.#records.delete(record.id - MAX_REQUESTS);
    return summarize(record);
  }

  /** The oldest first. */
  list({ path, statuses, since }: Filter): Summary[] {
    const isMeant = (record: RequestRecord) =>
      record.id > since && record.path.includes(path) &&
      (statuses.length === 0 ||
        statuses.some((start) => String(record.status).startsWith(start)));
    return [...this.#records.values()].filter(isMeant).map(summarize);
  }

  /** The requests that changed an entity. */
  changesOf(blueprint: string, identifier: string): Summary[] {
    return [...this.#records.values()].filter(({ changed }) =>
      changed.some((ref) => ref[0] === blueprint && ref[1] === identifier)
    ).map(summarize);
  }

  get(id: number): RequestRecord {
    const record = this.#records.get(id);
    if (record) return record;
    throw new HttpError(404, "The request does not exist, or not any more");
  }

  clear(): void {
    this.#records.clear();
  }
}

function summarize(
  { body: _, answer: __, traceId: ___, ...summary }: RequestRecord,
): Summary {
  return summary;
}

/** Returns the requests as soon as enough came, or those of the timeout (ms). */
export async function waitForRequests(
  requests: RequestLog,
  events: Events,
  filter: Filter,
  wait: { count: number; timeout: number; signal: AbortSignal },
): Promise<Summary[]> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const check = () => {
    const isOver = wait.signal.aborted ||
      requests.list(filter).length >= wait.count;
    if (isOver) resolve();
  };
  const stop = events.listen(check);
  const timer = setTimeout(resolve, wait.timeout);
  wait.signal.addEventListener("abort", check);
  check();
  await promise;
  clearTimeout(timer);
  stop();
  return requests.list(filter);
}

/** Reads `?path=&status=&since=`. */
export function readFilter(query: URLSearchParams): Filter {
  const statuses = (query.get("status") ?? "").split(",").filter(Boolean);
  const wrong = statuses.find((status) => !/^[1-5](?:\d\d|xx)$/.test(status));
  if (wrong !== undefined) {
    throw new HttpError(
      422,
      `"status" must be such as 404, 4xx or 404,5xx, not "${wrong}"`,
    );
  }
  return {
    path: query.get("path") ?? "",
    statuses: statuses.map((status) => status.replace("xx", "")),
    since: readWhole(query, "since", 0, Number.MAX_SAFE_INTEGER),
  };
}

/** Reads a whole number from 0 to a maximum. */
export function readWhole(
  query: URLSearchParams,
  name: string,
  byDefault: number,
  max: number,
): number {
  const text = query.get(name) || String(byDefault);
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (number <= max) return number;
  throw new HttpError(422, `"${name}" must be a whole number up to ${max}`);
}
