/** Kong's schema language: fills in defaults, checks values, resolves references. */
import { fromLuaPattern } from './lua-pattern.ts'

/** One field's definition, as Kong's Lua schemas and a plugin's schema JSON write it. */
export interface Field {
  readonly type: 'string' | 'number' | 'integer' | 'boolean' | 'array' | 'set' | 'map' | 'record'
  readonly required?: boolean
  readonly default?: unknown
  readonly one_of?: readonly unknown[]
  readonly not_one_of?: readonly unknown[]
  readonly eq?: unknown
  readonly ne?: unknown
  readonly gt?: number
  readonly between?: readonly [number, number]
  readonly len_eq?: number
  readonly len_min?: number
  readonly len_max?: number
  readonly uuid?: boolean
  readonly match?: string
  readonly not_match?: string
  readonly match_all?: readonly PatternRule[]
  readonly match_none?: readonly PatternRule[]
  readonly match_any?: { readonly patterns: readonly string[]; readonly err?: string }
  readonly starts_with?: string
  readonly elements?: Field
  readonly keys?: Field
  readonly values?: Field
  readonly fields?: Fields
  readonly referenceable?: boolean
  readonly encrypted?: boolean
  readonly description?: string
}
interface PatternRule {
  readonly pattern: string
  readonly err?: string
}

/** A record's fields: a list of objects with one key each, the field's name. */
export type Fields = readonly Readonly<Record<string, Field>>[]

/** What a check needs beside the value, and where it leaves what it found. */
export interface Checking {
  /** one line each: where, what is wrong, what to do */
  readonly faults: string[]
  /** what `{vault://env/name}` reads: NAME */
  readonly env: Readonly<Record<string, string>>
  /** what to do about a field the schema does not have */
  readonly unknownField: string
}

/**
 * The record a Kong would work with: defaults filled in, nulls left out, references replaced by their values (and kept in `$refs`).
 *
 * What is wrong is added to `checking.faults`; the result is then of no use.
 * Source: Kong 3.9.3 `kong/db/schema/init.lua` (process_auto_fields, validate_fields).
 *
 * @param at where the record stands in the file, for the faults
 */
export function fillRecord(fields: Fields, given: unknown, at: string, checking: Checking): Record<string, unknown> {
  const filled: Record<string, unknown> = {}
  if (!isRecord(given)) {
    checking.faults.push(`${at}: expected a record, not ${describe(given)}`)
    return filled
  }
  const known = new Set<string>()
  const references: Record<string, unknown> = {}
  for (const [name, field] of fields.flatMap((entry) => Object.entries(entry))) {
    known.add(name)
    const value = fillField(field, given[name], `${at}.${name}`, checking)
    if (value === undefined) continue
    filled[name] = value
    if (holdsReference(field, given[name])) references[name] = given[name]
  }
  for (const name of Object.keys(given)) {
    if (!known.has(name)) checking.faults.push(`${at}.${name}: unknown field; ${checking.unknownField}`)
  }
  if (Object.keys(references).length > 0) filled['$refs'] = references
  return filled
}

function fillField(field: Field, given: unknown, at: string, checking: Checking): unknown {
  if (given === undefined) {
    if (field.type === 'record' && field.required)
      return fillRecord(field.fields ?? [], field.default ?? {}, at, checking)
    if (field.default !== undefined && field.default !== null) return structuredClone(field.default)
  }
  if (given === undefined || given === null) {
    if (field.required) checking.faults.push(`${at}: required field missing; add it`)
    return undefined
  }
  if (field.referenceable && isReference(given)) return resolve(given, at, checking)
  const value = fillValue(field, given, at, checking)
  if (value !== undefined) for (const fault of faultsOf(field, value)) checking.faults.push(`${at}: ${fault}`)
  return value
}

const isOfType: Readonly<Record<Field['type'], (given: unknown) => boolean>> = {
  string: (given) => typeof given === 'string',
  boolean: (given) => typeof given === 'boolean',
  number: (given) => typeof given === 'number',
  integer: (given) => Number.isInteger(given),
  array: Array.isArray,
  set: Array.isArray,
  map: isRecord,
  record: isRecord,
}

/** A value of the field's type with its parts filled in; undefined, and a fault, for any other. */
function fillValue(field: Field, given: unknown, at: string, checking: Checking): unknown {
  if (!isOfType[field.type](given)) {
    checking.faults.push(`${at}: the type must be ${field.type}, not ${describe(given)}`)
    return undefined
  }
  if (Array.isArray(given)) {
    const list = given.map((item: unknown, index) => fillItem(field.elements, item, `${at}[${index}]`, checking))
    return field.type === 'set' ? [...new Set(list)] : list
  }
  if (!isRecord(given)) return given
  if (field.type === 'record') return fillRecord(field.fields ?? [], given, at, checking)
  return Object.fromEntries(
    Object.entries(given).map(([key, value]) => [
      fillItem(field.keys, key, `${at} (key \`${key}\`)`, checking),
      fillItem(field.values, value, `${at}.${key}`, checking),
    ]),
  )
}

function fillItem(field: Field | undefined, given: unknown, at: string, checking: Checking): unknown {
  return field ? fillField(field, given, at, checking) : given
}

function* faultsOf(field: Field, value: unknown): Generator<string> {
  if (field.eq !== undefined && value !== field.eq) yield `value must be ${describe(field.eq)}`
  if (field.ne !== undefined && value === field.ne) yield `value must not be ${describe(field.ne)}`
  if (field.one_of && !field.one_of.includes(value))
    yield `expected one of: ${field.one_of.join(', ')}; not ${describe(value)}`
  if (field.not_one_of?.includes(value)) yield `must not be one of: ${field.not_one_of.join(', ')}`
  if (typeof value === 'number') {
    if (field.gt !== undefined && !(value > field.gt)) yield `value must be greater than ${field.gt}`
    if (field.between && (value < field.between[0] || value > field.between[1])) {
      yield `value should be between ${field.between[0]} and ${field.between[1]}`
    }
  }
  const length = lengthOf(value)
  if (length !== undefined) {
    const least = field.len_min ?? (field.type === 'string' ? 1 : 0)
    if (length < least) yield `length must be at least ${least}`
    if (field.len_max !== undefined && length > field.len_max) yield `length must be at most ${field.len_max}`
    if (field.len_eq !== undefined && length !== field.len_eq) yield `length must be ${field.len_eq}`
  }
  if (typeof value === 'string') yield* textFaultsOf(field, value)
}

function* textFaultsOf(field: Field, value: string): Generator<string> {
  const fits = (pattern: string): boolean => fromLuaPattern(pattern).test(value)
  if (field.uuid && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value)) yield 'expected a valid UUID'
  if (field.starts_with !== undefined && !value.startsWith(field.starts_with))
    yield `should start with: ${field.starts_with}`
  if (field.match !== undefined && !fits(field.match)) yield `invalid value: ${value}`
  if (field.not_match !== undefined && fits(field.not_match)) yield `invalid value: ${value}`
  for (const rule of field.match_all ?? []) if (!fits(rule.pattern)) yield rule.err ?? `invalid value: ${value}`
  for (const rule of field.match_none ?? []) if (fits(rule.pattern)) yield rule.err ?? `invalid value: ${value}`
  if (field.match_any && !field.match_any.patterns.some(fits)) yield field.match_any.err ?? `invalid value: ${value}`
}

const knownAttributes = new Set(
  (
    'type required default one_of not_one_of eq ne gt between len_eq len_min len_max uuid match not_match match_all match_none ' +
    'match_any starts_with elements keys values fields referenceable encrypted description'
  ).split(' '),
)

/** Adds a fault for every part of a plugin's schema that is not understood here: what is not checked must not seem checked. */
export function checkSchema(fields: Fields, at: string, faults: string[]): void {
  const visit = (field: Field, where: string): void => {
    if (!Object.hasOwn(isOfType, field.type))
      faults.push(`${where}: the embedded gateway does not know the schema type \`${field.type}\``)
    for (const attribute of Object.keys(field)) {
      if (!knownAttributes.has(attribute)) {
        faults.push(`${where}: the embedded gateway does not know the schema attribute \`${attribute}\``)
      }
    }
    for (const part of [field.elements, field.keys, field.values]) if (part) visit(part, `${where}[]`)
    if (field.fields) checkSchema(field.fields, where, faults)
  }
  for (const [name, field] of fields.flatMap((entry) => Object.entries(entry))) visit(field, `${at}.${name}`)
}

/** Is this a Kong Vault reference, `{vault://…}`? */
function isReference(value: unknown): value is string {
  return typeof value === 'string' && value.startsWith('{vault://') && value.endsWith('}')
}

function holdsReference(field: Field, given: unknown): boolean {
  if (field.type === 'array' || field.type === 'set') {
    return field.elements?.referenceable === true && Array.isArray(given) && given.some(isReference)
  }
  if (field.type === 'map') return field.values?.referenceable === true && Object.values(given ?? {}).some(isReference)
  return field.referenceable === true && isReference(given)
}

function resolve(reference: string, at: string, checking: Checking): string {
  const name = /^\{vault:\/\/env\/([\w-]+)\}$/.exec(reference)?.[1]
  if (name === undefined) {
    checking.faults.push(`${at}: the embedded gateway reads \`{vault://env/name}\` only, not \`${reference}\``)
    return ''
  }
  return checking.env[name.toUpperCase().replaceAll('-', '_')] ?? ''
}

/** Is this a plain object: what YAML and JSON call a mapping? */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function lengthOf(value: unknown): number | undefined {
  if (typeof value === 'string') return Buffer.byteLength(value)
  if (Array.isArray(value)) return value.length
  return isRecord(value) ? Object.keys(value).length : undefined
}

function describe(value: unknown): string {
  if (value === undefined || value === null) return 'nothing'
  if (typeof value === 'string') return `\`${value}\``
  if (Array.isArray(value)) return 'a list'
  return isRecord(value) ? 'a record' : `\`${JSON.stringify(value)}\``
}
