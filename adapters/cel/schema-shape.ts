/** What a JSON Schema (2020-12) says about a value, as far as a condition can use it. */
import type { JsonSchema } from '../../lib/policy/condition.ts'
import { anyString, bool, dyn, oneOf, plain, type Shape, union } from './shape.ts'

/** Subschemas looked into for one value; beyond, nothing is known of it. Schemas are the upstream's, and may be hostile. */
const maxSubschemas = 100

/**
 * The shape of `args`, where the rule is about tools with these input schemas.
 *
 * An object that lists `properties` is taken at its word: what is not among them does not exist, unless
 * `additionalProperties`, `patternProperties` or a combining keyword says that there is more. JSON Schema itself would let
 * others pass; a condition on one of them is a spelling mistake more often than not.
 */
export const argsShape = (schemas: readonly JsonSchema[]): Shape =>
  union(...schemas.map((schema) => shapeOf(schema, schema, { left: maxSubschemas })))

function shapeOf(schema: unknown, root: JsonSchema, budget: { left: number }): Shape {
  if (!isObject(schema) || --budget.left < 0) return dyn
  const ref = own(schema, '$ref')
  if (ref !== undefined) return shapeOf(resolved(ref, root), root, budget)
  if (own(schema, 'const') !== undefined) return literal(own(schema, 'const'))
  const values = own(schema, 'enum')
  if (Array.isArray(values)) return union(...values.map(literal))
  const alternatives = own(schema, 'anyOf') ?? own(schema, 'oneOf')
  if (Array.isArray(alternatives) && own(schema, 'properties') === undefined) {
    return union(...alternatives.map((alternative) => shapeOf(alternative, root, budget)))
  }
  const types = own(schema, 'type') ?? (own(schema, 'properties') === undefined ? undefined : 'object')
  const named = Array.isArray(types) ? types : [types]
  return union(...named.map((type) => typed(type, schema, root)))
}

function typed(type: unknown, schema: JsonSchema, root: JsonSchema): Shape {
  const afresh = (inner: unknown): Shape => shapeOf(inner, root, { left: maxSubschemas })
  switch (type) {
    case 'string':
      return anyString
    case 'integer':
    case 'number':
      return plain('number')
    case 'boolean':
      return bool
    case 'null':
      return plain('null')
    case 'array': {
      const items = own(schema, 'prefixItems') === undefined ? own(schema, 'items') : undefined
      return [{ kind: 'list', of: () => afresh(items) }]
    }
    case 'object': {
      const properties = own(schema, 'properties')
      const known = isObject(properties) ? properties : {}
      const more = own(schema, 'additionalProperties')
      const isOpen = openers.some((keyword) => own(schema, keyword) !== undefined)
      const rest = isOpen || more === true ? dyn : isObject(more) ? afresh(more) : undefined
      return [
        {
          kind: 'object',
          isRecord: false,
          names: Object.keys(known),
          member: (name) => (Object.hasOwn(known, name) ? afresh(known[name]) : undefined),
          rest: rest ?? (properties === undefined && more !== false ? dyn : undefined),
        },
      ]
    }
    default:
      return dyn
  }
}

/** Keywords through which an object may have members that `properties` does not list. */
const openers = ['patternProperties', 'allOf', 'anyOf', 'oneOf', 'if', 'dependentSchemas', '$dynamicRef'] as const

function literal(value: unknown): Shape {
  switch (typeof value) {
    case 'string':
      return oneOf(value)
    case 'number':
      return plain('number')
    case 'boolean':
      return bool
    default:
      return value === null ? plain('null') : dyn
  }
}

/** A reference within the same schema (RFC 6901); anything else is unknown. */
function resolved(ref: unknown, root: JsonSchema): unknown {
  if (typeof ref !== 'string' || !/^#(\/|$)/.test(ref)) return undefined
  let at: unknown = root
  for (const step of ref.slice(1).split('/').slice(1)) {
    if (!isObject(at)) return undefined
    at = own(at, step.replaceAll('~1', '/').replaceAll('~0', '~'))
  }
  return at
}

const isObject = (value: unknown): value is JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const own = (schema: JsonSchema, keyword: string): unknown =>
  Object.hasOwn(schema, keyword) ? schema[keyword] : undefined
