/**
 * `--set-env`: loads what it needs only when it is given.
 *
 * @module
 */

/**
 * Reads `--set-env`, before anything is sent.
 *
 * @param flags Each `NAME=PATH`.
 * @returns Sets the variables from an entity: all of them or, when one cannot be
 * set, none.
 * @throws {UsageError} When a name or path cannot be used, or outside CircleCI.
 */
export async function prepareStepVariables(
  flags: string[],
): Promise<(entity: unknown) => void> {
  if (flags.length === 0) return () => {};
  const { parseStepVariables, setStepVariables } = await import(
    "./circleci.ts"
  );
  const variables = parseStepVariables(flags);
  return (entity) => setStepVariables(variables, entity);
}
