/** A trail's files taken apart and put together again, as somebody can who has everything but the node's key. */
import { generateKeyPairSync } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Checkpoint, checkpointText, nodeKeyName, originOf } from '../../lib/audit/checkpoint.ts'
import { certify } from '../../lib/audit/epoch.ts'
import { Frontier, leafHash } from '../../lib/audit/merkle.ts'
import { type NoteSigner, signNote, verifierKey } from '../../lib/audit/signed-note.ts'
import { noteOf } from '../../lib/audit/verify-log.ts'
import { canonicalJson } from '../../lib/canonical-json.ts'
import type { Json } from '../../lib/mcp/message.ts'

/** Names and contents of a directory's trail and checkpoint files. */
export type Files = Map<string, Buffer>

/** @property torn what stands after the last line feed */
export interface Segment {
  readonly lines: readonly string[]
  readonly torn: Buffer
}

/** @property checkpoints lines of the file */
export interface Log {
  readonly key: string
  readonly segments: readonly Segment[]
  readonly checkpoints: readonly string[]
}

export type Member = Readonly<Record<string, Json>>

export function readFiles(directory: string): Files {
  const names = readdirSync(directory).filter((name) => /^(?:trail|checkpoints)-.*\.jsonl$/.test(name))
  return new Map(names.sort().map((name) => [name, readFileSync(join(directory, name))]))
}

/** Makes the directory hold `after` where it holds `before`; writes only what differs. */
export function putFiles(directory: string, before: Files, after: Files): void {
  for (const name of before.keys()) if (!after.has(name)) rmSync(join(directory, name))
  for (const [name, data] of after) if (before.get(name) !== data) writeFileSync(join(directory, name), data)
}

export function logsIn(files: Files): Log[] {
  const keys = [...files.keys()].flatMap((name) => /^trail-(.*)-000001\.jsonl$/.exec(name)?.[1] ?? [])
  return keys.map((key) => ({
    key,
    segments: segmentNames(files, key).map((name) => segmentOf(files.get(name) as Buffer)),
    checkpoints: segmentOf(files.get(`checkpoints-${key}.jsonl`) ?? Buffer.alloc(0)).lines,
  }))
}

export const segmentNames = (files: Files, key: string): string[] =>
  [...files.keys()].filter((name) => name.startsWith(`trail-${key}-`))

function segmentOf(data: Buffer): Segment {
  const end = data.lastIndexOf(0x0a) + 1
  return { lines: data.toString('utf8', 0, end).split('\n').slice(0, -1), torn: data.subarray(end) }
}

/** The files with one log in place of the one of that key. */
export function withLog(files: Files, log: Log, key = log.key): Files {
  const after: Files = new Map([...files].filter(([name]) => !name.includes(`-${key}`)))
  for (const [index, { lines, torn }] of log.segments.entries()) {
    const name = `trail-${log.key}-${String(index + 1).padStart(6, '0')}.jsonl`
    after.set(name, Buffer.concat([Buffer.from(lines.map((line) => `${line}\n`).join('')), torn]))
  }
  after.set(`checkpoints-${log.key}.jsonl`, Buffer.from(log.checkpoints.map((line) => `${line}\n`).join('')))
  return new Map([...after].sort(([one], [other]) => (one < other ? -1 : 1)))
}

export const withoutLog = (files: Files, key: string): Files =>
  new Map([...files].filter(([name]) => !name.includes(`-${key}`)))

export const linesIn = (log: Log): string[] => log.segments.flatMap(({ lines }) => lines)

/** The log with other lines; they fill its segments as far as these go, the rest stands in the last. */
export function withLines(log: Log, lines: readonly string[]): Log {
  const segments: Segment[] = []
  let at = 0
  for (const [index, segment] of log.segments.entries()) {
    const isLast = index === log.segments.length - 1
    const part = lines.slice(at, isLast ? undefined : at + segment.lines.length)
    at += part.length
    if (part.length > 0 || isLast) segments.push({ lines: part, torn: segment.torn })
  }
  return { ...log, segments }
}

export const recordOf = (line: string): Member => JSON.parse(line) as Member
export const lineOf = (record: Member): string => canonicalJson(record)

/** Numbers and links lines as the writer would have. */
export function relink(lines: readonly string[]): string[] {
  let prev = '0'.repeat(64)
  return lines.map((line, index) => {
    const linked = lineOf({ ...recordOf(line), seq: index + 1, prev })
    prev = leafHash(linked).toString('hex')
    return linked
  })
}

/** Roots by size. */
export function rootsOf(lines: readonly string[]): Buffer[] {
  const tree = new Frontier()
  return [
    tree.root(),
    ...lines.map((line) => {
      tree.append(leafHash(line))
      return tree.root()
    }),
  ]
}

export const sizeOf = (checkpoint: string): number => Number((noteOf(checkpoint) ?? '').split('\n')[1])

/** A checkpoint's line with another note. */
export const withNote = (line: string, note: string): string =>
  JSON.stringify({ ...(JSON.parse(line) as object), note })

/** Checkpoints say what the lines give; their signatures stay what they were. */
export function restated(log: Log, lines: readonly string[]): string[] {
  const roots = rootsOf(lines)
  return log.checkpoints.map((line) => {
    const note = noteOf(line) ?? ''
    const [origin = ''] = note.split('\n')
    const size = Math.min(sizeOf(line), lines.length)
    const text = checkpointText({ origin, size, root: roots[size] as Buffer })
    return withNote(line, text + note.slice(note.lastIndexOf('\n\n') + 1))
  })
}

export const stranger = (name: string): NoteSigner => ({
  name,
  privateKey: generateKeyPairSync('ed25519').privateKey,
})

/**
 * The whole log anew under keys of one's own: every certificate and every checkpoint is signed, and everything fits.
 *
 * @param namesKey the start record names the new node key
 */
export function remade(log: Log, lines: readonly string[], namesKey: boolean): Log {
  const { node, boot } = recordOf(lines[0] as string) as { readonly node: string; readonly boot: string }
  const origin = originOf(node, boot)
  const owner = stranger(nodeKeyName(node))
  const sizes = new Map(log.checkpoints.map((line) => [sizeOf(line), line]))
  const tree = new Frontier()
  const made: string[] = []
  const checkpoints: string[] = []
  let signer = stranger(origin)
  let sealed: Checkpoint | undefined
  let epoch = 0
  let prev = '0'.repeat(64)
  for (const line of lines) {
    let record = recordOf(line)
    if (record.type === 'start' && namesKey) record = { ...record, node_key: verifierKey(owner.name, owner.privateKey) }
    if (record.type === 'key') {
      signer = stranger(origin)
      const key = verifierKey(origin, signer.privateKey)
      const before = sealed ?? { origin, size: 1, root: tree.root() }
      record = { ...record, epoch: ++epoch, key, certificate: certify({ number: epoch, key, before }, owner) }
    }
    const linked = lineOf({ ...record, seq: made.length + 1, prev })
    prev = leafHash(linked).toString('hex')
    tree.append(leafHash(linked))
    made.push(linked)
    const seal = sizes.get(made.length)
    if (seal === undefined) continue
    sealed = { origin, size: made.length, root: tree.root() }
    checkpoints.push(withNote(seal, signNote(checkpointText(sealed), signer)))
  }
  return { ...withLines(log, made), checkpoints }
}

/** Every log after this one begins as if it had always ended as it does now. */
export function cascaded(logs: readonly Log[], from: number): Log[] {
  const after = [...logs]
  for (let index = from + 1; index < after.length; index++) {
    const before = linesIn(after[index - 1] as Log)
    const log = after[index] as Log
    const [start = '', ...rest] = linesIn(log)
    const previous = recordOf(start).previous as Member
    const last = leafHash(before.at(-1) ?? '').toString('hex')
    const changed = lineOf({ ...recordOf(start), previous: { ...previous, seq: before.length, last } })
    const lines = relink([changed, ...rest])
    after[index] = { ...withLines(log, lines), checkpoints: restated(log, lines) }
  }
  return after
}
