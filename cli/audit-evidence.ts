/** `kmcp audit evidence`: a folder for an auditor. Reads files only. */
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readKey } from '../adapters/audit-sink/node-key.ts'
import { type NoteSigner, verifierKey } from '../lib/audit/signed-note.ts'
import { auditDirectories, trustedKeys } from './audit-files.ts'
import { rangeOf } from './audit-query.ts'
import { rootsIn } from './audit-verify.ts'
import { type Command, parseOptions, UsageError } from './command.ts'
import type { PolicyPair } from './evidence/access.ts'
import { collect, type Collected, type Wanted } from './evidence/collect.ts'
import { csvOf } from './evidence/csv.ts'
import { evidenceKeyName, jsonText, newFolder, writeFolder } from './evidence/folder.ts'
import { evidencePage } from './evidence/page.ts'
import { count, counted } from './evidence/seen.ts'
import { faultLine } from './policy-check.ts'
import { printable } from './print-rows.ts'
import { readPolicies } from './read-policies.ts'

const maxSample = 500
const maxShown = 20

const options = {
  from: { type: 'string' },
  to: { type: 'string' },
  dir: { type: 'string', multiple: true },
  'run-dir': { type: 'string' },
  key: { type: 'string', multiple: true },
  'tsa-ca': { type: 'string', multiple: true },
  anchors: { type: 'string', multiple: true },
  pruned: { type: 'boolean', default: false },
  policy: { type: 'string', multiple: true },
  sample: { type: 'string', default: '25' },
  seed: { type: 'string' },
  sign: { type: 'string' },
  out: { type: 'string' },
} as const

export const auditEvidence: Command = {
  usage:
    'audit evidence --from TIME --to TIME --out FOLDER [--dir DIR]... [--key VKEY|FILE]... [--tsa-ca FILE]... [--anchors FILE|DIR]... [--policy FILE]... [--sample N] [--seed TEXT] [--sign KEYFILE] [--pruned]',
  does: 'write a signed folder for an auditor: counts, access, changes, exceptions, samples with proofs',
  async run(args) {
    const { values } = parseOptions({ args: [...args], options })
    const { from, to, out } = values
    if (from === undefined || to === undefined) throw new UsageError('say of which period: --from and --to')
    if (out === undefined || out === '') throw new UsageError('say where to write it: --out FOLDER')
    const range = rangeOf({ from, to })
    const sample = /^\d{1,4}$/.test(values.sample) ? Number(values.sample) : Number.NaN
    if (!(sample <= maxSample)) throw new UsageError(`--sample takes a whole number up to ${maxSample}`)
    const seed = values.seed ?? randomBytes(16).toString('hex')
    if (seed === '' || seed.length > 200 || printable(seed) !== seed)
      throw new UsageError('--seed takes a text of up to 200 characters')
    const signer = values.sign === undefined ? undefined : signerOf(values.sign)
    const nodeKeys = trustedKeys(values.key)
    const policies = values.policy === undefined ? undefined : await policyPair(values.policy)
    const directories = await auditDirectories(values.dir, values['run-dir'])
    const wanted: Wanted = {
      ...{ directories, range, nodeKeys, policies, sample, seed, isPruned: values.pruned, nowMs: Date.now() },
      ...{ roots: values['tsa-ca']?.flatMap(rootsIn), anchors: values.anchors ?? [] },
    }
    newFolder(out)
    const collected = await collect(wanted)
    write(out, args, wanted, collected, signer)
    show(out, wanted, collected, signer)
    return collected.exceptions.length === 0 ? 0 : 1
  },
}

function write(
  out: string,
  args: readonly string[],
  { directories, range, seed, sample, nowMs, nodeKeys }: Wanted,
  { sections, samples, verification, counts, exceptions, observations }: Collected,
  signer: NoteSigner | undefined,
): void {
  const period = { from: new Date(range.fromMs).toISOString(), to: new Date(range.toMs).toISOString() }
  const generated = new Date(nowMs).toISOString()
  const tool = { name: 'kmcp', version: ownVersion() }
  const query = ['kmcp audit evidence', ...args.map(quoted)].join(' ')
  const { records, logs, faults, warnings, notes, limits, timeStamps, copies } = verification
  const head = {
    ...{ ...period, generated, tool: `${tool.name} ${tool.version}`, query, directories },
    signedBy: signer && verifierKey(signer.name, signer.privateKey),
    ...{ counts, exceptions, observations },
  }
  const proofs = samples.flatMap(({ seen, end, proof, endProof, population, rank }) =>
    [{ ...proof, seen, rank }, ...(endProof && end ? [{ ...endProof, seen: end, rank: undefined }] : [])].flatMap(
      ({ file, text, seen: { boot, seq, type, time, node }, rank: of }) =>
        text === undefined
          ? []
          : [
              {
                text,
                entry: { file, population, type, node, boot, seq, time, ...(of === undefined ? {} : { rank: of }) },
              },
            ],
    ),
  )
  const files = new Map<string, string>([
    ['report.html', evidencePage(head, sections)],
    ...sections.flatMap(({ tables }) => tables.map((table) => [table.file, csvOf(table)] as const)),
    [
      'verification.json',
      jsonText({
        records,
        logs: logs.length,
        time_stamps: timeStamps,
        copies,
        faults,
        warnings,
        notes,
        cannot_show: limits,
      }),
    ],
    ...proofs.map(({ text, entry }) => [entry.file, text] as const),
  ])
  const about = {
    ...{ tool, command: query, generated, period, directories, seed, sample, counts, exceptions, observations },
    node_keys: [...new Set(logs.flatMap(({ nodeKey }) => nodeKey ?? []))],
    node_keys_are: nodeKeys ? 'checked against keys that were given' : 'taken from the trail itself',
    tables: sections.flatMap(({ tables }) =>
      tables.map(({ file, rows, extent }) => ({
        ...{ file, rows: rows.length },
        ...(extent ? { records: extent.count, numbers: extent.all() } : {}),
      })),
    ),
    samples: proofs.map(({ entry }) => entry),
  }
  writeFolder(out, files, about, signer)
}

function show(out: string, { seed, range }: Wanted, collected: Collected, signer: NoteSigner | undefined): void {
  const { counts, exceptions, samples } = collected
  console.log(
    `${count(counts.records)} records from ${new Date(range.fromMs).toISOString()} to ${new Date(range.toMs).toISOString()}: ` +
      `${count(counts.allowed)} calls let through, ${count(counts.stopped)} stopped, ${count(counts.people)} people and machines`,
  )
  console.log(`${counted(samples.length, 'sample')}, drawn with the seed ${seed}`)
  for (const exception of exceptions.slice(0, maxShown)) console.log(`EXCEPTION: ${printable(exception)}`)
  if (exceptions.length > maxShown) console.log(`EXCEPTION: and ${exceptions.length - maxShown} more`)
  console.log(
    signer
      ? `signed by ${verifierKey(signer.name, signer.privateKey)}`
      : 'UNSIGNED: give an Ed25519 key with --sign, and its verifier key to the auditor by another way',
  )
  console.log(
    `${exceptions.length === 0 ? 'no exceptions' : counted(exceptions.length, 'exception')}: ${join(out, 'report.html')}`,
  )
}

/** @throws UsageError for a file that is no Ed25519 key */
function signerOf(file: string): NoteSigner {
  if (!existsSync(file)) throw new UsageError(`--sign: there is no ${file}`)
  try {
    return { name: evidenceKeyName, privateKey: readKey(readFileSync(file, 'utf8'), file) }
  } catch (error) {
    throw new UsageError(`--sign: ${(error as Error).message}`)
  }
}

/** The first file is the policy at the period's start, the last one at its end. @throws UsageError for one with faults */
async function policyPair(files: readonly string[]): Promise<PolicyPair> {
  const read = []
  for (const file of files) {
    const { policies, faults } = await readPolicies(file)
    const [fault] = faults
    if (fault) throw new UsageError(`--policy: ${faultLine(fault)}`)
    read.push(policies)
  }
  return { start: read[0] ?? [], end: read.at(-1) ?? [], all: read.flat() }
}

const ownVersion = (): string => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as {
    readonly version: string
  }
  return version
}

const quoted = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)
