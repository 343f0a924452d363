/** A line of the trail as the formats see it. */
import { type Json, type JsonObject, isObject } from '../../mcp/message.ts'

/**
 * One record, read.
 *
 * @property line    the line itself, without its line feed
 * @property members everything it says
 * @property type    `unknown` where it says none
 * @property boot    which start of the plugin server wrote it; with `seq` it names the record
 * @property timeMs  milliseconds since the Unix epoch; undefined where it says no time
 */
export interface ReadRecord {
  readonly line: string
  readonly members: JsonObject
  readonly type: string
  readonly seq: number | undefined
  readonly boot: string | undefined
  readonly node: string | undefined
  readonly timeMs: number | undefined
}

/** Reads a line; undefined for what is no JSON object. */
export function readLine(line: string): ReadRecord | undefined {
  let members: Json
  try {
    members = JSON.parse(line) as Json
  } catch {
    return undefined
  }
  if (!isObject(members)) return undefined
  const { type, seq, time } = members
  const timeMs = typeof time === 'string' ? Date.parse(time) : NaN
  return {
    line,
    members,
    type: typeof type === 'string' ? type : 'unknown',
    seq: typeof seq === 'number' && Number.isSafeInteger(seq) ? seq : undefined,
    boot: textAt(members, 'boot'),
    node: textAt(members, 'node'),
    timeMs: Number.isNaN(timeMs) ? undefined : timeMs,
  }
}

/** What names a record everywhere, so that one that came twice is recognised: `<boot>:<seq>`. */
export const recordId = ({ boot, seq }: ReadRecord): string => `${boot ?? 'unknown'}:${seq ?? 'unknown'}`

/** The value at a path of members; undefined where there is none, or null. */
export function valueAt(members: JsonObject, ...path: readonly string[]): Exclude<Json, null> | undefined {
  let value: Json | undefined = members
  for (const name of path) value = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
  return value ?? undefined
}

export function textAt(members: JsonObject, ...path: readonly string[]): string | undefined {
  const value = valueAt(members, ...path)
  return typeof value === 'string' ? value : undefined
}

export function numberAt(members: JsonObject, ...path: readonly string[]): number | undefined {
  const value = valueAt(members, ...path)
  return typeof value === 'number' ? value : undefined
}

/** The members that have a value: formats leave out what a record does not say. */
export function present(members: Readonly<Record<string, Json | undefined>>): JsonObject {
  return Object.fromEntries(
    Object.entries(members).filter(
      (entry): entry is [string, Json] =>
        entry[1] !== undefined && entry[1] !== null && !(isObject(entry[1]) && Object.keys(entry[1]).length === 0),
    ),
  )
}
