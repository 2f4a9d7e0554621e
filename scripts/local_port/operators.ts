/**
 * The operators of a search rule.
 *
 * @module
 */
import { LAST_DAYS } from "./search_schemas.ts";

type Operator = (actual: unknown, wanted: unknown) => boolean;

export const same: Operator = (actual, wanted) =>
  JSON.stringify(actual ?? null) === JSON.stringify(wanted ?? null);

const contains: Operator = (actual, wanted) =>
  Array.isArray(actual)
    ? [wanted].flat().every((one) => actual.includes(one))
    : typeof actual === "string" && actual.includes(String(wanted));

const containsAny: Operator = (actual, wanted) =>
  [wanted].flat().some((one) => contains(actual, one));

const isIn: Operator = (actual, wanted) =>
  [wanted].flat().some((one) =>
    [actual].flat().some((each) => same(each, one))
  );

const begins: Operator = (actual, wanted) =>
  typeof actual === "string" && actual.startsWith(String(wanted));

const ends: Operator = (actual, wanted) =>
  typeof actual === "string" && actual.endsWith(String(wanted));

const isEmpty: Operator = (actual) =>
  actual === undefined || actual === null || [actual].flat().length === 0;

const isBetween: Operator = (actual, wanted) => {
  const { from, to } = rangeOf(wanted as { preset: string });
  return compare(actual, from, (sign) => sign >= 0) &&
    compare(actual, to, (sign) => sign <= 0);
};

const isEqual: Operator = (actual, wanted) =>
  "preset" in Object(wanted) || "from" in Object(wanted)
    ? isBetween(actual, wanted)
    : same(actual, wanted);

/** A range of time; presets are days of UTC, or so many days up to now. */
function rangeOf(wanted: { preset: string } | { from: string; to: string }) {
  if (!("preset" in wanted)) return wanted;
  const now = Date.now();
  const midnight = now - now % DAY;
  const { preset } = wanted;
  const [from, to] = preset === "today"
    ? [midnight, midnight + DAY]
    : preset === "tomorrow"
    ? [midnight + DAY, midnight + 2 * DAY]
    : preset === "yesterday"
    ? [midnight - DAY, midnight]
    : [now - (LAST_DAYS[preset] ?? 0) * DAY, now];
  return { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
}

/** A day in milliseconds. */
const DAY = 24 * 60 * 60 * 1000;

const isExpired: Operator = (actual) =>
  compare(actual, new Date().toISOString(), (sign) => sign < 0);

/** Compares numbers with numbers and times with times; all else is false. */
function compare(
  actual: unknown,
  wanted: unknown,
  holds: (sign: number) => boolean,
): boolean {
  const toNumber = (value: unknown) =>
    typeof value === "number"
      ? value
      : typeof value === "string"
      ? Date.parse(value)
      : NaN;
  const sign = toNumber(actual) - toNumber(wanted);
  return typeof actual === typeof wanted && !Number.isNaN(sign) && holds(sign);
}

const not = (test: Operator): Operator => (actual, wanted) =>
  !test(actual, wanted);

export const OPERATORS: Readonly<Record<string, Operator>> = {
  "=": isEqual,
  "!=": not(same),
  ">": (actual, wanted) => compare(actual, wanted, (sign) => sign > 0),
  ">=": (actual, wanted) => compare(actual, wanted, (sign) => sign >= 0),
  "<": (actual, wanted) => compare(actual, wanted, (sign) => sign < 0),
  "<=": (actual, wanted) => compare(actual, wanted, (sign) => sign <= 0),
  contains,
  doesNotContains: not(contains),
  containsAny,
  beginsWith: begins,
  doesNotBeginsWith: not(begins),
  endsWith: ends,
  doesNotEndsWith: not(ends),
  in: isIn,
  notIn: not(isIn),
  matchAny: isIn,
  isEmpty,
  isNotEmpty: not(isEmpty),
  between: isBetween,
  notBetween: not(isBetween),
  isExpired,
  isNotExpired: not(isExpired),
};
