/**
 * What a local Port holds, and how a reset brings that back to its start.
 *
 * @module
 */
import type { Catalogue } from "./catalogue.ts";
import { type FailureOptions, makeFailures } from "./failures.ts";
import { type LoginOptions, makeLogin } from "./login.ts";
import type { Clock } from "./model.ts";
import { limitsOf, makeRateLimiter } from "./rate_limit.ts";
import type { RateLimit, RateLimits } from "./rate_limit.ts";
import { Runs } from "./runs.ts";
import { loadCatalogue, makeSave, type StorageOptions } from "./storage.ts";

export interface WorldOptions
  extends FailureOptions, LoginOptions, StorageOptions {
  /**
   * The identifiers of the self-service actions.
   *
   * @default {["deploy"]}
   */
  actions?: string[];
  /** Those of them whose runs wait for approval. */
  approval?: string[];
  /** Those of them that are synchronized, so that runs cannot be updated. */
  synchronized?: string[];
  /** The limits of each family of routes. @default those of Port */
  rateLimits?: RateLimits;
}

export type World = ReturnType<typeof makeWorld>;

export function makeWorld(clock: Clock, options: WorldOptions) {
  const { data, ...withoutData } = options;
  const save = makeSave(data);
  const limit = (rateLimit: RateLimit | null) => ({
    rateLimit,
    count: makeRateLimiter(
      clock,
      rateLimit ? limitsOf(() => rateLimit) : options.rateLimits,
    ),
  });
  const start = (catalogue: Catalogue) => ({
    ...limit(null),
    catalogue,
    runs: new Runs(),
    failures: makeFailures(options),
  });
  const world = {
    ...start(loadCatalogue(clock, options)),
    login: makeLogin(clock, options),
    actions: options.actions ?? ["deploy"],
    approval: options.approval ?? [],
    synchronized: options.synchronized ?? [],
    save: () => save(world.catalogue),

    /** Sets one limit for all families; `null` for those of the start. */
    setRateLimit: (rateLimit: RateLimit | null) =>
      void Object.assign(world, limit(rateLimit)),

    /** Tokens stay valid. */
    reset(): void {
      Object.assign(world, start(loadCatalogue(clock, withoutData)));
      world.save();
    },
  };
  world.save();
  return world;
}
