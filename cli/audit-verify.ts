/** `kmcp audit verify`: is the trail whole? Reads files only. */
import { parseArgs } from 'node:util'
import { auditDirectory, trustedKeys } from './audit-files.ts'
import type { Command } from './command.ts'
import { printable, printableJson } from './print-rows.ts'
import { verifyTrails } from './verify-trails.ts'

const maxShown = 50

export const auditVerify: Command = {
  usage: 'audit verify [--dir DIR]... [--key VKEY|FILE]... [--pruned] [--json]',
  does: 'check that no record of the trail was changed, removed or added',
  async run(args) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        dir: { type: 'string', multiple: true },
        'run-dir': { type: 'string' },
        key: { type: 'string', multiple: true },
        pruned: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
      },
    })
    const directories = values.dir ?? [await auditDirectory(undefined, values['run-dir'])]
    const nodeKeys = trustedKeys(values.key)
    const { records, logs, faults, warnings, notes, limits } = verifyTrails(directories, {
      ...(nodeKeys ? { nodeKeys } : {}),
      isPruned: values.pruned,
    })
    const checkpoints = logs.reduce((sum, log) => sum + log.checkpoints, 0)
    if (values.json) {
      console.log(
        printableJson(
          JSON.stringify({ records, logs: logs.length, checkpoints, faults, warnings, notes, cannot_show: limits }),
        ),
      )
      return faults.length === 0 ? 0 : 1
    }
    show('note', notes)
    show('WARNING', warnings)
    show('FAULT', faults)
    console.log(
      faults.length === 0
        ? `${records} records in ${logs.length} logs, every one follows the one before it, under ${checkpoints} signed checkpoints`
        : `${faults.length} faults in ${records} records`,
    )
    if (faults.length === 0) {
      console.log('what this cannot show:')
      for (const limit of limits) console.log(`  ${printable(limit)}`)
    }
    return faults.length === 0 ? 0 : 1
  },
}

/** What a hostile trail says goes to a terminal: no control characters, and not without end. */
function show(kind: string, messages: readonly string[]): void {
  for (const message of messages.slice(0, maxShown)) console.log(`${kind}: ${printable(message)}`)
  if (messages.length > maxShown) console.log(`${kind}: and ${messages.length - maxShown} more`)
}
