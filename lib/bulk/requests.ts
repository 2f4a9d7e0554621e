/**
 * What a run asks Port.
 *
 * @module
 */
import { getBlueprint } from "../blueprint.ts";
import {
  apiPath,
  type Attempt,
  type JsonObject,
  type Port,
  type UpsertOptions,
  upsertQuery,
} from "../port.ts";
import type { Rule } from "../rules.ts";
import { searchEntities } from "../search.ts";
import { toQuery } from "../where.ts";
import type { Pacer } from "./pace.ts";
import type { BulkAnswer } from "./run.ts";
import { type EntityTypes, typesIn } from "./types.ts";

/** How a run asks. */
export interface RequestsOptions {
  /** How entities are upserted. */
  upsert: UpsertOptions;
  /** What marks entities that may be deleted. */
  rules: Rule[];
  /** Learns the rate limit of upserts. */
  pacer: Pacer;
  /** Cancels all requests. */
  signal: AbortSignal;
}

/** Sends the requests of a run, all but its deletions. */
export class Requests {
  /**
   * When the first answer came, in milliseconds since 1970 by Port's clock: that
   * of a proxy, which may answer too, need not agree.
   */
  began: number = Number.NaN;
  readonly #port: Port;
  readonly #options: RequestsOptions;
  /** What is sent with each request. */
  readonly #request: {
    signal: AbortSignal;
    onAttempt: (attempt: Attempt) => void;
  };

  /**
   * Creates it; nothing is sent.
   *
   * @param port Port.
   * @param options How to ask.
   */
  constructor(port: Port, options: RequestsOptions) {
    this.#port = port;
    this.#options = options;
    this.#request = {
      signal: options.signal,
      onAttempt: ({ status, headers }) => {
        if (status !== 200) return;
        this.began ||= Date.parse(headers?.get("date") ?? "");
      },
    };
  }

  /** Reads the types of a blueprint, once. */
  readonly typesOf: (blueprint: string) => Promise<EntityTypes> = once(
    async (blueprint) =>
      typesIn(await getBlueprint(this.#port, blueprint, this.#request)),
  );

  /** Reads what the rules mean for a blueprint, once. */
  readonly rulesOf: (blueprint: string) => Promise<JsonObject[]> = once(
    async (blueprint) => {
      const { rules } = this.#options;
      return (await toQuery(this.#port, rules, blueprint, this.#request)).rules;
    },
  );

  /**
   * Reads entities.
   *
   * @param blueprint Their blueprint.
   * @param identifiers Their identifiers, at most 1000.
   * @returns Those that exist.
   * @throws {PortError} If the request fails.
   */
  async read(
    blueprint: string,
    identifiers: string[],
  ): Promise<JsonObject[]> {
    const rule = {
      property: "$identifier",
      operator: "in",
      value: identifiers,
    };
    return await Array.fromAsync(searchEntities(this.#port, {
      blueprint,
      query: { combinator: "and", rules: [rule] },
      limit: identifiers.length,
      request: this.#request,
    }));
  }

  /**
   * Upserts entities in one request.
   *
   * @param blueprint Their blueprint.
   * @param entities The entities, at most 20.
   * @returns What became of each.
   * @throws {PortError} If the request fails.
   */
  async upsert(
    blueprint: string,
    entities: JsonObject[],
  ): Promise<BulkAnswer> {
    const { upsert, pacer } = this.#options;
    const path = apiPath("blueprints", blueprint, "entities", "bulk");
    const count = entities.length === 1
      ? "1 entity"
      : `${entities.length} entities`;
    const answer = await this.#port.request(
      "POST",
      path + upsertQuery(upsert),
      {
        ...this.#request,
        action: `upsert ${count} in blueprint "${blueprint}"`,
        body: { entities },
        idempotent: upsert.validateOnly === true ||
          entities.every(({ identifier }) => typeof identifier === "string"),
        expect: { entities: "array", errors: "array" },
        onAttempt: (attempt) => {
          pacer.learn(attempt);
          this.#request.onAttempt(attempt);
        },
      },
    );
    return answer as JsonObject & BulkAnswer;
  }
}

/** Makes a function that reads something of a blueprint only once. */
function once<Value>(
  read: (blueprint: string) => Promise<Value>,
): (blueprint: string) => Promise<Value> {
  const known = new Map<string, Promise<Value>>();
  return (blueprint) => {
    const value = known.get(blueprint) ?? read(blueprint);
    known.set(blueprint, value);
    return value;
  };
}
