/**
 * The operators of search rules.
 *
 * @module
 */

/** Whether an entity's value and the value of a rule belong together now. */
type Operator = (actual: unknown, wanted: unknown, now: number) => boolean;

const equals = (actual: unknown, wanted: unknown) =>
  actual instanceof Object && wanted instanceof Object
    ? JSON.stringify(actual) === JSON.stringify(wanted)
    : (actual ?? null) === (wanted ?? null);

const contains = (actual: unknown, wanted: unknown) =>
  Array.isArray(actual)
    ? [wanted].flat().every((one) => actual.includes(one))
    : typeof actual === "string" && actual.includes(String(wanted));

const containsAny: Operator = (actual, wanted) =>
  [wanted].flat().some((one) => contains(actual, one));

const isIn: Operator = (actual, wanted) => {
  const list = Array.isArray(wanted) ? wanted : [wanted];
  return [actual].flat().some((each) =>
    each instanceof Object
      ? list.some((one) => equals(each, one))
      : list.includes(each ?? null)
  );
};

const beginsWith: Operator = (actual, wanted) =>
  typeof actual === "string" && actual.startsWith(String(wanted));

const endsWith: Operator = (actual, wanted) =>
  typeof actual === "string" && actual.endsWith(String(wanted));

const isEmpty: Operator = (actual) => [actual ?? []].flat().length === 0;

/** A time in milliseconds since 1970; NaN for anything else. */
function timeOf(value: unknown): number {
  return typeof value === "string" ? Date.parse(value) : NaN;
}

/** The difference of two numbers or two times; NaN for anything else. */
function compare(actual: unknown, wanted: unknown): number {
  return typeof actual === "number" && typeof wanted === "number"
    ? actual - wanted
    : timeOf(actual) - timeOf(wanted);
}

const DAY = 24 * 60 * 60 * 1000;

/** From the start to the end of a time, in milliseconds since 1970. */
type Range = [from: number, to: number];

/** A day of UTC, relative to today. */
const day = (offset: number) => (now: number): Range => {
  const start = now - now % DAY + offset * DAY;
  return [start, start + DAY];
};

const last = (days: number) => (now: number): Range => [now - days * DAY, now];

/** The ranges that have a name. */
export const PRESETS: Readonly<Record<string, (now: number) => Range>> = {
  yesterday: day(-1),
  today: day(0),
  tomorrow: day(1),
  lastDay: last(1),
  lastWeek: last(7),
  last2Weeks: last(14),
  lastMonth: last(30),
  last3Months: last(91),
  last6Months: last(182),
  last12Months: last(365),
};

const isBetween: Operator = (actual, wanted, now) => {
  const { preset = "", from, to } = wanted as Record<string, string>;
  const [start, end] = PRESETS[preset]?.(now) ??
    [timeOf(from), timeOf(to)];
  const time = timeOf(actual);
  return time >= start && time <= end;
};

const equalsOrIsIn: Operator = (actual, wanted, now) =>
  wanted instanceof Object && !Array.isArray(wanted)
    ? isBetween(actual, wanted, now)
    : equals(actual, wanted);

const isExpired: Operator = (actual, _, now) => timeOf(actual) < now;

const not = (operator: Operator): Operator => (actual, wanted, now) =>
  !operator(actual, wanted, now);

export const OPERATORS = {
  "=": equalsOrIsIn,
  "!=": not(equals),
  ">": (actual, wanted) => compare(actual, wanted) > 0,
  ">=": (actual, wanted) => compare(actual, wanted) >= 0,
  "<": (actual, wanted) => compare(actual, wanted) < 0,
  "<=": (actual, wanted) => compare(actual, wanted) <= 0,
  contains,
  doesNotContains: not(contains),
  containsAny,
  beginsWith,
  doesNotBeginsWith: not(beginsWith),
  endsWith,
  doesNotEndsWith: not(endsWith),
  in: isIn,
  notIn: not(isIn),
  matchAny: isIn,
  isEmpty,
  isNotEmpty: not(isEmpty),
  between: isBetween,
  notBetween: not(isBetween),
  isExpired,
  isNotExpired: not(isExpired),
} satisfies Record<string, Operator>;
