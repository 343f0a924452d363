/** docs/audit-record.schema.json, as specs ask it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'

const schema = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'audit-record.schema.json'), 'utf8'),
) as { readonly $id: string; readonly $defs: Readonly<Record<string, unknown>>; readonly oneOf: { $ref: string }[] }

const ajv = new Ajv2020({ strict: true, strictRequired: false, strictTypes: false, allErrors: true })
const whole = ajv.compile(schema)

/** Types the schema has a branch for. */
export const schemaTypes = schema.oneOf.map(({ $ref }) => $ref.replace('#/$defs/', ''))

/** Names an enumeration of the schema allows. @param path from `$defs` */
export function schemaNames(...path: readonly string[]): readonly string[] {
  const found = path.reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], schema.$defs)
  return (found as { readonly enum: readonly string[] }).enum
}

/** @returns what is wrong with a record, by the branch of its own type; nothing where it is as the schema says */
export function schemaFaults(record: Readonly<Record<string, unknown>>): string[] {
  const { type } = record
  if (typeof type !== 'string' || !schemaTypes.includes(type)) return [`there is no type ${JSON.stringify(type)}`]
  const branch = ajv.getSchema(`${schema.$id}#/$defs/${type}`)
  if (!branch) throw new Error(`the schema has no branch for ${type}`)
  if (whole(record)) return []
  void branch(record)
  const errors = branch.errors ?? [{ instancePath: '', message: 'matches other branches as well', params: {} }]
  return errors.map(
    ({ instancePath, message = '', params }) => `${type}${instancePath} ${message} ${JSON.stringify(params)}`,
  )
}
