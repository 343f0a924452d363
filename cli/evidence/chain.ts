/** What verifying the trails has found, as a section. */
import type { AnchoredVerification } from '../verify-anchors.ts'
import type { Section } from './section.ts'
import { count, counted } from './seen.ts'

const maxShown = 100

/** @param areTrusted the keys were given, rather than taken from the trail */
export function chainSection(verification: AnchoredVerification, areTrusted: boolean): Section {
  const { records, logs, faults, warnings, notes, limits, timeStamps, copies } = verification
  const checkpoints = logs.reduce((sum, log) => sum + log.checkpoints, 0)
  const keys = [...new Set(logs.map(({ nodeKey }) => nodeKey ?? 'a log names none'))]
  const list = (title: string, items: readonly string[]) =>
    items.length === 0
      ? []
      : [
          {
            title,
            items: [
              ...items.slice(0, maxShown),
              ...(items.length > maxShown ? [`and ${count(items.length - maxShown)} more in verification.json`] : []),
            ],
          },
        ]
  return {
    id: 'chain',
    title: 'Is the trail whole?',
    criteria: ['CC7.2', 'PI1'],
    shows:
      'The whole of every trail that was read, not only of the period, was verified: each record follows the one before it (SHA-256), the signed checkpoints (Ed25519) were signed over these records and no others, each log names the end of the one before it, and what nodes and anchors say of each log agrees. The verification is the one of kmcp audit verify.',
    doesNotShow:
      'That nobody could have written another trail: see “what this cannot show”, in figures where there are some. That a record tells the truth: it says what the gateway saw.',
    facts: [
      ['records', count(records)],
      ['logs', count(logs.length)],
      ['signed checkpoints', count(checkpoints)],
      ['time stamps that were checked and agree', timeStamps === 0 ? 'none' : count(timeStamps)],
      ['anchors fetched from outside the nodes', copies === 0 ? 'none were given (--anchors)' : count(copies)],
      ['faults', faults.length === 0 ? 'none' : count(faults.length)],
      ['warnings', warnings.length === 0 ? 'none' : count(warnings.length)],
      [
        'nodes’ keys',
        areTrusted ? 'given on the command line (--key)' : 'TAKEN FROM THE TRAIL ITSELF: nobody vouches for them',
      ],
      ...keys.slice(0, 20).map((key) => ['key', key] as const),
    ],
    lists: [
      ...list('Faults', faults),
      ...list('Warnings', warnings),
      ...list('What this cannot show', limits),
      ...list('Notes', notes),
    ],
    tables: [
      {
        title: 'Logs',
        file: 'chain.csv',
        empty: 'there are no logs',
        columns: [
          { name: 'node', label: 'node' },
          { name: 'log', label: 'log' },
          { name: 'directory', label: 'directory', isOnlyInFile: true },
          { name: 'boot', label: 'start', isOnlyInFile: true },
          { name: 'records', label: 'records', isNumber: true },
          { name: 'sealed', label: 'under a checkpoint', isNumber: true },
          { name: 'checkpoints', label: 'checkpoints', isNumber: true },
          { name: 'epochs', label: 'signing keys', isNumber: true },
          { name: 'faults', label: 'faults', isNumber: true },
          { name: 'ended', label: 'ended' },
          { name: 'node_key', label: 'node’s key', isOnlyInFile: true },
          { name: 'head', label: 'hash of the last record', isOnlyInFile: true },
        ],
        rows: logs.map((log) => ({
          ...{ node: log.node, log: log.key, directory: log.directory, boot: log.boot, records: log.records },
          ...{ sealed: log.sealed, checkpoints: log.checkpoints, epochs: log.epochs.length, faults: log.faults.length },
          ended: log.isStopped ? 'in order' : 'no stop on record',
          ...{ node_key: log.nodeKey ?? '', head: log.head.prev },
        })),
      },
    ],
    exceptions: faults.length === 0 ? [] : [`${counted(faults.length, 'fault')} in the trail: ${faults[0] ?? ''}.`],
    observations: [
      ...(warnings.length === 0
        ? []
        : [`${counted(warnings.length, 'warning')} of the verification, listed under “Is the trail whole?”.`]),
      ...(areTrusted
        ? []
        : [
            'No key was given: whoever wrote a new trail under a new key would pass. Give the node.vkey kept elsewhere with --key.',
          ]),
    ],
  }
}
