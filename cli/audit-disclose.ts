/** `kmcp audit disclose`: was it this, what a record commits to and does not say? */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readSaltKey } from '../adapters/audit-sink/node-key.ts'
import { saltFile } from '../adapters/audit-sink/trail-files.ts'
import { commit, type CommitmentName, saltOf } from '../lib/audit/commitment.ts'
import { hmacSha256 } from '../lib/audit/hmac.ts'
import { readJson } from '../lib/mcp/json-reader.ts'
import type { Json, JsonObject } from '../lib/mcp/message.ts'
import { auditDirectory } from './audit-files.ts'
import { type Command, parseOptions, UsageError } from './command.ts'
import { find, type Found, linesOf, startOf, where } from './find-record.ts'
import { said } from './evidence/seen.ts'
import { printable } from './print-rows.ts'

/** What can be shown, by the option that gives it. */
const shown = {
  arguments: { name: 'arguments_commitment', what: 'the arguments of the call' },
  body: { name: 'body_commitment', what: 'the body of the request' },
  'sent-body': { name: 'sent_body_commitment', what: 'the body that was sent on' },
  response: { name: 'response_commitment', what: 'the answer' },
} as const satisfies Record<string, { readonly name: CommitmentName; readonly what: string }>
type Shown = keyof typeof shown

const files = Object.fromEntries((Object.keys(shown) as Shown[]).map((one) => [one, { type: 'string' }])) as Record<
  Shown,
  { readonly type: 'string' }
>

export const auditDisclose: Command = {
  usage: 'audit disclose ID --arguments|--body|--sent-body|--response FILE [--dir DIR]',
  does: 'check that a call’s arguments, body or answer were these, which its records hide',
  async run(args) {
    const { values, positionals } = parseOptions({
      args: [...args],
      allowPositionals: true,
      options: { ...where, ...files },
    })
    const [given, ...more] = (Object.keys(shown) as Shown[]).filter((one) => values[one] !== undefined)
    if (given === undefined || more.length > 0)
      throw new UsageError(
        `give one file: ${Object.keys(shown)
          .map((one) => `--${one}`)
          .join(', ')}`,
      )
    const file = readFileSync(values[given] ?? '')
    const directory = await auditDirectory(values.dir, values['run-dir'])
    const { name, what } = shown[given]
    const found = find(directory, positionals)
    const committed = committing(directory, found, name)
    if (!committed) {
      console.log(`no record of the call commits to ${what}: there was none, it was too long, or nothing saw it`)
      return 1
    }
    const { salt_sha256: digest } = startOf(directory, found.log)
    const saltKey = readSaltKey(
      join(directory, saltFile(found.log.key)),
      typeof digest === 'string' ? digest : undefined,
    )
    if (!Buffer.isBuffer(saltKey)) {
      const because = saltKey ?? 'it is not there any more'
      console.log(`${saltFile(found.log.key)}: ${because}: nothing this log commits to can be shown`)
      return 1
    }
    const call = said(committed.record.call)
    // Logs that do not say which key salts them have one salt for a call.
    const salt = typeof digest === 'string' ? saltOf(saltKey, call, name) : hmacSha256(saltKey, call)
    const { value, part } =
      given === 'arguments' ? { value: readArguments(file), part: what } : partOf(file, given, committed.record)
    const commitment = said(committed.record[name])
    const isThis = value !== undefined && commit(salt, value) === commitment
    const holds = isThis ? 'yes: the file holds' : 'NO: the file does not hold'
    console.log(`${holds} ${part}, says record ${found.log.key}:${committed.number}`)
    console.log(
      `${name} ${printable(commitment)} = SHA-256(salt || ${given === 'arguments' ? 'canonical JSON' : '"SHA-256 of the bytes in hex"'}), salt ${salt.toString('hex')}`,
    )
    return isThis ? 0 : 1
  },
}

/** The record itself, or another one of its call, that commits to it: an answer stands in the outcome. */
function committing(directory: string, found: Found, name: CommitmentName): Omit<Found, 'log'> | undefined {
  if (typeof found.record[name] === 'string') return found
  let number = 0
  for (const { line, record } of linesOf(directory, found.log)) {
    number++
    if (typeof record?.call === 'string' && record.call === found.record.call && typeof record[name] === 'string')
      return { line, number, record }
  }
  return undefined
}

/** The gateway read them in the only way there is to read them; so they are read here. */
function readArguments(file: Buffer): Json {
  const reading = readJson(file, { maxBytes: 4 * 1024 * 1024, maxDepth: 512, maxValues: 1_000_000 })
  if (reading.ok) return JSON.parse(file.toString('utf8')) as Json
  const { why, at } = reading.refusal
  throw new UsageError(`--arguments: no gateway would have read this: ${why} at byte ${at}`)
}

/** The digest of the bytes that were committed to: a body, an answer, or as much of it as the record says. */
function partOf(
  file: Buffer,
  given: Exclude<Shown, 'arguments'>,
  record: JsonObject,
): { readonly value: Json | undefined; readonly part: string } {
  const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
  if (given !== 'response') return { value: sha256(file), part: shown[given].what }
  const of = said(record.commitment_of)
  const [, first, ofMessage] = /^first ([1-9]\d{0,9}) bytes( of the message)?$/.exec(of) ?? []
  const whole = of === 'message' || ofMessage !== undefined ? 'the message that answered' : 'the answer'
  if (first === undefined) return { value: sha256(file), part: whole }
  const part = `the first ${first} bytes of ${whole} (of what came after nothing is on record)`
  return { value: file.length < Number(first) ? undefined : sha256(file.subarray(0, Number(first))), part }
}
