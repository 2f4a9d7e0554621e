/**
 * Names CI jobs, so that one job can report for another.
 *
 * @module
 */

/**
 * Returns the identifier of a job's entity. Unlike the id that CircleCI gives a
 * job, it is known to the other jobs of the workflow.
 *
 * @param workflow The id of the workflow.
 * @param job The name of the job.
 * @param node The number of the parallel container, from 0.
 * @returns The identifier; what Port does not accept in one becomes `_`.
 */
export function ciJobIdentifier(
  workflow: string,
  job: string,
  node: number,
): string {
  const name = job.replace(/[^\p{L}0-9@_.+:\\/=-]/gu, "_");
  return `${workflow}-${name}-${node}`;
}
