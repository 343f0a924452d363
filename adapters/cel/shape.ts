/** What is known of a value before there is one: the types a condition is checked against. */

export type PlainKind =
  'dyn' | 'bool' | 'int' | 'uint' | 'double' | 'number' | 'bytes' | 'null' | 'timestamp' | 'duration' | 'type'

/**
 * One possible type of a value.
 *
 * - `dyn`: nothing is known, everything is allowed; `number`: a JSON number
 * - `string` with `values`: one of these and no other (a literal, an enum)
 * - `list` and `object` say what is in them when asked, because a JSON Schema may contain itself
 * - `object.isRecord`: one of the condition's own variables, of which only members can be used
 */
export type ValueType =
  | { readonly kind: PlainKind }
  | { readonly kind: 'string'; readonly values?: readonly string[] | undefined }
  | { readonly kind: 'list'; readonly of: () => Shape }
  | ObjectType

/** @property rest what members beside the named ones are; undefined: there are no others */
export interface ObjectType {
  readonly kind: 'object'
  readonly isRecord: boolean
  readonly names: readonly string[]
  readonly member: (name: string) => Shape | undefined
  readonly rest: Shape | undefined
}

/** The types a value may have; none at all for the items of an empty list. */
export type Shape = readonly ValueType[]

export type Kind = ValueType['kind']

export const plain = (kind: PlainKind): Shape => [{ kind }]
export const dyn = plain('dyn')
export const bool = plain('bool')
export const anyString: Shape = [{ kind: 'string' }]
export const oneOf = (...values: readonly string[]): Shape => [{ kind: 'string', values }]
export const listOf = (of: Shape): Shape => [{ kind: 'list', of: () => of }]

/** A variable of the condition, or a part of one. */
export function record(members: Readonly<Record<string, Shape>>, rest?: Shape): Shape {
  const names = Object.keys(members)
  const member = (name: string): Shape | undefined => (Object.hasOwn(members, name) ? members[name] : undefined)
  return [{ kind: 'object', isRecord: true, names, member, rest }]
}

const maxAlternatives = 16
const maxDepth = 8
const numeric: ReadonlySet<Kind> = new Set<Kind>(['int', 'uint', 'double', 'number'])

/** Either of several shapes; anything, once there are more than 16 possibilities. */
export function union(...shapes: readonly Shape[]): Shape {
  const seen = new Map<unknown, ValueType>()
  for (const type of shapes.flat()) {
    seen.set(type.kind === 'list' || type.kind === 'object' || 'values' in type ? type : type.kind, type)
  }
  return seen.size > maxAlternatives ? dyn : [...seen.values()]
}

export const isNumeric = (type: ValueType): boolean => numeric.has(type.kind)

/** Could a value of this shape be of one of these kinds? */
export const mayBe = (shape: Shape, ...kinds: readonly Kind[]): boolean =>
  shape.length === 0 ||
  shape.some(({ kind }) => kind === 'dyn' || kinds.includes(kind) || (kind === 'number' && kinds.includes('double')))

/** Could a value of one shape equal one of the other? Numbers of all kinds are compared by what they say. */
export function mayEqual(a: Shape, b: Shape, depth = 0): boolean {
  if (a.length === 0 || b.length === 0 || depth > maxDepth) return true
  return a.some((left) => b.some((right) => maySame(left, right, depth)))
}

function maySame(a: ValueType, b: ValueType, depth: number): boolean {
  if (a.kind === 'dyn' || b.kind === 'dyn') return true
  if (isNumeric(a) && isNumeric(b)) return true
  if (a.kind === 'string' && b.kind === 'string') {
    const { values } = b
    return a.values === undefined || values === undefined || a.values.some((value) => values.includes(value))
  }
  if (a.kind === 'list' && b.kind === 'list') return mayEqual(a.of(), b.of(), depth + 1)
  return a.kind === b.kind
}

/** A shape for a message: `string`, `list of int`, `"human", "agent" or "workload"`. */
export function describe(shape: Shape, depth = 0): string {
  const said = [...new Set(shape.map((type) => describeType(type, depth)))]
  return said.length > 1 ? `${said.slice(0, -1).join(', ')} or ${said.at(-1) ?? ''}` : (said[0] ?? 'nothing')
}

function describeType(type: ValueType, depth: number): string {
  switch (type.kind) {
    case 'string':
      return type.values === undefined ? 'string' : type.values.map((value) => shortened(value)).join(' or ')
    case 'list':
      return depth > 2 || type.of().length === 0 ? 'list' : `list of ${describe(type.of(), depth + 1)}`
    case 'dyn':
      return 'anything'
    default:
      return type.kind
  }
}

const shortened = (value: string): string => JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)

/** The name that takes the fewest letters to change into the given one; undefined where there are no names. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  let best: { readonly name: string; readonly distance: number } | undefined
  for (const candidate of names.slice(0, 200)) {
    const distance = distanceOf(name.slice(0, 64), candidate.slice(0, 64))
    if (best === undefined || distance < best.distance) best = { name: candidate, distance }
  }
  return best?.name
}

/** Letters to insert, delete or replace (Levenshtein). */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
