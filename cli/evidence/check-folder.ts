/** Is a folder of evidence what was signed? Reads the folder only. */
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readRecord } from '../../lib/audit/chain.ts'
import { originOf } from '../../lib/audit/checkpoint.ts'
import { checkProof } from '../../lib/audit/proof.ts'
import { type NoteKey, openNote, readVerifierKey, verifierKey } from '../../lib/audit/signed-note.ts'
import { isRecord } from '../../lib/is-record.ts'
import type { JsonObject } from '../../lib/mcp/message.ts'
import { callTypes } from '../audit-rows.ts'
import { UsageError } from '../command.ts'
import { evidenceKeyName, manifestFile, manifestFormat, noteFile, noteText, sha256 } from './folder.ts'
import { rankOf } from './samples.ts'
import { said, timeMsOf } from './seen.ts'

/**
 * @property faults what is not as the manifest, the signature or a proof says
 * @property limits what this cannot show
 */
export interface FolderCheck {
  readonly files: number
  readonly proofs: number
  readonly signedBy: string | undefined
  readonly faults: readonly string[]
  readonly limits: readonly string[]
}

/**
 * Checks every file against the manifest, the manifest against its note, and every proof against the nodes’ keys.
 *
 * @param keys       trusted; of whoever signs evidence, and of nodes. Where one of the two is missing, the folder’s own is taken
 * @param isUnsigned a folder nobody signed will do
 * @throws UsageError for a folder without a manifest
 */
export function checkFolder(folder: string, keys: readonly NoteKey[], isUnsigned: boolean): FolderCheck {
  const faults: string[] = []
  const limits: string[] = []
  const bytes = readManifest(folder)
  const manifest = parse(bytes)
  if (manifest?.format !== manifestFormat) {
    faults.push(`${manifestFile} is no manifest of evidence (${manifestFormat})`)
    return { files: 0, proofs: 0, signedBy: undefined, faults, limits }
  }
  const signedBy = checkNote(folder, bytes, manifest, keys, isUnsigned, faults, limits)
  const contents = checkFiles(folder, manifest, faults)
  const proofs = checkSamples(manifest, contents, keys, faults, limits)
  limits.push(
    'that its tables and page say what the trail says, and that the samples are the ones with the lowest ranks, is the word ' +
      'of whoever made it: on a copy of the trail, the command in the manifest with the same seed gives the same files',
  )
  return { files: contents.size, proofs, signedBy, faults, limits }
}

type Manifest = Readonly<Record<string, unknown>>

function readManifest(folder: string): Buffer {
  try {
    return readRegular(join(folder, manifestFile))
  } catch {
    throw new UsageError(`there is no ${manifestFile} in ${folder}`)
  }
}

/** @throws Error for anything else: a reader of a pipe may wait without end */
function readRegular(path: string): Buffer {
  if (!lstatSync(path).isFile()) throw new Error(`${path} is no regular file`)
  return readFileSync(path)
}

function parse(bytes: Buffer): Manifest | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

function checkNote(
  folder: string,
  bytes: Buffer,
  manifest: Manifest,
  keys: readonly NoteKey[],
  isUnsigned: boolean,
  faults: string[],
  limits: string[],
): string | undefined {
  const period = isRecord(manifest.period) ? manifest.period : {}
  const text = noteText(bytes, said(period.from), said(period.to))
  let note: string
  try {
    note = readRegular(join(folder, noteFile)).toString('utf8')
  } catch {
    faults.push(`${noteFile} is missing, or no file`)
    return undefined
  }
  const given = keys.filter(({ name }) => name === evidenceKeyName)
  if (!/^— /m.test(note)) {
    if (!note.startsWith(text)) faults.push(`${noteFile} is of another ${manifestFile}`)
    if (given.length > 0) faults.push('nobody signed it, and a key was given that should have')
    else if (isUnsigned) limits.push('nobody signed it: whoever had the folder could change all of it')
    else
      faults.push('nobody signed it: whoever had the folder could change all of it (--unsigned takes it all the same)')
    return undefined
  }
  const known = given.length > 0 ? given : keyOf(manifest.signed_by)
  const opened = openNote(note, known)
  if (!opened.ok) {
    faults.push(`${noteFile}: ${opened.because}`)
    return undefined
  }
  if (opened.text !== text) faults.push(`${noteFile} was signed over another ${manifestFile}`)
  if (given.length === 0)
    limits.push(
      'the key that signed it was taken from the folder itself: whoever made a new folder under a new key passes. Give the one you know with --key',
    )
  // Whose key it really was: the manifest only says so itself.
  const [by] = opened.by as readonly [NoteKey]
  const signedBy = verifierKey(by.name, by.publicKey)
  if (manifest.signed_by !== signedBy) faults.push(`${manifestFile} names another key than the one that signed it`)
  return signedBy
}

/** Names that stay in the folder. */
const isName = (file: string): boolean => /^(?:[a-z]+\/)?[A-Za-z0-9][A-Za-z0-9._-]{0,120}$/.test(file)

function checkFiles(folder: string, manifest: Manifest, faults: string[]): Map<string, Buffer> {
  const contents = new Map<string, Buffer>()
  const present = new Set(filesOf(folder, '', faults))
  for (const listed of Array.isArray(manifest.files) ? (manifest.files as unknown[]) : []) {
    const { file, sha256: digest } = isRecord(listed) ? listed : {}
    if (typeof file !== 'string' || !isName(file) || contents.has(file)) {
      faults.push(`the manifest lists \`${said(file).slice(0, 120)}\`, which is no name of a file of its own`)
      continue
    }
    if (!present.has(file)) {
      faults.push(`${file} is missing`)
      continue
    }
    const data = readFileSync(join(folder, file))
    contents.set(file, data)
    if (sha256(data) !== digest) faults.push(`${file} is not what the manifest says: it was changed`)
  }
  for (const file of present)
    if (!contents.has(file) && file !== manifestFile && file !== noteFile)
      faults.push(`${file.slice(0, 200)} is not in the manifest: it was added`)
  return contents
}

function filesOf(folder: string, under: string, faults: string[]): string[] {
  return readdirSync(join(folder, under)).flatMap((name) => {
    const file = under === '' ? name : `${under}/${name}`
    const stat = lstatSync(join(folder, file))
    if (stat.isFile()) return [file]
    if (stat.isDirectory() && under === '') return filesOf(folder, file, faults)
    faults.push(`${file.slice(0, 200)} is no file of evidence`)
    return []
  })
}

function checkSamples(
  manifest: Manifest,
  contents: ReadonlyMap<string, Buffer>,
  keys: readonly NoteKey[],
  faults: string[],
  limits: string[],
): number {
  const given = keys.filter(({ name }) => name !== evidenceKeyName)
  const own = Array.isArray(manifest.node_keys) ? (manifest.node_keys as unknown[]).flatMap(keyOf) : []
  const nodeKeys = given.length > 0 ? given : own
  const told = new Set<string>()
  const drawing = new Drawing(manifest)
  for (const sample of Array.isArray(manifest.samples) ? (manifest.samples as unknown[]) : []) {
    const entry = isRecord(sample) ? sample : {}
    const { file, node, boot, seq } = entry
    const data = typeof file === 'string' ? contents.get(file) : undefined
    if (typeof file !== 'string' || !data) {
      faults.push(`the manifest names a sample \`${said(file).slice(0, 120)}\` that is not there`)
      continue
    }
    told.add(file)
    const checked = checkProof(data.toString('utf8'), nodeKeys)
    if (!checked.ok) {
      faults.push(`${file} proves nothing: ${checked.because}`)
      continue
    }
    const record = readRecord(checked.line)
    const isNamed =
      record?.boot === boot && checked.index + 1 === seq && checked.origin === originOf(said(node), said(boot))
    if (!record || !isNamed) faults.push(`${file} proves another record than the manifest says`)
    else faults.push(...drawing.faultsOf(entry, record).map((fault) => `${file}: ${fault}`))
  }
  for (const file of contents.keys())
    if (file.startsWith('samples/') && !told.has(file)) faults.push(`${file} is a sample the manifest does not name`)
  if (given.length === 0 && told.size > 0)
    limits.push('the nodes’ keys were taken from the folder itself. Give the node.vkey you keep with --key')
  return told.size
}

/** Is each sample one that the seed may have drawn, in its turn? Whether a lower rank was left out only the trail shows. */
class Drawing {
  readonly #manifest: Manifest
  readonly #last = new Map<unknown, string>()
  readonly #calls = new Set<unknown>()

  constructor(manifest: Manifest) {
    this.#manifest = manifest
  }

  faultsOf({ population, type, time, rank }: Manifest, record: JsonObject): string[] {
    const { seed, period } = this.#manifest
    const { from, to } = isRecord(period) ? period : {}
    const faults: string[] = []
    if (said(record.type) !== type || said(record.time) !== time) faults.push('its record says another type or time')
    if (rank === undefined) {
      if (!this.#calls.has(record.call)) faults.push('it is no end of a call that was drawn')
      return faults
    }
    this.#calls.add(record.call)
    const timeMs = timeMsOf(record.time)
    if (!(timeMs >= timeMsOf(from) && timeMs < timeMsOf(to))) faults.push('its record is not of the period')
    if (!callTypes.has(record.type) || (record.type === 'admission' ? 'allowed' : 'stopped') !== population)
      faults.push(`its record is none of the population ${said(population)}`)
    if (rank !== rankOf(said(seed), said(record.boot), Number(record.seq)))
      faults.push('its rank is not the one the seed gives')
    else if (rank <= (this.#last.get(population) ?? '')) faults.push('it was drawn out of turn, or twice')
    else this.#last.set(population, rank)
    return faults
  }
}

function keyOf(text: unknown): NoteKey[] {
  try {
    return typeof text === 'string' ? [readVerifierKey(text)] : []
  } catch {
    return []
  }
}
