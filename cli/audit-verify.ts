/** `kmcp audit verify`: is the trail whole? Reads files only. */
import type { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readCertificates } from '../adapters/anchors/verify-time-stamp.ts'
import { auditDirectories, trustedKeys } from './audit-files.ts'
import { type Command, parseOptions, UsageError } from './command.ts'
import { counted } from './evidence/seen.ts'
import { printable, printableJson } from './print-rows.ts'
import { verifyAnchors } from './verify-anchors.ts'
import { verifyTrails } from './verify-trails.ts'

const maxShown = 50

export const auditVerify: Command = {
  usage:
    'audit verify [--dir DIR]... [--key VKEY|FILE]... [--tsa-ca FILE]... [--anchors FILE|DIR]... [--max-unanchored SECONDS] [--pruned] [--json]',
  does: 'check that no record of the trail was changed, removed or added',
  async run(args) {
    const { values } = parseOptions({
      args: [...args],
      options: {
        dir: { type: 'string', multiple: true },
        'run-dir': { type: 'string' },
        key: { type: 'string', multiple: true },
        'tsa-ca': { type: 'string', multiple: true },
        anchors: { type: 'string', multiple: true },
        'max-unanchored': { type: 'string' },
        pruned: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
      },
    })
    const directories = await auditDirectories(values.dir, values['run-dir'])
    const nodeKeys = trustedKeys(values.key)
    const roots = values['tsa-ca']?.flatMap(rootsIn)
    const maxUnstampedS = Number(values['max-unanchored'] ?? 0)
    if (!(maxUnstampedS >= 0)) throw new UsageError('--max-unanchored takes seconds')
    const options = { ...(nodeKeys ? { nodeKeys } : {}), isPruned: values.pruned }
    const verified = await verifyAnchors(directories, verifyTrails(directories, options), {
      ...options,
      ...(roots ? { roots } : {}),
      given: values.anchors ?? [],
      ...(values['max-unanchored'] === undefined ? {} : { maxUnstampedS }),
    })
    const { records, logs, faults, warnings, notes, limits, timeStamps, copies } = verified
    const checkpoints = logs.reduce((sum, log) => sum + log.checkpoints, 0)
    if (values.json) {
      console.log(
        printableJson(
          JSON.stringify({
            records,
            logs: logs.length,
            checkpoints,
            time_stamps: timeStamps,
            copies,
            faults,
            warnings,
            notes,
            cannot_show: limits,
          }),
        ),
      )
      return faults.length === 0 ? 0 : 1
    }
    show('note', notes)
    show('WARNING', warnings)
    show('FAULT', faults)
    console.log(
      faults.length === 0
        ? `${counted(records, 'record')} in ${counted(logs.length, 'log')}, every one follows the one before it, under ${counted(checkpoints, 'signed checkpoint')}`
        : `${counted(faults.length, 'fault')} in ${counted(records, 'record')}`,
    )
    if (timeStamps > 0 || copies > 0)
      console.log(`${timeStamps} good time stamps, and ${copies} anchors from outside, were compared with them`)
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

/** Certificates of time stamp authorities in a file. @throws UsageError where there is none in it */
export function rootsIn(file: string): X509Certificate[] {
  try {
    return readCertificates(readFileSync(file, 'utf8'), file)
  } catch (error) {
    throw new UsageError(`--tsa-ca: ${(error as Error).message}`)
  }
}
