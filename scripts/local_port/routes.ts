/**
 * Port's routes.
 *
 * @module
 */
import { Actions } from "./action_runs.ts";
import { checkBlueprint, checkBlueprintPatch } from "./blueprint_schema.ts";
import { type Call, flag, ok, type Reply, SWITCHES } from "./call.ts";
import { Catalogue, insistOnMembers } from "./catalogue.ts";
import { layOver, pick } from "./entities.ts";
import type { Blueprint, Entity, EntityBody, Json } from "./model.ts";
import { invalid, notFound, Refusal, taken } from "./refusal.ts";
import {
  checkBulk,
  checkBulkDelete,
  checkEntity,
  checkEntityPatch,
  checkLogin,
  insist,
} from "./schemas.ts";
import {
  decodePage,
  encodePage,
  isQuery,
  makeMatcher,
  MATCH_ALL,
  pathOf,
  type Query,
  type SearchBody,
} from "./search.ts";
import { checkQuery, checkSearch } from "./search_schemas.ts";
import type { LocalPortOptions } from "./server.ts";

/** Port's routes over a catalogue. */
export class Routes {
  readonly #catalogue: Catalogue;
  readonly #options: LocalPortOptions;
  readonly #actions: Actions;
  readonly #random: () => number;
  /** When each token expires, in milliseconds since 1970. */
  readonly #tokens = new Map<string, number>();

  constructor(
    catalogue: Catalogue,
    options: LocalPortOptions,
    random: () => number,
  ) {
    this.#catalogue = catalogue;
    this.#options = options;
    this.#random = random;
    this.#actions = new Actions(options.actions ?? ["deploy"]);
  }

  answer(call: Call): Reply {
    const { method, path, query } = call;
    for (const name of SWITCHES) flag(query, name);
    if (method === "POST" && path.join("/") === "auth/access_token") {
      return this.#logIn(call.body);
    }
    this.#authorize(call.authorization);
    const reply = this.#route(call);
    if (reply) return reply;
    throw notFound(`Route ${method}:/v1/${path.join("/")} not found`);
  }

  #route(call: Call): Reply | undefined {
    const [root, first = "", kind, second = "", last] = call.path;
    const size = call.path.length;
    const isPost = call.method === "POST";
    if (root === "blueprints" && size === 1) return this.#allBlueprints(call);
    if (root === "blueprints" && size === 2) {
      return this.#oneBlueprint(call, first);
    }
    if (root === "blueprints" && kind === "entities" && size === 3) {
      return this.#allEntities(call, this.#catalogue.blueprint(first));
    }
    if (root === "blueprints" && kind === "entities" && size === 4) {
      const blueprint = this.#catalogue.blueprint(first);
      if (isPost && second === "bulk") return this.#bulk(call, blueprint);
      if (isPost && second === "search") {
        return this.#searchPage(call, blueprint);
      }
      return this.#oneEntity(call, blueprint, second);
    }
    const isGet = call.method === "GET";
    if (isGet && kind === "entities-count" && size === 3) {
      const { identifier } = this.#catalogue.blueprint(first);
      return ok(200, { count: this.#catalogue.entities(identifier).length });
    }
    if (isPost && root === "blueprints" && kind === "bulk" && size === 5) {
      if (second !== "entities" || last !== "delete") return undefined;
      return this.#bulkDelete(call, this.#catalogue.blueprint(first));
    }
    if (isPost && root === "entities" && first === "search" && size === 2) {
      return this.#searchAll(call);
    }
    if (root === "actions") return this.#actions.answer(call);
  }

  #logIn(body: unknown): Reply {
    insist(checkLogin, body, "body");
    const { clientId, clientSecret } = body as Json;
    const { clientId: id, clientSecret: secret } = this.#options;
    if (
      clientId !== (id || "local-id") ||
      clientSecret !== (secret || "local-secret")
    ) {
      throw new Refusal(401, "unauthorized", "Invalid client id or secret");
    }
    const lifetime = this.#options.tokenLifetime ?? 3 * 60 * 60 * 1000;
    const accessToken = crypto.randomUUID();
    this.#tokens.set(accessToken, Date.now() + lifetime);
    const expiresIn = Math.floor(lifetime / 1000);
    return ok(200, { accessToken, expiresIn, tokenType: "Bearer" });
  }

  #authorize(authorization: string): void {
    const [_, token = ""] = /^Bearer (.+)$/.exec(authorization) ?? [];
    const expiry = this.#tokens.get(token);
    if (expiry !== undefined && Date.now() < expiry) return;
    throw new Refusal(401, "unauthorized", "Missing, unknown or expired token");
  }

  #allBlueprints({ method, body }: Call): Reply | undefined {
    if (method === "GET") {
      return ok(200, { blueprints: this.#catalogue.blueprints() });
    }
    if (method !== "POST") return undefined;
    insist(checkBlueprint, body, "blueprint");
    const { identifier } = body as Blueprint;
    if (this.#catalogue.hasBlueprint(identifier)) {
      throw taken(`Blueprint with identifier "${identifier}" already exists`);
    }
    return ok(201, { blueprint: this.#catalogue.setBlueprint(body as Json) });
  }

  #oneBlueprint({ method, body }: Call, identifier: string): Reply | undefined {
    const blueprint = this.#catalogue.blueprint(identifier);
    const { createdAt, createdBy } = blueprint;
    const kept = { identifier, createdAt, createdBy };
    switch (method) {
      case "GET":
        return ok(200, { blueprint });
      case "PUT":
        insist(checkBlueprintPatch, body, "blueprint");
        insistOnName(identifier, (body as Json).identifier);
        return ok(200, {
          blueprint: this.#catalogue.setBlueprint({ ...body as Json, ...kept }),
        });
      case "PATCH":
        insist(checkBlueprintPatch, body, "blueprint");
        insistOnName(identifier, (body as Json).identifier);
        return ok(200, {
          blueprint: this.#catalogue.setBlueprint({
            ...blueprint,
            ...body as Json,
            ...kept,
          }),
        });
      case "DELETE":
        this.#catalogue.deleteBlueprint(identifier);
        return ok(200, {});
    }
  }

  #allEntities(call: Call, blueprint: Blueprint): Reply | undefined {
    if (call.method === "GET") {
      const entities = this.#catalogue.entities(blueprint.identifier)
        .map((entity) =>
          pick(
            entity,
            call.query.getAll("include"),
            call.query.getAll("exclude"),
          )
        );
      return ok(200, { entities });
    }
    if (call.method !== "POST") return undefined;
    const { entity } = this.#create(blueprint, call.body, call.query);
    return ok(201, { entity });
  }

  #create(blueprint: Blueprint, raw: unknown, query: URLSearchParams) {
    insist(checkEntity, raw, "entity");
    const body = this.#resolve(blueprint, raw as EntityBody);
    const identifier = body.identifier ?? `e_${crypto.randomUUID()}`;
    const before = this.#catalogue.find(blueprint.identifier, identifier);
    const upsert = flag(query, "upsert", "required");
    const merge = flag(query, "merge");
    if (before && !upsert) {
      throw taken(
        `Entity with identifier "${identifier}" already exists in the ` +
          `blueprint "${blueprint.identifier}"`,
      );
    }
    const entity = layOver(merge ? before : undefined, { ...body, identifier });
    this.#store(blueprint, entity, query);
    return { entity, created: before === undefined };
  }

  /** Puts the identifiers that they find in place of queries. */
  #resolve(blueprint: Blueprint, body: EntityBody): EntityBody {
    const { identifier, team, relations = {} } = body;
    if (isQuery(team)) {
      throw invalid("The local Port does not search for teams: name them");
    }
    insistOnMembers(blueprint, body);
    const resolved = Object.entries(relations).map(([name, value]) => {
      const { target = "", many = false } = blueprint.relations?.[name] ?? {};
      if (!isQuery(value)) return [name, value];
      const found = this.#search(this.#catalogue.blueprint(target), value);
      return [name, many ? found : found[0] ?? null];
    });
    return {
      ...body,
      ...(isQuery(identifier) && {
        identifier: this.#searchOne(blueprint, identifier),
      }),
      ...(body.relations && { relations: Object.fromEntries(resolved) }),
    };
  }

  #searchOne(blueprint: Blueprint, query: Query): string {
    const [found] = this.#search(blueprint, query);
    if (found !== undefined) return found;
    throw notFound(
      `No entity of the blueprint "${blueprint.identifier}" matches the query`,
    );
  }

  #search(blueprint: Blueprint, query: Query): string[] {
    insist(checkQuery, query, "query");
    const matches = makeMatcher(query, this.#catalogue);
    return this.#catalogue.entities(blueprint.identifier)
      .filter((entity) => matches(blueprint, entity))
      .map(({ identifier }) => identifier);
  }

  /** Takes each entity by itself: some can fail while others get in. */
  #bulk({ body, query }: Call, blueprint: Blueprint): Reply {
    insist(checkBulk, body, "body");
    flag(query, "upsert", "required");
    const entities: Json[] = [];
    const errors: Json[] = [];
    const list = (body as { entities: EntityBody[] }).entities;
    // The document's schema holds for the whole body: one that breaks it, and
    // none gets in.
    for (const each of list) insist(checkEntity, each, "entity");
    for (const [index, each] of list.entries()) {
      try {
        this.#failSometimes();
        const { entity, created } = this.#create(blueprint, each, query);
        entities.push({ created, identifier: entity.identifier, index });
      } catch (refusal) {
        if (!(refusal instanceof Refusal)) throw refusal;
        const { status, code, message } = refusal;
        const identifier = typeof each.identifier === "string"
          ? each.identifier
          : "";
        errors.push({
          identifier,
          index,
          statusCode: status,
          error: code,
          message,
        });
      }
    }
    return ok(errors.length > 0 ? 207 : 200, { entities, errors });
  }

  /** On a bad day Port also fails at single entities of many. */
  #failSometimes(): void {
    const { failRate = 0 } = this.#options;
    if (failRate === 0 || this.#random() >= failRate / 4) return;
    const statuses = [429, 500, 503];
    const status = statuses[Math.floor(this.#random() * statuses.length)] ??
      500;
    throw new Refusal(status, "internal_error", "Something went wrong");
  }

  #bulkDelete({ body, query }: Call, { identifier: blueprint }: Blueprint) {
    insist(checkBulkDelete, body, "body");
    const dependents = flag(query, "delete_dependents", "required");
    const there = (body as { entities: string[] }).entities
      .filter((identifier) => this.#catalogue.find(blueprint, identifier));
    // All of them or none.
    if (!dependents) {
      for (const id of there) {
        this.#catalogue.insistOnNoDependents(blueprint, id);
      }
    }
    for (const identifier of there) {
      if (!this.#catalogue.find(blueprint, identifier)) continue;
      this.#catalogue.deleteEntity(blueprint, identifier, true);
    }
    return ok(200, { deletedEntities: there });
  }

  /** One page of a blueprint's entities, in the order of their identifiers. */
  #searchPage({ body = {} }: Call, blueprint: Blueprint): Reply {
    insist(checkSearch, body, "body");
    const { query, limit = 200, from, include = [], exclude = [] } =
      body as SearchBody;
    const matches = makeMatcher(query ?? MATCH_ALL, this.#catalogue);
    const after = from === undefined ? "" : decodePage(from);
    const found = this.#catalogue.entities(blueprint.identifier)
      .filter((entity) => matches(blueprint, entity))
      .sort((a, b) => a.identifier < b.identifier ? -1 : 1)
      .filter(({ identifier }) => identifier > after);
    const page = found.slice(0, limit);
    const last = page.at(-1);
    const toPath = (name: string) => pathOf(name, blueprint);
    return ok(200, {
      entities: page.map((entity) =>
        pick(entity, include.map(toPath), exclude.map(toPath))
      ),
      ...(last && found.length > limit &&
        { next: encodePage(last.identifier) }),
    });
  }

  #searchAll({ body, query }: Call): Reply {
    insist(checkQuery, body, "body");
    const matches = makeMatcher(body as Query, this.#catalogue);
    const found = this.#catalogue.blueprints().flatMap((blueprint) =>
      this.#catalogue.entities(blueprint.identifier)
        .filter((entity) => matches(blueprint, entity))
        .map((entity) => ({ blueprint: blueprint.identifier, entity }))
    );
    return ok(200, {
      matchingBlueprints: [...new Set(found.map(({ blueprint }) => blueprint))],
      entities: found.map(({ entity }) =>
        pick(entity, query.getAll("include"), query.getAll("exclude"))
      ),
    });
  }

  #oneEntity(
    { method, query, body }: Call,
    blueprint: Blueprint,
    identifier: string,
  ): Reply | undefined {
    const before = this.#catalogue.entity(blueprint.identifier, identifier);
    switch (method) {
      case "GET":
        return ok(200, {
          entity: pick(
            before,
            query.getAll("include"),
            query.getAll("exclude"),
          ),
        });
      case "PATCH": {
        insist(checkEntityPatch, body, "entity");
        const change = this.#resolve(blueprint, body as EntityBody);
        insistOnName(identifier, change.identifier);
        const entity = layOver(before, { ...change, identifier });
        return ok(200, { entity: this.#store(blueprint, entity, query) });
      }
      case "PUT": {
        insist(checkEntity, body, "entity");
        const whole = this.#resolve(blueprint, body as EntityBody);
        insistOnName(identifier, whole.identifier);
        const entity = layOver(undefined, { ...whole, identifier });
        return ok(200, { entity: this.#store(blueprint, entity, query) });
      }
      case "DELETE": {
        const dependents = flag(query, "delete_dependents", "required");
        this.#catalogue.deleteEntity(
          blueprint.identifier,
          identifier,
          dependents,
        );
        return ok(200, {});
      }
    }
  }

  /** Checks an entity and, unless only the check is asked for, stores it. */
  #store(blueprint: Blueprint, entity: Entity, query: URLSearchParams): Entity {
    const missing = this.#catalogue.check(blueprint, entity);
    const create = flag(query, "create_missing_related_entities");
    const validateOnly = flag(query, "validation_only");
    for (const [target, identifier] of missing) {
      if (!create) this.#catalogue.entity(target, identifier);
      const related = {
        identifier,
        title: identifier,
        properties: {},
        relations: {},
      };
      if (!validateOnly) this.#catalogue.setEntity(target, related);
    }
    if (!validateOnly) this.#catalogue.setEntity(blueprint.identifier, entity);
    return entity;
  }
}

/** What is not played here is refused, not passed over in silence. */
function insistOnName(identifier: string, wanted: unknown): void {
  if (wanted === undefined || wanted === identifier) return;
  throw invalid(`The local Port renames nothing: "${identifier}" it stays`);
}
