/**
 * Action runs in the lab, which approves them and answers as their backend.
 *
 * @module
 */
import { HttpError } from "./http_error.ts";
import { type Json, omitNullish } from "./model.ts";
import type { Runs } from "./runs.ts";
import { BOOLEAN, closed, makeCheck, TEXT } from "./schemas.ts";

interface Change {
  approve?: boolean;
  log?: string;
  status?: "SUCCESS" | "FAILURE";
  statusLabel?: string;
}

const checkChange = makeCheck<Change>({
  ...closed({}, {
    approve: BOOLEAN,
    log: TEXT,
    status: { enum: ["SUCCESS", "FAILURE"] },
    statusLabel: TEXT,
  }),
  minProperties: 1,
  // An approval stands alone.
  if: { required: ["approve"] },
  then: { maxProperties: 1 },
});

/** A run in short, with its log. */
export function viewRun(runs: Runs, id: string): Json {
  const { run, logs } = runs.get(id);
  const { action, entity, source: _, ...rest } = run;
  return {
    ...rest,
    action: action.identifier,
    ...(entity && { entity: entity.identifier }),
    logs: logs.map(({ message, createdAt }) => ({ message, createdAt })),
  };
}

/** Approves or declines a run, or writes to it as its backend. */
export function changeRun(runs: Runs, id: string, body: unknown): void {
  const { status: before } = runs.get(id).run;
  const { approve, log, status, statusLabel } = checkChange(body);
  const needed = approve === undefined ? "IN_PROGRESS" : "WAITING_FOR_APPROVAL";
  if (before !== needed) {
    const message = `Action run "${id}" is ${before}, not ${needed}`;
    throw new HttpError(409, message, "conflict");
  }
  if (approve !== undefined) runs.decide(id, approve);
  if (log !== undefined) runs.addLog(id, log);
  const change = omitNullish({ status, statusLabel });
  if (Object.keys(change).length > 0) runs.update(id, change);
}
