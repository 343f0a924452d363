/** A plugin's configuration, for the record: what its schema knows of, without what is secret. */
import type { Json, JsonObject } from '../mcp/message.ts'
import { withoutCredentials } from './redact.ts'

/** A field as Kong's schema language describes it, as far as it matters here. */
export interface SchemaField {
  readonly type?: string
  readonly required?: boolean
  readonly encrypted?: boolean
  readonly fields?: SchemaFields
  readonly elements?: SchemaField
  readonly values?: SchemaField
}
export type SchemaFields = readonly Readonly<Record<string, SchemaField>>[]

/** Stands for the value of an encrypted field. */
export const secret = '[secret]'

/** Whoever is to log in: up to the last `@` before the path, since a password may have one in it, and a token stands alone. */
const userInfo = /(:\/\/)[^/?#`]+(?=@)/g
/** A key of whoever asks, whatever it is called. */
const query = /(:\/\/[^\s?`]*\?)[^\s`]+/g

/** What an administrator wrote, or what is said of it, for the record: of a URL neither user nor query. */
export const withoutAccess = (text: string): string =>
  withoutCredentials(text.replace(userInfo, `$1${secret}`).replace(query, `$1${secret}`))

/**
 * Settings that have a value, in the shape the schema gives them: Lua has one kind of table, so that an empty record may
 * arrive as a list.
 *
 * @param apart names of fields, at any depth, that other records tell of
 */
export function shownSettings(fields: SchemaFields, config: JsonObject, apart: ReadonlySet<string>): JsonObject {
  const shown: Record<string, Json> = {}
  for (const [name, field] of fields.flatMap((one) => Object.entries(one))) {
    const value = config[name]
    if (value !== undefined && value !== null && !apart.has(name)) shown[name] = shownValue(field, value, apart)
  }
  return shown
}

function shownValue(field: SchemaField, value: Json, apart: ReadonlySet<string>): Json {
  if (field.encrypted === true) return secret
  const { fields, elements, values } = field
  if (fields) return shownSettings(fields, value as JsonObject, apart)
  if (elements) return Array.isArray(value) ? (value as Json[]).map((one) => shownValue(elements, one, apart)) : []
  if (values) {
    const entries = Object.entries(value as JsonObject)
    return Object.fromEntries(entries.map(([name, one]) => [name, shownValue(values, one ?? null, apart)]))
  }
  return typeof value === 'string' ? withoutAccess(value) : value
}
