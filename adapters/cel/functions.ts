/** The functions of expressions as they run: the library's, with every step counted and nothing rounded in silence. */
import {
  celEnv,
  type CelEnv,
  type CelError,
  celError,
  celList,
  type CelResult,
  type CelValue,
  isCelError,
  isCelList,
  isCelMap,
  isCelUint,
} from '@bufbuild/cel'
import { BoundPassed, patternLimits, valueLimits } from './bound.ts'
import { exact } from './context-values.ts'
import { calendar, localDate } from './local-time.ts'
import { isAddress } from './network.ts'
import type { Pattern } from './pattern.ts'

/** Counts down the steps of the evaluation that is running. */
export interface Meter {
  left: number
}

/** What the literals of one expression were compiled to. */
export interface Literals {
  readonly patterns: ReadonlyMap<string, Pattern>
  readonly networks: ReadonlyMap<string, (address: string) => boolean>
}

type Functions = CelEnv['funcs']
type Group = NonNullable<ReturnType<Functions['find']>>
type Call = (target: CelValue | undefined, args: readonly CelValue[]) => CelResult | undefined

const library = celEnv()

/**
 * An environment to plan one expression in.
 *
 * Of the library's functions those are replaced whose cost it cannot tell (equality, `in`, concatenation, `matches`), that
 * lose something (numbers of two kinds, texts that are no numbers), or that work in the host's own time zone.
 */
export function meteredEnvironment(meter: Meter, literals: Literals): CelEnv {
  const own = ownFunctions(meter, literals)
  const groups = new Map<string, Group>()
  const find = (name: string): Group | undefined => {
    const known = groups.get(name)
    if (known) return known
    const theirs = library.funcs.find(name)
    const ours = own.get(name)
    if (!theirs && !ours) return undefined
    const group: Group = {
      name,
      [Symbol.iterator]: () => (theirs ?? [])[Symbol.iterator](),
      call: (id, target, args) => {
        try {
          meter.left -= 1 + textCost(target) + args.reduce<number>((sum, arg) => sum + textCost(arg), 0)
          if (meter.left < 0) throw new BoundPassed('steps')
          const result = bounded(ours?.(target, args) ?? theirs?.call(id, target, args))
          // Some of the library's errors do not know where they are.
          return isCelError(result) && result.exprId === undefined ? celError(result.message, id) : result
        } catch (error) {
          return celError(error, id)
        }
      },
    }
    groups.set(name, group)
    return group
  }
  const funcs = Object.create(library.funcs, { find: { value: find } }) as Functions
  return Object.create(library, { funcs: { value: funcs } }) as CelEnv
}

/** Steps for looking at every character of a text. */
const textCost = (value: CelValue | undefined): number => (typeof value === 'string' ? value.length >> 8 : 0)

function bounded(result: CelResult | undefined): CelResult | undefined {
  if (typeof result === 'string' && result.length > valueLimits.string) {
    throw new BoundPassed('stringGrows')
  }
  return result
}

/** By name; what returns undefined leaves the call to the library. */
function ownFunctions(meter: Meter, { patterns, networks }: Literals): ReadonlyMap<string, Call> {
  const spend = (steps: number): void => {
    meter.left -= steps
    if (meter.left < 0) throw new BoundPassed('steps')
  }
  const equal = (a: CelValue, b: CelValue): boolean => areEqual(a, b, spend)
  const functions = new Map<string, Call>([
    ['_==_', (_, [a = null, b = null]) => (mayCompare(a, b) ? equal(a, b) : otherKinds())],
    ['_!=_', (_, [a = null, b = null]) => (mayCompare(a, b) ? !equal(a, b) : otherKinds())],
    ['@in', (_, [item = null, place = null]) => isIn(item, place, equal, spend)],
    ['@tick', (_, [goesOn]) => goesOn],
    [
      '_+_',
      (_, [a, b]) => (isCelList(a) && isCelList(b) ? joined([...a, ...b], spend) : numbers(a, b, (x, y) => x + y)),
    ],
    ['_-_', (_, [a, b]) => numbers(a, b, (x, y) => x - y)],
    ['_*_', (_, [a, b]) => numbers(a, b, (x, y) => x * y)],
    ['_/_', (_, [a, b]) => numbers(a, b, (x, y) => x / divisor(y))],
    ['_%_', (_, [a, b]) => numbers(a, b, (x, y) => whole(x) % whole(divisor(y)))],
    ['int', (_, [value]) => (typeof value === 'string' ? onlyNumbers(value, /^-?\d{1,19}$/) : undefined)],
    ['uint', (_, [value]) => (typeof value === 'string' ? onlyNumbers(value, /^\d{1,20}$/) : undefined)],
    ['double', (_, [value]) => toDouble(value)],
    [
      'timestamp',
      (_, [value]) => (typeof value === 'bigint' ? celError('a timestamp is read from a text') : undefined),
    ],
    ['duration', (_, [value]) => (typeof value === 'bigint' ? celError('a duration is read from a text') : undefined)],
    ['size', (target, [value = target]) => (typeof value === 'string' ? BigInt(characters(value)) : undefined)],
    [
      'inNetwork',
      (_, [address, network]) => isInNetwork(address, typeof network === 'string' ? networks.get(network) : undefined),
    ],
    [
      'matches',
      (target, [first, second]) => {
        const [text, pattern] = target === undefined ? [first, second] : [target, first]
        return isMatch(text, typeof pattern === 'string' ? patterns.get(pattern) : undefined, spend)
      },
    ],
  ])
  for (const [name, read] of Object.entries(calendar)) {
    functions.set(name, (target, [zone]) => {
      const ms = instantOf(target)
      return ms === undefined ? undefined : BigInt(read(localDate(ms, typeof zone === 'string' ? zone : 'UTC')))
    })
  }
  return functions
}

/**
 * Are these of one kind, or is one of them null?
 *
 * The language calls values of two kinds unequal. Here that is an error: `args.project != "SEC"` must not let `["SEC"]` pass,
 * which a server may take for the same.
 */
const mayCompare = (a: CelValue, b: CelValue): boolean => a === null || b === null || kindOf(a) === kindOf(b)

const otherKinds = (): CelError => celError('values of two kinds are compared')

function kindOf(value: CelValue): string {
  if (numberOf(value) !== undefined) return 'number'
  if (isCelList(value)) return 'list'
  if (isCelMap(value)) return 'map'
  return value instanceof Uint8Array ? 'bytes' : typeof value
}

/** Equality of the language definition: numbers by what they say, texts to the letter, other kinds never of each other. */
function areEqual(a: CelValue, b: CelValue, spend: (steps: number) => void): boolean {
  if (typeof a !== 'string' && a === b) return true
  if (typeof a === 'string' || typeof b === 'string') {
    // Equal texts that are not one and the same are compared to the end.
    if (typeof a === 'string' && typeof b === 'string' && a.length === b.length) spend(a.length >> 8)
    return a === b
  }
  const [x, y] = [numberOf(a), numberOf(b)]
  // Loosely, because an int and a double are compared exactly that way.
  if (x !== undefined && y !== undefined) return x == y
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  spend(1)
  if (isCelList(a) || isCelList(b)) {
    if (!isCelList(a) || !isCelList(b) || a.size !== b.size) return false
    spend(a.size >> 3)
    const others = [...b]
    return [...a].every((item, at) => areEqual(item, others[at] as CelValue, spend))
  }
  if (isCelMap(a) || isCelMap(b)) {
    if (!isCelMap(a) || !isCelMap(b) || a.size !== b.size) return false
    spend(a.size >> 3)
    return [...a].every(([key, value]) => {
      const other = b.get(key)
      return other !== undefined && areEqual(value, other, spend)
    })
  }
  const equal = library.funcs.find('_==_')?.call(0, undefined, [a, b])
  if (isCelError(equal)) throw equal
  return equal === true
}

const numberOf = (value: CelValue): number | bigint | undefined =>
  typeof value === 'number' || typeof value === 'bigint' ? value : isCelUint(value) ? value.value : undefined

function isIn(
  item: CelValue,
  place: CelValue,
  equal: (a: CelValue, b: CelValue) => boolean,
  spend: (steps: number) => void,
): CelResult | undefined {
  if (isCelList(place)) {
    spend(place.size >> 2)
    let isComparable = place.size === 0
    for (const other of place) {
      if (equal(item, other)) return true
      isComparable ||= mayCompare(item, other)
    }
    return isComparable ? false : otherKinds()
  }
  // What is there may be an error, and then so is the answer.
  return isCelMap(place) && typeof item === 'string' ? place.has(item) : undefined
}

function joined(items: readonly CelValue[], spend: (steps: number) => void): CelResult {
  spend(items.length >> 3)
  if (items.length > valueLimits.items) {
    throw new BoundPassed('listGrows')
  }
  return celList(items)
}

/** Arithmetic where one side is a double, as every JSON number is. Two ints stay ints, and are the library's. */
function numbers(
  a: CelValue | undefined,
  b: CelValue | undefined,
  calculate: (x: number, y: number) => number,
): CelResult | undefined {
  if (typeof a !== 'number' && typeof b !== 'number') return undefined
  const [x, y] = [plainNumber(a), plainNumber(b)]
  return x === undefined || y === undefined ? undefined : exact(calculate(x, y))
}

function plainNumber(value: CelValue | undefined): number | undefined {
  const said = value === undefined ? undefined : numberOf(value)
  return typeof said === 'bigint' ? exact(Number(said)) : said
}

function divisor(value: number): number {
  if (value === 0) throw new Error('divide by zero')
  return value
}

function whole(value: number): number {
  if (!Number.isInteger(value)) throw new Error('the rest of a division is for whole numbers')
  return value
}

/** How many code points a text has, which is its size in CEL. */
function characters(text: string): number {
  let count = 0
  for (const _ of text) count++
  return count
}

/** The library would read an empty text as 0 and others in base 16. */
const onlyNumbers = (text: string, allowed: RegExp): CelResult | undefined =>
  allowed.test(text) ? undefined : celError('a text is no number')

function toDouble(value: CelValue | undefined): CelResult | undefined {
  if (typeof value === 'string') {
    const isNumber = value.length <= 64 && /^-?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(value)
    return isNumber ? exact(Number(value)) : celError('a text is no number')
  }
  return plainNumber(value)
}

function isInNetwork(
  address: CelValue | undefined,
  contains: ((address: string) => boolean) | undefined,
): CelResult | undefined {
  if (typeof address !== 'string' || contains === undefined) return undefined
  return isAddress(address) ? contains(address) : celError('a text is no IP address')
}

function isMatch(
  text: CelValue | undefined,
  pattern: Pattern | undefined,
  spend: (steps: number) => void,
): CelResult | undefined {
  if (typeof text !== 'string' || pattern === undefined) return undefined
  if (text.length > patternLimits.text) {
    throw new BoundPassed('patternText')
  }
  spend((text.length * pattern.program) >> 3)
  return pattern.matches(text)
}

/** Milliseconds since the Unix epoch, where the value is a timestamp. */
function instantOf(value: CelValue | undefined): number | undefined {
  if (typeof value !== 'object' || value === null || !('message' in value)) return undefined
  const message = value.message as { $typeName: string; seconds: bigint; nanos: number }
  return message.$typeName === 'google.protobuf.Timestamp'
    ? Number(message.seconds) * 1000 + Math.floor(message.nanos / 1_000_000)
    : undefined
}
