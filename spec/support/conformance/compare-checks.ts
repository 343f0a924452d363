/** What the suite found through the gateway beside what it found directly. */
import type { Check, Status } from './run-suite.ts'

/** @property direct, through `absent` for a check that was not made there. @property why what the suite says of it */
export interface Difference {
  readonly key: string
  readonly direct: Status | 'absent'
  readonly through: Status | 'absent'
  readonly why: string
}

/** Every check that did not end the same way, by scenario and check; none when all did. */
export function compareChecks(direct: readonly Check[], through: readonly Check[]): readonly Difference[] {
  const [before, behind] = [byKey(direct), byKey(through)]
  return [...new Set([...before.keys(), ...behind.keys()])].sort().flatMap((key) => {
    const [one, other] = [before.get(key), behind.get(key)]
    if (one?.status === other?.status) return []
    const why = other?.why === undefined || other.why === '' ? (one?.why ?? '') : other.why
    return [{ key, direct: one?.status ?? 'absent', through: other?.status ?? 'absent', why }]
  })
}

/** One line, such as `ping/ping#1: SUCCESS, FAILURE through the gateway`. */
export const describeDifference = ({ key, direct, through }: Omit<Difference, 'why'>): string =>
  `${key}: ${direct}, ${through} through the gateway`

/** Names of the scenarios these checks are of. */
export const scenariosOf = (checks: readonly Check[]): readonly string[] => [
  ...new Set(checks.map(({ key }) => key.split('/')[0] ?? '')),
]

/** How many checks ended each way. */
export function tally(checks: readonly Check[]): Readonly<Record<Status, number>> {
  const counts: Record<Status, number> = { SUCCESS: 0, FAILURE: 0, WARNING: 0, SKIPPED: 0, INFO: 0 }
  for (const { status } of checks) counts[status]++
  return counts
}

const byKey = (checks: readonly Check[]): ReadonlyMap<string, Check> =>
  new Map(checks.map((check) => [check.key, check]))
