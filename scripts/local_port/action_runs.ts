/**
 * Port's routes for self-service actions, their runs and the logs of those.
 *
 * @module
 */
import { type Call, reply, type Routes } from "./call.ts";
import { HttpError } from "./http_error.ts";
import { type Json, omitNullish, type Run } from "./model.ts";
import { closed, makeCheck, OBJECT, TEXT } from "./schemas.ts";

const END_STATUS = { enum: ["SUCCESS", "FAILURE"] };

const checkRun = makeCheck<{ properties: Json; entity?: string }>(
  closed({ properties: OBJECT }, { entity: TEXT }),
);
const checkRunPatch = makeCheck<Json>(closed({}, {
  status: END_STATUS,
  statusLabel: TEXT,
  link: { type: ["string", "array"], items: TEXT },
  summary: TEXT,
  message: OBJECT,
  externalRunId: TEXT,
}));
const checkLog = makeCheck<Json>(closed({ message: TEXT }, {
  terminationStatus: END_STATUS,
  statusLabel: TEXT,
}));
const checkRunAs = makeCheck<{ run_as: string }>(
  closed({ run_as: { type: "string", format: "email" } }),
);
const checkPage = makeCheck<{ limit: number; offset: number }>(closed({
  limit: { type: "number", minimum: 1, maximum: 50 },
  offset: { type: "number", minimum: 0 },
}));

export const ACTION_RUN_ROUTES: Routes = {
  "POST actions/:action/runs": ({ body, query, actions, runs }, action) => {
    if (!actions.includes(action)) {
      const message = `Action with identifier "${action}" does not exist`;
      throw new HttpError(404, message);
    }
    const { properties, entity } = checkRun(body);
    const runAs = query.get("run_as");
    if (runAs !== null) checkRunAs({ run_as: runAs });
    const now = new Date().toISOString();
    const run = {
      id: `r_${crypto.randomUUID()}`,
      action: { identifier: action },
      properties,
      ...(entity !== undefined && { entity: { identifier: entity } }),
      requiredApproval: false,
      source: "API",
      status: "IN_PROGRESS",
      createdBy: runAs ?? "local-port",
      createdAt: now,
      updatedAt: now,
    };
    runs.set(run.id, { run, logs: [] });
    return reply(202, { run });
  },

  "GET actions/runs/:run": (call, id) =>
    reply(200, { run: findRun(call, id).run }),

  "PATCH actions/runs/:run": (call, id) => {
    const stored = findRun(call, id);
    refuseIfSynchronized(call, stored);
    const { externalRunId: _, message: __, ...change } = checkRunPatch(
      call.body,
    );
    return reply(200, { run: updateRun(stored, change) });
  },

  "GET actions/runs/:run/logs": (call, id) => {
    const { logs } = findRun(call, id);
    const { limit, offset } = checkPage({
      limit: Number(call.query.get("limit") ?? 50),
      offset: Number(call.query.get("offset") ?? 0),
    });
    return reply(200, { runLogs: logs.slice(offset, offset + limit) });
  },

  "POST actions/runs/:run/logs": (call, id) => {
    const stored = findRun(call, id);
    const { message, terminationStatus: status, statusLabel } = checkLog(
      call.body,
    );
    const change = omitNullish({ status, statusLabel });
    if (Object.keys(change).length > 0) {
      refuseIfSynchronized(call, stored);
      updateRun(stored, change);
    }
    const runLog = {
      id: `l_${crypto.randomUUID()}`,
      runId: id,
      message,
      createdBy: "local-port",
      createdAt: new Date().toISOString(),
    };
    stored.logs.push(runLog);
    return reply(201, { runLog });
  },
};

function findRun({ runs }: Call, id: string): Run {
  const run = runs.get(id);
  if (run) return run;
  throw new HttpError(404, `Action run with id "${id}" does not exist`);
}

/** Port takes the status of such a run from the answer to its webhook. */
function refuseIfSynchronized({ synchronized }: Call, { run }: Run): void {
  const { identifier } = Object(run.action);
  if (!synchronized.includes(identifier)) return;
  throw new HttpError(
    422,
    `The action "${identifier}" is synchronized, its runs cannot be updated`,
    "run_synchronized_error",
  );
}

function updateRun(stored: Run, change: Json): Json {
  const now = new Date().toISOString();
  const ended = change.status ? { endedAt: now } : {};
  stored.run = { ...stored.run, ...change, ...ended, updatedAt: now };
  return stored.run;
}
