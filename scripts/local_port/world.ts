/**
 * What a local Port holds, and how a reset brings that back to its start.
 *
 * @module
 */
import type { Catalogue } from "./catalogue.ts";
import { type FailureOptions, makeFailures } from "./failures.ts";
import { type LoginOptions, makeLogin } from "./login.ts";
import type { Clock, Run } from "./model.ts";
import { makeRateLimiter, type RateLimits } from "./rate_limit.ts";
import { loadCatalogue, makeSave, type StorageOptions } from "./storage.ts";

export interface WorldOptions
  extends FailureOptions, LoginOptions, StorageOptions {
  /**
   * The identifiers of the self-service actions.
   *
   * @default {["deploy"]}
   */
  actions?: string[];
  /** Those of them that are synchronized, so that runs cannot be updated. */
  synchronized?: string[];
  /** The limits of each family of routes. @default those of Port */
  rateLimits?: RateLimits;
}

export type World = ReturnType<typeof makeWorld>;

export function makeWorld(clock: Clock, options: WorldOptions) {
  const { data, ...withoutData } = options;
  const save = makeSave(data);
  const start = (catalogue: Catalogue) => ({
    catalogue,
    runs: new Map<string, Run>(),
    failures: makeFailures(options),
    count: makeRateLimiter(clock, options.rateLimits),
  });
  const world = {
    ...start(loadCatalogue(clock, options)),
    login: makeLogin(clock, options),
    actions: options.actions ?? ["deploy"],
    synchronized: options.synchronized ?? [],
    save: () => save(world.catalogue),

    /** Tokens stay valid. */
    reset(): void {
      Object.assign(world, start(loadCatalogue(clock, withoutData)));
      world.save();
    },
  };
  world.save();
  return world;
}
