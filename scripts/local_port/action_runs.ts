/**
 * Self-service actions: their runs, and what is logged to those.
 *
 * @module
 */
import { type Call, ok, type Reply } from "./call.ts";
import { present } from "./entities.ts";
import type { Json } from "./model.ts";
import { notFound } from "./refusal.ts";
import {
  checkEmail,
  checkLogLimit,
  checkLogOffset,
  checkRun,
  checkRunLog,
  checkRunPatch,
  insist,
} from "./schemas.ts";

interface Run extends Json {
  id: string;
}

/** Self-service actions: their runs, and what is logged to those. */
export class Actions {
  readonly #actions: string[];
  readonly #runs = new Map<string, Run>();
  readonly #logs = new Map<string, Json[]>();

  constructor(actions: string[]) {
    this.#actions = actions;
  }

  answer(call: Call): Reply | undefined {
    const [_, first = "", second = "", third] = call.path;
    const size = call.path.length;
    if (size === 3 && first === "runs") return this.#oneRun(call, second);
    if (size === 4 && first === "runs" && third === "logs") {
      return this.#runLogs(call, second);
    }
    if (size === 3 && second === "runs" && call.method === "POST") {
      return this.#start(call, first);
    }
  }

  #run(id: string): Run {
    const run = this.#runs.get(id);
    if (run) return run;
    throw notFound(`Action run with id "${id}" does not exist`);
  }

  #start({ body, query }: Call, action: string): Reply {
    if (!this.#actions.includes(action)) {
      throw notFound(`Action with identifier "${action}" does not exist`);
    }
    insist(checkRun, body, "body");
    const runAs = query.get("run_as");
    if (runAs !== null) insist(checkEmail, runAs, "run_as");
    const { properties, entity } = body as {
      properties: Json;
      entity?: string;
    };
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
    this.#runs.set(run.id, run);
    return ok(202, { run });
  }

  #oneRun({ method, body }: Call, id: string): Reply | undefined {
    const run = this.#run(id);
    if (method === "GET") return ok(200, { run });
    if (method !== "PATCH") return undefined;
    insist(checkRunPatch, body, "body");
    const { externalRunId: _, message: __, ...change } = body as Json;
    return ok(200, { run: this.#change(run, change) });
  }

  #change(run: Run, change: Json): Run {
    const now = new Date().toISOString();
    const ended = change.status ? { endedAt: now } : {};
    const changed = { ...run, ...change, ...ended, updatedAt: now };
    this.#runs.set(run.id, changed);
    return changed;
  }

  #runLogs({ method, body, query }: Call, id: string): Reply | undefined {
    const run = this.#run(id);
    const logs = this.#logs.get(id) ?? [];
    if (method === "GET") {
      const offset = Number(query.get("offset") ?? 0);
      const limit = Number(query.get("limit") ?? 50);
      insist(checkLogLimit, limit, "limit");
      insist(checkLogOffset, offset, "offset");
      return ok(200, { runLogs: logs.slice(offset, offset + limit) });
    }
    if (method !== "POST") return undefined;
    insist(checkRunLog, body, "body");
    const { message, terminationStatus, statusLabel } = body as Json;
    const change = present({ status: terminationStatus, statusLabel });
    if (Object.keys(change).length > 0) this.#change(run, change);
    const runLog = {
      id: `l_${crypto.randomUUID()}`,
      runId: id,
      message,
      createdBy: "local-port",
      createdAt: new Date().toISOString(),
    };
    this.#logs.set(id, [...logs, runLog]);
    return ok(201, { runLog });
  }
}
