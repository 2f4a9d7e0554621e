/**
 * A blueprint with a name of each kind, for rules about its entities.
 *
 * @module
 */
import { assertEquals } from "jsr:@std/assert@1.0.19";
import type { TestPort } from "./port.ts";

const AGGREGATION = {
  title: "Images",
  target: "image",
  calculationSpec: { func: "count", calculationBy: "entities" },
};

/** The blueprint `release`. */
export const RELEASE = {
  identifier: "release",
  title: "Release",
  schema: {
    properties: {
      version: { type: "string" },
      replicas: { type: "number" },
      locked: { type: "boolean" },
      tags: { type: "array" },
      config: { type: "object" },
      expires: { type: "string", format: "date-time" },
      title: { type: "string" },
    },
  },
  calculationProperties: {
    isBig: { calculation: ".properties.replicas > 9", type: "boolean" },
  },
  mirrorProperties: { imageTag: { path: "image.imageTag" } },
  aggregationProperties: { images: AGGREGATION },
  relations: {
    image: { target: "image", required: false, many: false },
    owners: { target: "team", required: false, many: true },
  },
};

/**
 * Creates the blueprint `release`.
 *
 * @param port The local Port.
 */
export async function createRelease(port: TestPort): Promise<void> {
  const { status } = await port.call("POST", "/blueprints", RELEASE);
  assertEquals(status, 201);
}
