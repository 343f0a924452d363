/** What the suite put on record, as a spec reads it: straight from the files. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { commit, type CommitmentName, saltOf } from '../../lib/audit/commitment.ts'
import type { Json } from '../../lib/mcp/message.ts'

/** A record, loosely typed: specs say which members they expect. */
export interface AuditRecord {
  readonly seq: number
  readonly type: string
  readonly call?: string
  readonly route?: string
  readonly reason?: string
  readonly detail?: Readonly<Record<string, unknown>>
  readonly [member: string]: unknown
}

/** All bytes of all trails of a directory, oldest first. */
export async function trailText(directory: string): Promise<string> {
  const names = (await readdir(directory).catch(() => [])).filter((name) => /^trail-.*\.jsonl$/.test(name)).sort()
  return (await Promise.all(names.map((name) => readFile(join(directory, name), 'utf8')))).join('')
}

/** Records the trail keeps about itself, at times of its own. */
const ownRecords = new Set([
  'start',
  'stop',
  'key',
  'issuer_keys',
  'heartbeat',
  'recovery',
  'policy',
  'configuration',
  'fault',
  'peer_head',
])

export const isOwnRecord = ({ type }: AuditRecord): boolean => ownRecords.has(type)

/** The records of calls, oldest first. */
export async function readRecords(directory: string): Promise<AuditRecord[]> {
  return (await readAllRecords(directory)).filter((record) => !isOwnRecord(record))
}

/** All records, oldest first; a line that is still being written is left out. */
export async function readAllRecords(directory: string): Promise<AuditRecord[]> {
  const lines = (await trailText(directory)).split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as AuditRecord)
}

/** The kinds of record that say a request was stopped. */
const stops = new Set(['denial', 'authentication_failure', 'refusal', 'limit'])

/** The records of stopped requests. */
export async function readStops(directory: string): Promise<AuditRecord[]> {
  return (await readRecords(directory)).filter(({ type }) => stops.has(type))
}

/** A refusal's reason in one word: `unreadable` and `json` are opened, `json.duplicate_key` is what was in them. */
export function whyOf(record: AuditRecord | undefined): string | undefined {
  const { refusal } = (record?.detail ?? {}) as { refusal?: { why: string; json?: { why: string } } }
  if (!refusal) return record?.reason
  return refusal.json ? `json.${refusal.json.why}` : refusal.why
}

/** What a record should commit to, with the salt of the log it is in. */
export async function committed(
  directory: string,
  record: AuditRecord | undefined,
  name: CommitmentName,
  value: Json,
): Promise<string> {
  const [salt = ''] = (await readdir(directory)).filter(
    (name) => name.includes(String(record?.boot).slice(0, 8)) && name.startsWith('salt-'),
  )
  const saltKey = Buffer.from((await readFile(join(directory, salt), 'utf8')).trim(), 'hex')
  return commit(saltOf(saltKey, String(record?.call), name), value)
}
