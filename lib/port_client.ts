/**
 * Port's API: the token, requests that survive a bad day, and one method for
 * each operation. The only file that calls `fetch`.
 *
 * @module
 */
import type { Entity } from "./entity.ts";
import {
  type Answer,
  describe,
  errorFor,
  formatSeconds,
  readAnswer,
  type Silence,
  silenceFor,
} from "./answer.ts";
import { UnreachableError, UsageError } from "./errors.ts";
import { isJsonObject, type JsonObject } from "./json.ts";
import {
  blueprintRequest,
  bulkDeleteRequest,
  bulkUpsertRequest,
  createRunRequest,
  type Credentials,
  type DeleteOptions,
  deleteRequest,
  type GetOptions,
  getRequest,
  loginRequest,
  type PortRequest,
  runLogRequest,
  runRequest,
  type Search,
  searchRequest,
  type UpsertOptions,
  upsertRequest,
} from "./requests.ts";
import { isWorthRetrying, retryDelay } from "./retry.ts";

/** What a {@linkcode PortClient} needs to know. */
export interface PortClientOptions {
  /** Where Port's API is, without the `/v1` of its paths. */
  apiUrl: string;
  /** Gives the credentials, when the first token is needed. */
  credentials: () => Credentials;
  /**
   * The most that one call may take, retries included, in milliseconds.
   *
   * @default {120000}
   */
  timeout?: number;
  /**
   * The most that one attempt may take, in milliseconds.
   *
   * @default {30000}
   */
  attemptTimeout?: number;
  /**
   * How many further attempts may follow a failed one.
   *
   * @default {4}
   */
  retries?: number;
  /** Called after each attempt, for progress. */
  onAttempt?: (attempt: Attempt) => void;
  /** Sends one request; given by tests. */
  fetch?: typeof globalThis.fetch;
  /** The present time in milliseconds since 1970; given by tests. */
  now?: () => number;
  /** Waits so many milliseconds; given by tests. */
  sleep?: (milliseconds: number) => Promise<void>;
  /** A random number from 0 up to 1; given by tests. */
  random?: () => number;
}

/** One attempt at a request, and what came of it. */
export interface Attempt {
  /** The HTTP method. */
  method: string;
  /** Path and query, without the host. */
  path: string;
  /** The number of this attempt, from 1. */
  attempt: number;
  /** What Port answered, or why there is no answer, for people. */
  outcome: string;
  /** How long the attempt took, in milliseconds. */
  milliseconds: number;
  /** How long the wait before the next attempt is, in milliseconds. */
  retryIn?: number;
  /** What Port says of its rate limit among others; nothing without answer. */
  headers?: Headers;
}

/** What became of the entities of one bulk request. */
export interface BulkAnswer {
  /** Those that got in, each with its index in the request. */
  entities: { index: number; created: boolean }[];
  /** Those that did not. */
  errors: { index: number; statusCode: number; message: string }[];
}

/** Talks to Port. One token serves all its calls. */
export class PortClient {
  readonly #options: Required<PortClientOptions>;
  /** What must not appear in an error, whatever a server writes into it. */
  readonly #secrets: string[] = [];
  readonly #listeners: ((attempt: Attempt) => void)[] = [];
  #token: Promise<string> | undefined;
  #renewAt = Infinity;

  /**
   * Makes a client; nothing is sent before the first call.
   *
   * @param options Where Port is, the credentials, and the limits.
   */
  constructor(options: PortClientOptions) {
    this.#options = {
      timeout: 120_000,
      attemptTimeout: 30_000,
      retries: 4,
      onAttempt: () => {},
      fetch: globalThis.fetch,
      now: Date.now,
      sleep: (milliseconds) =>
        new Promise((resolve) => setTimeout(resolve, milliseconds)),
      random: Math.random,
      ...options,
    };
  }

  /**
   * Tells of each attempt, of whatever request.
   *
   * @param listener Called after each attempt.
   */
  listen(listener: (attempt: Attempt) => void): void {
    this.#listeners.push(listener);
  }

  /**
   * Creates an entity or updates the one that is there.
   *
   * @param blueprint Identifier of the blueprint.
   * @param entity The entity.
   * @param options How to treat what is there.
   * @returns The entity as Port holds it now.
   * @throws {ScriptError} Telling what Port or the network had against it.
   */
  async upsertEntity(
    blueprint: string,
    entity: Entity,
    options: UpsertOptions = {},
  ): Promise<JsonObject> {
    const request = upsertRequest(blueprint, entity, options);
    return await this.#part("entity", request);
  }

  /**
   * Reads an entity.
   *
   * @param blueprint Identifier of the blueprint.
   * @param identifier Identifier of the entity.
   * @param options Which part of it.
   * @returns The entity.
   * @throws {ScriptError} Telling what Port or the network had against it.
   */
  async getEntity(
    blueprint: string,
    identifier: string,
    options: GetOptions = {},
  ): Promise<JsonObject> {
    const request = getRequest(blueprint, identifier, options);
    return await this.#part("entity", request);
  }

  /**
   * Reads a blueprint.
   *
   * @param identifier Identifier of the blueprint.
   * @returns The blueprint.
   * @throws {ScriptError} Telling what Port or the network had against it.
   */
  async getBlueprint(identifier: string): Promise<JsonObject> {
    const request = blueprintRequest("get", "GET", identifier);
    return await this.#part("blueprint", request);
  }

  /**
   * Creates a blueprint.
   *
   * @param identifier Identifier of the blueprint.
   * @param blueprint The blueprint.
   * @returns The blueprint as Port holds it now.
   * @throws {ScriptError} Telling what Port or the network had against it.
   */
  async createBlueprint(
    identifier: string,
    blueprint: JsonObject,
  ): Promise<JsonObject> {
    return await this.#part("blueprint", {
      ...blueprintRequest("create", "POST", identifier, blueprint),
      path: "/v1/blueprints",
      // The second time Port would say that it is there already.
      idempotent: false,
    });
  }

  /**
   * Changes a blueprint.
   *
   * @param identifier Identifier of the blueprint.
   * @param change The members to set; each replaces the one that is there.
   * @returns The blueprint as Port holds it now.
   * @throws {ScriptError} Telling what Port or the network had against it.
   */
  async updateBlueprint(
    identifier: string,
    change: JsonObject,
  ): Promise<JsonObject> {
    const request = blueprintRequest("update", "PATCH", identifier, change);
    return await this.#part("blueprint", request);
  }

  /**
   * Replaces a blueprint: what is not named is lost.
   *
   * @param identifier Identifier of the blueprint.
   * @param blueprint The blueprint.
   * @returns The blueprint as Port holds it now.
   * @throws {ScriptError} Telling what Port or the network had against it.
   */
  async replaceBlueprint(
    identifier: string,
    blueprint: JsonObject,
  ): Promise<JsonObject> {
    const request = blueprintRequest("replace", "PUT", identifier, blueprint);
    return await this.#part("blueprint", request);
  }

  /**
   * Creates or updates many entities of one blueprint.
   *
   * @param blueprint Identifier of the blueprint.
   * @param entities At most 20.
   * @param options How to treat what is there.
   * @returns What became of each.
   * @throws {ScriptError} Telling what Port or the network had against all.
   */
  async bulkUpsert(
    blueprint: string,
    entities: Entity[],
    options: UpsertOptions = {},
  ): Promise<BulkAnswer> {
    const request = bulkUpsertRequest(blueprint, entities, options);
    const body = (await this.#call(request)).body as Partial<BulkAnswer> | null;
    if (Array.isArray(body?.entities) && Array.isArray(body.errors)) {
      return { entities: body.entities, errors: body.errors };
    }
    throw unusable(request, "no entities");
  }

  /**
   * Deletes an entity.
   *
   * @param blueprint Identifier of the blueprint.
   * @param identifier Identifier of the entity.
   * @param options What goes with it.
   * @throws {ScriptError} Telling what Port or the network had against it.
   */
  async deleteEntity(
    blueprint: string,
    identifier: string,
    options: DeleteOptions = {},
  ): Promise<void> {
    await this.#call(deleteRequest(blueprint, identifier, options));
  }

  /**
   * Deletes many entities of one blueprint.
   *
   * @param blueprint Identifier of the blueprint.
   * @param identifiers At most 100.
   * @param options What goes with them.
   * @returns The identifiers of those that were deleted.
   * @throws {ScriptError} Telling what Port or the network had against it.
   */
  async bulkDelete(
    blueprint: string,
    identifiers: string[],
    options: DeleteOptions = {},
  ): Promise<string[]> {
    const request = bulkDeleteRequest(blueprint, identifiers, options);
    const { body } = await this.#call(request);
    const deleted = isJsonObject(body) ? body.deletedEntities : undefined;
    if (Array.isArray(deleted)) return deleted.map(String);
    throw unusable(request, "no identifiers");
  }

  /**
   * Searches for entities, page after page.
   *
   * @param search What to look for.
   * @returns The entities.
   * @throws {ScriptError} Telling what Port or the network had against it.
   */
  async *searchEntities(search: Search): AsyncGenerator<JsonObject> {
    let from: string | undefined;
    do {
      const request = searchRequest({ ...search, from });
      const { body } = await this.#call(request);
      const { entities, next } = isJsonObject(body) ? body : {};
      if (!Array.isArray(entities)) throw unusable(request, "no entities");
      yield* entities.filter(isJsonObject);
      from = typeof next === "string" && next !== from ? next : undefined;
    } while (from !== undefined);
  }

  /**
   * Starts a self-service action.
   *
   * @param action Identifier of the action.
   * @param input What the action asks for, and the entity that it is about.
   * @param runAs The e-mail address of the user to run it as.
   * @returns The run.
   * @throws {ScriptError} Telling what Port or the network had against it.
   */
  async createRun(
    action: string,
    input: JsonObject,
    runAs?: string,
  ): Promise<JsonObject> {
    return await this.#part("run", createRunRequest(action, input, runAs));
  }

  /**
   * Reads an action run, or changes it.
   *
   * @param id Id of the run.
   * @param change What to change; nothing reads it.
   * @returns The run.
   * @throws {ScriptError} Telling what Port or the network had against it.
   */
  async run(id: string, change?: JsonObject): Promise<JsonObject> {
    return await this.#part("run", runRequest(id, change));
  }

  /**
   * Adds to the log of an action run.
   *
   * @param id Id of the run.
   * @param message What to add.
   * @throws {ScriptError} Telling what Port or the network had against it.
   */
  async addRunLog(id: string, message: string): Promise<void> {
    await this.#call(runLogRequest(id, { message }));
  }

  /**
   * Reads the log of an action run.
   *
   * @param id Id of the run.
   * @param offset How many messages to pass over.
   * @returns At most 50 messages.
   * @throws {ScriptError} Telling what Port or the network had against it.
   */
  async readRunLog(id: string, offset: number): Promise<string[]> {
    const request = runLogRequest(id, { offset });
    const { body } = await this.#call(request);
    const logs = isJsonObject(body) ? body.runLogs : undefined;
    if (!Array.isArray(logs)) throw unusable(request, "no log");
    return logs.filter(isJsonObject).map(({ message }) => String(message));
  }

  /** Sends a request and takes one member out of Port's answer. */
  async #part(name: string, request: PortRequest): Promise<JsonObject> {
    const { body } = await this.#call(request);
    const part = isJsonObject(body) ? body[name] : undefined;
    if (isJsonObject(part)) return part;
    throw unusable(request, `no ${name}`);
  }

  /** A token can be revoked before its time: a 401 is worth a new one, once. */
  async #call(request: PortRequest): Promise<Answer> {
    const deadline = this.#options.now() + this.#options.timeout;
    const token = this.#accessToken(deadline);
    const answer = await this.#send(request, deadline, await token);
    if (answer.status !== 401) return this.#accept(request, answer);
    if (this.#token === token) this.#token = undefined;
    const renewed = await this.#accessToken(deadline);
    return this.#accept(request, await this.#send(request, deadline, renewed));
  }

  /** All calls that need a token at the same time wait for the same one. */
  #accessToken(deadline: number): Promise<string> {
    if (this.#options.now() >= this.#renewAt) this.#token = undefined;
    this.#token ??= this.#logIn(deadline).catch((error) => {
      this.#token = undefined;
      throw error;
    });
    return this.#token;
  }

  async #logIn(deadline: number): Promise<string> {
    this.#renewAt = Infinity;
    const credentials = this.#options.credentials();
    this.#secrets.push(credentials.clientSecret);
    const request = loginRequest(credentials);
    const answer = this.#accept(request, await this.#send(request, deadline));
    const { accessToken, expiresIn } = isJsonObject(answer.body)
      ? answer.body
      : {};
    // A header takes no other characters, and its error would show the token.
    if (typeof accessToken !== "string" || !/^[!-~]+$/.test(accessToken)) {
      throw unusable(request, "no token");
    }
    this.#secrets.push(accessToken);
    // Port may say 0: such a token is used until it is refused.
    if (typeof expiresIn === "number" && expiresIn > 0) {
      this.#renewAt = this.#options.now() + renewalTime(expiresIn * 1000);
    }
    return accessToken;
  }

  /** Sends until there is an answer that another attempt would not change. */
  async #send(
    request: PortRequest,
    deadline: number,
    token?: string,
  ): Promise<Answer> {
    const { now, random, sleep, retries } = this.#options;
    const onAttempt = (attempt: Attempt) => {
      this.#options.onAttempt(attempt);
      for (const listener of this.#listeners) listener(attempt);
    };
    for (let attempt = 1;; attempt++) {
      const start = now();
      const outcome = await this.#attempt(request, deadline - start, token);
      const end = now();
      const description = this.#describe(outcome);
      const report = {
        method: request.method,
        path: request.path,
        attempt,
        outcome: description,
        milliseconds: end - start,
        ...(outcome.kind === "answered" && { headers: outcome.headers }),
      };
      const wait = retryDelay(outcome, attempt, end, random());
      const passing = isWorthRetrying(outcome, request.idempotent);
      if (passing && attempt <= retries && end + wait < deadline) {
        onAttempt({ ...report, retryIn: wait });
        await sleep(wait);
        continue;
      }
      onAttempt(report);
      if (!passing && outcome.kind === "answered") return outcome;
      const last = !passing
        ? ""
        : attempt > retries
        ? ` (attempt ${attempt}, the last)`
        : ` (the next attempt, in ${
          formatSeconds(wait)
        }, would pass --timeout)`;
      throw errorFor(request, outcome, description + last);
    }
  }

  async #attempt(
    request: PortRequest,
    remaining: number,
    token?: string,
  ): Promise<Answer | Silence> {
    const { apiUrl, attemptTimeout, fetch } = this.#options;
    const timeout = Math.max(0, Math.min(attemptTimeout, remaining));
    // On a connection that was used before, Deno itself repeats a request that
    // got no answer, whatever its method; on one of its own it does not.
    const client = request.idempotent ? undefined : Deno.createHttpClient({});
    try {
      const response = await fetch(apiUrl + request.path, {
        method: request.method,
        headers: {
          "accept": "application/json",
          ...(request.body !== undefined &&
            { "content-type": "application/json" }),
          ...(token !== undefined && { "authorization": `Bearer ${token}` }),
        },
        body: request.body ?? null,
        // The token must not follow a redirect to another host.
        redirect: "manual",
        signal: AbortSignal.timeout(timeout),
        ...(client && { client }),
      });
      return readAnswer(response, await response.text());
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw notAllowed(apiUrl);
      return silenceFor(error, timeout);
    } finally {
      client?.close();
    }
  }

  #accept(request: PortRequest, answer: Answer): Answer {
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw errorFor(request, answer, this.#describe(answer));
  }

  /** Says what came back, without secrets, in 500 characters at most. */
  #describe(outcome: Answer | Silence): string {
    return this.#secrets.reduce(
      (text, secret) => text.replaceAll(secret, "[secret]"),
      describe(outcome),
    ).slice(0, 500);
  }
}

/** A token is renewed a tenth of its life, at most a minute, before its end. */
function renewalTime(lifetime: number): number {
  return lifetime - Math.min(60_000, lifetime / 10);
}

function unusable(request: PortRequest, what: string): UnreachableError {
  return new UnreachableError(
    `Cannot ${request.action}: Port's answer holds ${what}; check the API URL`,
  );
}

function notAllowed(apiUrl: string): UsageError {
  const { host } = new URL(apiUrl);
  return new UsageError(
    `Cannot reach "${host}": this run has no right to; add ` +
      `--allow-net=${host} after deno run`,
  );
}
