/**
 * Port's routes for self-service actions, their runs and the logs of those.
 *
 * @module
 */
import { type Call, reply, type Routes } from "./call.ts";
import { HttpError } from "./http_error.ts";
import { type Json, omitNullish } from "./model.ts";
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
const checkLog = makeCheck<
  { message: string; terminationStatus?: string; statusLabel?: string }
>(closed({ message: TEXT }, {
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
  "POST actions/:action/runs": (call, action) => {
    const { body, query, actions, approval, runs } = call;
    if (!actions.includes(action)) {
      const message = `Action with identifier "${action}" does not exist`;
      throw new HttpError(404, message);
    }
    const content = checkRun(body);
    const runAs = query.get("run_as");
    if (runAs !== null) checkRunAs({ run_as: runAs });
    const createdBy = runAs ?? "local-port";
    const needsApproval = approval.includes(action);
    const run = runs.start(action, needsApproval, { ...content, createdBy });
    return reply(202, { run });
  },

  "GET actions/runs/:run": ({ runs }, id) =>
    reply(200, { run: runs.get(id).run }),

  "PATCH actions/runs/:run": (call, id) => {
    refuseIfSynchronized(call, id);
    const { externalRunId: _, message: __, ...change } = checkRunPatch(
      call.body,
    );
    return reply(200, { run: call.runs.update(id, change) });
  },

  "GET actions/runs/:run/logs": ({ runs, query }, id) => {
    const { logs } = runs.get(id);
    const { limit, offset } = checkPage({
      limit: Number(query.get("limit") ?? 50),
      offset: Number(query.get("offset") ?? 0),
    });
    return reply(200, { runLogs: logs.slice(offset, offset + limit) });
  },

  "POST actions/runs/:run/logs": (call, id) => {
    const { runs, body } = call;
    runs.get(id);
    const { message, terminationStatus: status, statusLabel } = checkLog(body);
    const change = omitNullish({ status, statusLabel });
    if (Object.keys(change).length > 0) {
      refuseIfSynchronized(call, id);
      runs.update(id, change);
    }
    return reply(201, { runLog: runs.addLog(id, message) });
  },
};

/** Port takes the status of such a run from the answer to its webhook. */
function refuseIfSynchronized({ runs, synchronized }: Call, id: string): void {
  const { identifier } = runs.get(id).run.action;
  if (!synchronized.includes(identifier)) return;
  throw new HttpError(
    422,
    `The action "${identifier}" is synchronized, its runs cannot be updated`,
    "run_synchronized_error",
  );
}
