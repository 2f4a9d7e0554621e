/**
 * Reads entities from YAML. The blueprint decides what a value is: `1.10` stays
 * text where it says so.
 *
 * @module
 */
import { parseAll } from "jsr:@std/yaml@1.0.12/parse";
import { UsageError } from "../errors.ts";
import { isJsonObject, type Json, type JsonObject } from "../port.ts";
import { MAX_BODY } from "./batches.ts";
import {
  decode,
  type FormatOptions,
  type Opened,
  type Piece,
  readWhole,
} from "./pieces.ts";
import { type EntityTypes, readText, type ValueType } from "./types.ts";

/**
 * Reads YAML: an entity, a list of them, or several documents.
 *
 * @param chunks The input.
 * @param name Its name in errors.
 * @param options The blueprint of entities that do not name one, and types.
 * @returns The entities.
 * @throws {UsageError} If it is no YAML, or larger than 16 MiB.
 */
export async function openYaml(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
  { blueprint, typesOf }: FormatOptions,
): Promise<Opened> {
  const text = decode(await readWhole(chunks, name), name);
  return {
    pieces: piecesOf(text, parseDocuments(text, name)),
    async parse({ bytes }) {
      const entity: Json = JSON.parse(decode(bytes));
      if (!isJsonObject(entity)) {
        throw new UsageError(
          "Cannot read the entity: it must be a mapping such as identifier: cart",
        );
      }
      const of = entity.blueprint ?? blueprint;
      const types = typeof of === "string" ? await typesOf(of) : new Map();
      return giveTypes(entity, types);
    },
    // Every line is a document of its own, since JSON is YAML.
    kept: { format: "yaml", header: "", prefix: "--- " },
  };
}

/** What YAML reads as a value: as text, and with the types that YAML gives. */
type Reading = [text: unknown, typed: unknown];

/** Only types show whether `null` is in quotes, but they change text as 1.10. */
function parseDocuments(text: string, name: string): Reading[] {
  try {
    const texts: unknown[] = parseAll(text, { schema: "failsafe" });
    const typed: unknown[] = parseAll(text, { schema: "core" });
    return texts.map((document, index) => [document, typed[index]]);
  } catch (error) {
    const [reason = ""] = String(Object(error).message)
      .replace(/^Maximum call stack.*/, "it is nested too deeply").split(":\n");
    throw new UsageError(`Cannot read ${name}: ${reason}`);
  }
}

async function* piecesOf(
  text: string,
  documents: Reading[],
): AsyncGenerator<Piece> {
  const filled = documents.filter(([document]) => document !== null);
  const sections = sectionsOf(text);
  for (const [index, [document, typed]] of filled.entries()) {
    const { line, elements } = sections[index] ?? { line: 1, elements: [] };
    const entities = Array.isArray(document) ? document : [document];
    const hasLines = elements.length === entities.length;
    for (const [at, entity] of entities.entries()) {
      const begin = hasLines ? elements[at] ?? line : line;
      yield {
        ...toJson(entity, Array.isArray(typed) ? typed[at] : typed),
        line: begin,
        column: 1,
        offset: 0,
        hasMore: false,
      };
    }
  }
}

/**
 * Returns the text of each value, and `null` where YAML reads that. What is
 * repeated by an alias may be of any size, or contain itself.
 */
function toJson(...entity: Reading): Pick<Piece, "bytes" | "problem"> {
  let size = 0;
  const join = (text: unknown, typed: unknown): Json => {
    size += typeof text === "string" ? text.length + 1 : 1;
    if (size > MAX_BODY) throw new UsageError("Port accepts at most 1 MiB");
    if (text === null || typed === null) return null;
    if (Array.isArray(text)) {
      return text.map((each, at) => join(each, Object(typed)[at]));
    }
    if (typeof text !== "object") return String(text);
    return mapValues(
      text as JsonObject,
      (each, name) => join(each, Object(typed)[name]),
    );
  };
  try {
    const text = JSON.stringify(join(...entity));
    return { bytes: new TextEncoder().encode(text) };
  } catch (error) {
    const problem = error instanceof UsageError
      ? error.message
      : "an alias contains itself, or it is nested too deeply";
    return { bytes: new Uint8Array(), problem };
  }
}

/** Where a document begins, and the elements of its list. */
interface Section {
  line: number;
  elements: number[];
}

/** Finds the documents that are not empty; the parser gives no lines. */
function sectionsOf(text: string): Section[] {
  const sections: Section[] = [];
  let isNew = true;
  let dash: string | undefined;
  for (const [index, whole] of text.split("\n").entries()) {
    const [, marker, line = ""] =
      /^(---(?=\s|$)|\.\.\.(?=\s|$)|)(.*)/s.exec(whole) ?? [];
    if (marker) isNew = true;
    if (/^\s*(?:#|$)/.test(line) || (isNew && line.startsWith("%"))) continue;
    const [first] = /^ *-(?=\s|$)/.exec(line) ?? [];
    if (isNew) {
      sections.push({ line: index + 1, elements: [] });
      dash = first;
      isNew = false;
    }
    if (first !== undefined && first === dash) {
      sections.at(-1)?.elements.push(index + 1);
    }
  }
  return sections;
}

/** The type of what lies inside an object, which a blueprint does not give. */
const ANY: ValueType = { type: "any" };

function giveTypes(entity: JsonObject, types: EntityTypes): JsonObject {
  return mapValues(entity, (value, member) => {
    const isGroup = member === "properties" || member === "relations";
    if (!isGroup || !isJsonObject(value)) return giveType(value, {}, member);
    return mapValues(value, (value, name) => {
      const path = `${member}.${name}`;
      return giveType(value, types.get(path) ?? {}, path);
    });
  });
}

function giveType(value: Json, type: ValueType, path: string): Json {
  if (value === null) return null;
  if (Array.isArray(value)) {
    const { items = type === ANY ? ANY : {} } = type;
    return value.map((element) => giveType(element, items, path));
  }
  if (isJsonObject(value)) {
    return mapValues(value, (inner) => giveType(inner, ANY, path));
  }
  try {
    return readText(String(value), type);
  } catch (error) {
    throw new UsageError(
      `Cannot use the entity: ${path}: ${Object(error).message}`,
    );
  }
}

function mapValues(
  object: JsonObject,
  change: (value: Json, name: string) => Json,
): JsonObject {
  return Object.fromEntries(
    Object.entries(object).map(([name, value]) => [name, change(value, name)]),
  );
}
