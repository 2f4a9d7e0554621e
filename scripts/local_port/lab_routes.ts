/**
 * The routes of the lab: its page, and what tests ask and set.
 *
 * @module
 */
import { errorReply, type Reply, reply } from "./call.ts";
import { draw } from "./drawing.ts";
import type { Events } from "./events.ts";
import { FAILURES, type FailureSettings } from "./failures.ts";
import { makeBlueprintGraph, makeEntityGraph } from "./graph.ts";
import { HttpError } from "./http_error.ts";
import { changeRun, viewRun } from "./lab_runs.ts";
import { type Json, parseTime } from "./model.ts";
import { PAGE } from "./page.ts";
import type { RateLimit } from "./rate_limit.ts";
import { MAX_REQUESTS, readFilter } from "./request_log.ts";
import { readWhole, type RequestLog, waitForRequests } from "./request_log.ts";
import { closed, makeCheck } from "./schemas.ts";
import type { Secrets } from "./secrets.ts";
import { findIncoming, viewCatalogue } from "./views.ts";
import type { World } from "./world.ts";

/** What the lab shows and changes. */
export interface LabOptions {
  world: World;
  requests: RequestLog;
  events: Events;
  secrets: Secrets;
  /** The version of the local Port. */
  version: string;
}

/** A request to the lab. */
export interface Ask extends LabOptions {
  query: URLSearchParams;
  body: unknown;
  startedAt: string;
  /** Ends with the connection. */
  signal: AbortSignal;
}

type Handler = (ask: Ask, ...segments: string[]) => Reply | Promise<Reply>;

/** The longest time that can be asked for, in milliseconds. */
const MAX_TIME = 60 * 60 * 1000;

const PAGE_ROUTES = Object.entries(PAGE).map(([name, [type, body]]) => {
  const headers = { "content-type": `${type}; charset=utf-8` };
  const handler: Handler = () => ({ status: 200, body, headers });
  return [`GET ${name}`, handler];
});

export const LAB_ROUTES: Record<string, Handler> = {
  ...Object.fromEntries(PAGE_ROUTES),

  "GET health": ({ version, startedAt }) => reply(200, { version, startedAt }),

  "GET requests": ({ query, requests }) =>
    reply(200, {
      requests: requests.list(readFilter(query)),
      last: requests.last,
    }),

  "GET requests/wait": async ({ query, requests, events, signal }) => {
    const filter = readFilter(query);
    const count = readWhole(query, "count", 1, MAX_REQUESTS);
    const timeout = readTime(query, "timeout", "10s");
    const wait = { count, timeout, signal };
    const found = await waitForRequests(requests, events, filter, wait);
    if (found.length >= count) return reply(200, { requests: found });
    const message = `${found.length} of ${count} requests came in ${timeout}ms`;
    return failWith(408, message, { requests: found });
  },

  "GET requests/:id": ({ requests }, id) =>
    reply(200, { ...requests.get(Number(id)) }),

  "DELETE requests": ({ requests, events }) => {
    requests.clear();
    events.emit("clear");
    return reply(200, {});
  },

  "POST reset": ({ world, requests, events }) => {
    world.reset();
    requests.clear();
    events.emit("reset");
    return reply(200, {});
  },

  "GET failures": ({ world }) => reply(200, viewFailures(world)),

  "PUT failures": ({ world, body, events }) => {
    const { rateLimit, ...settings } = checkFailures(body);
    Object.assign(world.failures.settings, settings);
    if (rateLimit !== undefined) world.setRateLimit(rateLimit);
    events.emit("failures");
    return reply(200, viewFailures(world));
  },

  "POST expire-tokens": ({ world }) => {
    world.login.expire();
    return reply(200, {});
  },

  "GET runs": ({ world: { runs } }) =>
    reply(200, { runs: runs.all().map(({ run }) => viewRun(runs, run.id)) }),

  "POST runs/:id": ({ world: { runs }, body, events }, id) => {
    changeRun(runs, id, body);
    for (const id of runs.takeChanges()) events.emit("run", { id });
    return reply(200, { run: viewRun(runs, id) });
  },

  "GET catalogue": ({ world }) =>
    reply(200, { blueprints: viewCatalogue(world.catalogue) }),

  "GET entities": ({ query, world }) =>
    reply(200, {
      entities: world.catalogue.entities(read(query, "blueprint")),
    }),

  "GET graph.svg": showGraph,

  "GET entity": ({ query, world: { catalogue }, requests }) => {
    const ref = [read(query, "blueprint"), read(query, "identifier")] as const;
    return reply(200, {
      entity: catalogue.entity(...ref),
      incoming: findIncoming(catalogue, ...ref),
      requests: requests.changesOf(...ref),
    });
  },
};

const checkFailures = makeCheck<
  Partial<FailureSettings & { rateLimit: RateLimit | null }>
>(closed({}, {
  failRate: { type: "number", minimum: 0, maximum: 1 },
  kinds: {
    type: "array",
    items: { enum: FAILURES },
    minItems: 1,
    uniqueItems: true,
  },
  latency: { type: "number", minimum: 0, maximum: MAX_TIME },
  rateLimit: {
    ...closed({
      requests: { type: "integer", minimum: 1 },
      period: { type: "integer", minimum: 1 },
    }),
    type: ["object", "null"],
  },
}));

function viewFailures({ failures, rateLimit }: World): Json {
  return { ...failures.settings, rateLimit, allKinds: FAILURES };
}

/** The most nodes that a drawing can have and be read. */
const MAX_NODES = 40;

function showGraph({ query, world: { catalogue }, secrets }: Ask): Reply {
  const graph = query.size === 0
    ? makeBlueprintGraph(catalogue)
    : makeEntityGraph(
      catalogue,
      read(query, "blueprint"),
      read(query, "identifier"),
    );
  if (graph.nodes.length <= MAX_NODES) {
    const headers = { "content-type": "image/svg+xml; charset=utf-8" };
    return { status: 200, body: draw(graph, secrets.hide), headers };
  }
  const nodes = graph.nodes.map(({ href, label }) => ({ href, label }));
  const message = `${nodes.length} nodes are too many for a drawing ` +
    `(at most ${MAX_NODES})`;
  return failWith(413, message, { nodes });
}

/** An error with more than a message. */
function failWith(status: number, message: string, more: Json): Reply {
  const { body } = errorReply(new HttpError(status, message));
  return { status, body: { ...Object(body), ...more } };
}

/** The query parameters of routes that have some. */
const QUERIES: Record<string, string[]> = {
  requests: ["path", "status", "since"],
  "requests/wait": ["path", "status", "since", "count", "timeout"],
  entities: ["blueprint"],
  "graph.svg": ["blueprint", "identifier"],
  entity: ["blueprint", "identifier"],
};

function read(query: URLSearchParams, name: string): string {
  const value = query.get(name);
  if (value) return value;
  throw new HttpError(422, `Missing the parameter "${name}"`);
}

function readTime(query: URLSearchParams, name: string, byDefault: string) {
  const text = query.get(name) || byDefault;
  const time = parseTime(text);
  if (time <= MAX_TIME) return time;
  throw new HttpError(
    422,
    `"${name}" must be a time up to 1h such as 500ms or 30s, not "${text}"`,
  );
}

/** A parameter with a typing error must not be taken for no parameter. */
export function requireKnown(path: string, query: URLSearchParams): void {
  const known = QUERIES[path];
  const wrong = known &&
    [...query.keys()].find((name) => !known.includes(name));
  if (wrong === undefined) return;
  throw new HttpError(
    422,
    `Unknown parameter "${wrong}", the known ones are ${known?.join(", ")}`,
  );
}
