/** `kmcp audit verify`: is the trail whole? Reads files only. */
import { parseArgs } from 'node:util'
import { type ChainHead, genesis, hashOf, step } from '../lib/audit/chain.ts'
import { auditDirectory, trailFiles, trailLines } from './audit-files.ts'
import type { Command } from './command.ts'

export const auditVerify: Command = {
  usage: 'audit verify [--dir DIR]',
  does: 'check that no record of the trail was changed, removed or added',
  async run(args) {
    const { values } = parseArgs({
      args: [...args],
      options: { dir: { type: 'string' }, 'run-dir': { type: 'string' } },
    })
    const directory = await auditDirectory(values.dir, values['run-dir'])
    const { records, faults, notes, files } = await verifyTrails(directory)
    for (const note of notes) console.log(`note: ${note}`)
    for (const fault of faults) console.log(`FAULT: ${fault}`)
    console.log(
      faults.length === 0
        ? `${records} records in ${files} trails, every one follows the one before it`
        : `${faults.length} faults in ${records} records`,
    )
    if (faults.length === 0) {
      console.log(
        'what this does not show: records cut off the end of the newest trail, or a trail rewritten as a whole',
      )
    }
    return faults.length === 0 ? 0 : 1
  },
}

/** @property notes what is worth knowing and no fault: admissions without an outcome, a torn end after a crash */
export interface Verification {
  readonly records: number
  readonly files: number
  readonly faults: readonly string[]
  readonly notes: readonly string[]
}

/** Follows every trail of a directory, and from each trail's start record to the trail before it. */
export async function verifyTrails(directory: string): Promise<Verification> {
  const faults: string[] = []
  const notes: string[] = []
  let records = 0
  let previous: { file: string; last: string } | undefined
  const files = await trailFiles(directory)
  for (const file of files) {
    const open = new Set<number>()
    let head: ChainHead = genesis
    let at = 0
    let last = ''
    for await (const read of trailLines(directory, file)) {
      if ('torn' in read) {
        notes.push(`${file}: ends in ${Buffer.byteLength(read.torn)} bytes of a record that was never finished`)
        break
      }
      at++
      records++
      const { next, faults: found, record } = step(head, read.line)
      for (const fault of found) faults.push(`${file}: record ${at} ${fault}`)
      if (at === 1) faults.push(...startFaults(file, record, previous))
      if (record?.type === 'admission') open.add(record.seq as number)
      if (record?.type === 'outcome') open.delete(record.admission as number)
      head = next
      last = hashOf(read.line)
    }
    if (at === 0) faults.push(`${file}: has no whole record`)
    if (open.size > 0)
      notes.push(`${file}: ${open.size} admitted calls have no outcome (under way, or the process died)`)
    previous = { file, last }
  }
  return { records, files: files.length, faults, notes }
}

function startFaults(
  file: string,
  record: Readonly<Record<string, unknown>> | undefined,
  before: { file: string; last: string } | undefined,
): string[] {
  if (record?.type !== 'start') return [`${file}: does not begin with a start record`]
  const named = record.previous as { file?: unknown; last?: unknown } | null
  if (named === null) return before ? [`${file}: names no trail before it, but there is ${before.file}`] : []
  if (!before) return [`${file}: the trail before it, ${String(named.file)}, is missing`]
  if (named.file !== before.file)
    return [`${file}: the trail before it should be ${String(named.file)}, found ${before.file}`]
  return named.last === before.last
    ? []
    : [`${file}: the trail before it does not end where it did when this one began`]
}
