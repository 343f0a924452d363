/** `kmcp audit prove`, `check-proof` and `keys`: one record, shown to somebody who has not got the trail. */
import { readFileSync, writeFileSync } from 'node:fs'
import { type LogFiles, readLines } from '../adapters/audit-sink/trail-files.ts'
import { readCheckpoint } from '../lib/audit/checkpoint.ts'
import { InclusionProofs, leafHash } from '../lib/audit/merkle.ts'
import { checkProof, tlogProofOf } from '../lib/audit/proof.ts'
import { noteOf } from '../lib/audit/verify-log.ts'
import type { Json } from '../lib/mcp/message.ts'
import { auditDirectory, keyOf, logsOf, trustedKeys } from './audit-files.ts'
import { type Command, parseOptions, UsageError } from './command.ts'
import { find, type Found, linesOf, startOf, where } from './find-record.ts'
import { printable } from './print-rows.ts'

export const auditProve: Command = {
  usage: 'audit prove ID [--dir DIR] [--out FILE]',
  does: 'prove that the record of a call is in the trail, without giving the trail away',
  async run(args) {
    const { values, positionals } = parseOptions({
      args: [...args],
      allowPositionals: true,
      options: { ...where, out: { type: 'string' } },
    })
    const directory = await auditDirectory(values.dir, values['run-dir'])
    const proof = proveRecord(directory, find(directory, positionals))
    if (values.out === undefined) process.stdout.write(proof)
    else writeFileSync(values.out, proof)
    return 0
  },
}

export const auditCheckProof: Command = {
  usage: 'audit check-proof FILE --key VKEY|FILE',
  does: 'check such a proof; needs nothing but the node’s key',
  run(args) {
    const { values, positionals } = parseOptions({
      args: [...args],
      allowPositionals: true,
      options: { key: { type: 'string', multiple: true } },
    })
    const [file, ...more] = positionals
    if (file === undefined || more.length > 0) throw new UsageError('name one proof')
    const keys = trustedKeys(values.key)
    if (!keys) throw new UsageError('say whose trail it should be of: --key with the node.vkey you keep')
    const checked = checkProof(readFileSync(file, 'utf8'), keys)
    if (!checked.ok) {
      console.log(`NOT PROVEN: ${printable(checked.because)}`)
      return Promise.resolve(1)
    }
    console.log(`record ${checked.index + 1} of ${printable(checked.origin)}, of ${checked.size} that were signed:`)
    console.log(printable(checked.line))
    return Promise.resolve(0)
  },
}

export const auditKeys: Command = {
  usage: 'audit keys [--dir DIR]',
  does: 'list the keys that sign the trail, and what each has signed over',
  async run(args) {
    const { values } = parseOptions({ args: [...args], options: where })
    const directory = await auditDirectory(values.dir, values['run-dir'])
    for (const log of logsOf(directory)) {
      for (const { record } of linesOf(directory, log)) {
        if (record?.type === 'start') console.log(printable(`${log.key}  node key   ${said(record.node_key)}`))
        if (record?.type === 'key')
          console.log(
            printable(
              `${log.key}  epoch ${said(record.epoch).padEnd(4)} ${said(record.key)}  since ${said(record.time)}`,
            ),
          )
      }
    }
    return 0
  },
}

const said = (value: Json | undefined): string => (typeof value === 'string' ? value : JSON.stringify(value ?? null))

/**
 * A proof of one record, to the first checkpoint that covers it. It has been checked: nobody is handed one that proves
 * nothing, nor whatever somebody wrote into the checkpoint file.
 *
 * @throws UsageError where none does yet, or none that is good
 */
function proveRecord(directory: string, { log, number, line }: Found): string {
  const [proof = ''] = proveRecords(directory, log, [{ number, line }])
  const checked = checkProof(proof, keyOf(said(startOf(directory, log).node_key)))
  if (!checked.ok) throw new UsageError(`${cannotProve(log, number)}: ${checked.because}`)
  return proof
}

const cannotProve = ({ key }: LogFiles, number: number): string =>
  `record ${number} of ${key} cannot be proven, \`kmcp audit verify\` says what is wrong`

/** Proofs of several records of one log, which is read once, and of which no more is kept than the proofs need. */
export function proveRecords(
  directory: string,
  log: LogFiles,
  records: readonly { readonly number: number; readonly line: string }[],
): string[] {
  const sealed = sealsOver(directory, log, new Set(records.map(({ number }) => number)))
  const wanted = records.map(({ number, line }) => {
    const over = sealed.get(number)
    if (!over) throw new UsageError(`no checkpoint covers record ${number} of ${log.key} yet: there is one a second`)
    return { line, ...over, index: number - 1 }
  })
  const proofs = new InclusionProofs(wanted)
  const certificates: { readonly at: number; readonly text: string }[] = []
  let size = 0
  for (const { line, record } of linesOf(directory, log)) {
    proofs.append(leafHash(line))
    size++
    if (record?.type === 'key') certificates.push({ at: size, text: said(record.certificate) })
  }
  return wanted.map(({ line, index, size: of, note }) => {
    const certificate = certificates.findLast(({ at }) => at <= of)
    if (!certificate || of > size) throw new UsageError(cannotProve(log, index + 1))
    return tlogProofOf(line, proofs.proof({ index, size: of }), index, note, certificate.text)
  })
}

/** For each record the first checkpoint that covers it. */
function sealsOver(
  directory: string,
  log: LogFiles,
  numbers: ReadonlySet<number>,
): Map<number, { readonly size: number; readonly note: string }> {
  const seals = new Map<number, { readonly size: number; readonly note: string }>()
  const open = [...numbers].sort((a, b) => b - a)
  for (const read of log.checkpoints === undefined ? [] : readLines(directory, log.checkpoints)) {
    const note = 'line' in read ? noteOf(read.line) : undefined
    const checkpoint = note === undefined ? undefined : readCheckpoint(note.slice(0, note.lastIndexOf('\n\n') + 1))
    if (note === undefined || !checkpoint) continue
    for (let last = open.at(-1); last !== undefined && last <= checkpoint.size; last = open.at(-1)) {
      seals.set(last, { size: checkpoint.size, note })
      open.pop()
    }
    if (open.length === 0) break
  }
  return seals
}
