/**
 * The runs of self-service actions.
 *
 * @module
 */
import { HttpError } from "./http_error.ts";
import type { Json } from "./model.ts";

/** A run of a self-service action. */
export interface Run extends Json {
  id: string;
  action: { identifier: string };
  entity?: { identifier: string };
  status: string;
}

export interface RunLog extends Json {
  message: string;
  createdAt: string;
}

interface Stored {
  run: Run;
  logs: RunLog[];
}

/** Such a run has not begun, or never will. */
const INACTIVE = ["WAITING_FOR_APPROVAL", "DECLINED"];

export class Runs {
  readonly #stored = new Map<string, Stored>();
  readonly #changed = new Set<string>();

  /** The ids of those that have changed since it was last asked. */
  takeChanges(): string[] {
    const ids = [...this.#changed];
    this.#changed.clear();
    return ids;
  }

  all(): Stored[] {
    return [...this.#stored.values()];
  }

  get(id: string): Stored {
    const stored = this.#stored.get(id);
    if (stored) return stored;
    throw new HttpError(404, `Action run with id "${id}" does not exist`);
  }

  start(
    action: string,
    needsApproval: boolean,
    rest: { properties: Json; createdBy: string; entity?: string },
  ): Run {
    const { entity, ...content } = rest;
    const now = new Date().toISOString();
    const run = {
      ...content,
      id: `r_${crypto.randomUUID()}`,
      action: { identifier: action },
      ...(entity !== undefined && { entity: { identifier: entity } }),
      requiredApproval: needsApproval,
      source: "API",
      status: needsApproval ? "WAITING_FOR_APPROVAL" : "IN_PROGRESS",
      createdAt: now,
      updatedAt: now,
    };
    this.#stored.set(run.id, { run, logs: [] });
    this.#changed.add(run.id);
    return run;
  }

  /** Changes a run; a status ends it. */
  update(id: string, change: Json): Run {
    const isEnd = change.status !== undefined;
    return this.#change(this.#requireActive(id), change, isEnd);
  }

  addLog(id: string, message: string): RunLog {
    const { logs } = this.#requireActive(id);
    const log = {
      id: `l_${crypto.randomUUID()}`,
      runId: id,
      message,
      createdBy: "local-port",
      createdAt: new Date().toISOString(),
    };
    logs.push(log);
    this.#changed.add(id);
    return log;
  }

  /** Lets a run that waits begin, or declines it. */
  decide(id: string, isApproved: boolean): Run {
    const status = isApproved ? "IN_PROGRESS" : "DECLINED";
    return this.#change(this.get(id), { status }, !isApproved);
  }

  #change(stored: Stored, change: Json, isEnd: boolean): Run {
    const now = new Date().toISOString();
    const ended = isEnd ? { endedAt: now } : {};
    stored.run = { ...stored.run, ...change, ...ended, updatedAt: now };
    this.#changed.add(stored.run.id);
    return stored.run;
  }

  #requireActive(id: string): Stored {
    const stored = this.get(id);
    const { status } = stored.run;
    if (!INACTIVE.includes(status)) return stored;
    const message = `Action run "${id}" is ${status} and cannot be updated`;
    throw new HttpError(422, message);
  }
}
