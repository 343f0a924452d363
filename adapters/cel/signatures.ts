/** Which functions there are, what they take and what they give. */
import { anyString, bool, dyn, isNumeric, type Kind, mayBe, plain, type Shape, union } from './shape.ts'

type Parameter = readonly Kind[] | 'any'

interface Signature {
  readonly on?: Parameter
  readonly takes: readonly Parameter[]
  readonly gives: Shape
}

/** @property usage how it is written, for messages */
interface Signatures {
  readonly usage: string
  readonly forms: readonly Signature[]
}

const text: Parameter = ['string']
const time: Parameter = ['timestamp']
const span: Parameter = ['duration']
const anyNumber: readonly Kind[] = ['int', 'uint', 'double', 'number']
const int = plain('int')

const convert = (name: string, gives: Shape, ...from: readonly Kind[]): Signatures => ({
  usage: `\`${name}(…)\` of ${from.join(', ')}`,
  forms: [{ takes: [from], gives }],
})
const ofText = (name: string): Signatures => ({
  usage: `\`text.${name}("…")\``,
  forms: [{ on: text, takes: [text], gives: bool }],
})
const ofTime = (name: string, ofSpan = false): Signatures => ({
  usage: `\`request.time.${name}("UTC")\``,
  forms: [
    { on: time, takes: [], gives: int },
    { on: time, takes: [text], gives: int },
    ...(ofSpan ? [{ on: span, takes: [], gives: int }] : []),
  ],
})
const sized: Parameter = ['string', 'bytes', 'list', 'object']

/** Functions and methods by name; operators are in `operatorResult`, macros are the checker's. */
export const signatures: Readonly<Record<string, Signatures>> = {
  size: {
    usage: '`size(…)` of a text, list or object',
    forms: [
      { takes: [sized], gives: int },
      { on: sized, takes: [], gives: int },
    ],
  },
  contains: ofText('contains'),
  startsWith: ofText('startsWith'),
  endsWith: ofText('endsWith'),
  matches: {
    usage: '`text.matches("…")`',
    forms: [
      { on: text, takes: [text], gives: bool },
      { takes: [text, text], gives: bool },
    ],
  },
  inNetwork: { usage: '`inNetwork(request.ip, "10.0.0.0/8")`', forms: [{ takes: [text, text], gives: bool }] },
  int: convert('int', int, 'int', 'uint', 'double', 'number', 'string', 'timestamp', 'duration'),
  uint: convert('uint', plain('uint'), 'int', 'uint', 'double', 'number', 'string'),
  double: convert('double', plain('double'), 'int', 'uint', 'double', 'number', 'string'),
  bool: convert('bool', bool, 'bool', 'string'),
  bytes: convert('bytes', plain('bytes'), 'bytes', 'string'),
  string: convert(
    'string',
    anyString,
    'string',
    'bool',
    'int',
    'uint',
    'double',
    'number',
    'bytes',
    'timestamp',
    'duration',
  ),
  timestamp: convert('timestamp', plain('timestamp'), 'string', 'timestamp'),
  duration: convert('duration', plain('duration'), 'string', 'duration'),
  type: { usage: '`type(…)`', forms: [{ takes: ['any'], gives: plain('type') }] },
  dyn: { usage: '`dyn(…)`', forms: [{ takes: ['any'], gives: dyn }] },
  getFullYear: ofTime('getFullYear'),
  getMonth: ofTime('getMonth'),
  getDate: ofTime('getDate'),
  getDayOfMonth: ofTime('getDayOfMonth'),
  getDayOfWeek: ofTime('getDayOfWeek'),
  getDayOfYear: ofTime('getDayOfYear'),
  getHours: ofTime('getHours', true),
  getMinutes: ofTime('getMinutes', true),
  getSeconds: ofTime('getSeconds', true),
  getMilliseconds: ofTime('getMilliseconds', true),
}

/** What a call gives; undefined where the function cannot be called like that. */
export function resultOf(name: string, on: Shape | undefined, args: readonly Shape[]): Shape | undefined {
  const fits = (shape: Shape, parameter: Parameter | undefined): boolean =>
    parameter !== undefined && (parameter === 'any' || mayBe(shape, ...parameter))
  return signatures[name]?.forms.find(
    (form) =>
      args.length === form.takes.length &&
      (on === undefined) === (form.on === undefined) &&
      (on === undefined || fits(on, form.on)) &&
      args.every((arg, at) => fits(arg, form.takes[at])),
  )?.gives
}

const ordered: readonly Kind[] = ['bool', 'string', 'bytes', 'timestamp', 'duration']

/** What an operator gives; undefined where its sides do not go together. Equality is the checker's. */
export function operatorResult(name: string, [a = [], b]: readonly Shape[]): Shape | undefined {
  if (name === '-_') return mayBe(a, 'int', 'double') ? (a.every(isNumeric) ? a : dyn) : undefined
  if (b === undefined) return undefined
  const both = (...kinds: readonly Kind[]): boolean => mayBe(a, ...kinds) && mayBe(b, ...kinds)
  const areNumbers = mayBe(a, ...anyNumber) && mayBe(b, ...anyNumber)
  switch (name) {
    case '_<_':
    case '_<=_':
    case '_>_':
    case '_>=_':
      return areNumbers || ordered.some((kind) => both(kind)) ? bool : undefined
    case '_+_':
      return sum(a, b, both)
    case '_-_':
      if (both('timestamp')) return a.length === 1 && a[0]?.kind === 'timestamp' ? plain('duration') : dyn
      if (mayBe(a, 'timestamp') && mayBe(b, 'duration')) return plain('timestamp')
      if (both('duration')) return plain('duration')
      return areNumbers ? arithmetic(a, b) : undefined
    case '_*_':
    case '_/_':
    case '_%_':
      return areNumbers ? arithmetic(a, b) : undefined
    default:
      return undefined
  }
}

function sum(a: Shape, b: Shape, both: (...kinds: readonly Kind[]) => boolean): Shape | undefined {
  const isSure = [...a, ...b].every(({ kind }) => kind !== 'dyn')
  if (both('string')) return isSure ? anyString : dyn
  if (both('list')) {
    if (!isSure) return dyn
    return [...a, ...b]
      .flatMap((type) => (type.kind === 'list' ? [type] : []))
      .reduce<Shape>((joined, list) => {
        const before = joined[0]
        if (before?.kind !== 'list') return [list]
        return [{ kind: 'list', of: () => union(before.of(), list.of()) }]
      }, [])
  }
  if (both('bytes')) return plain('bytes')
  if (both('duration')) return plain('duration')
  if ((mayBe(a, 'timestamp') && mayBe(b, 'duration')) || (mayBe(a, 'duration') && mayBe(b, 'timestamp'))) {
    return plain('timestamp')
  }
  return mayBe(a, 'int', 'uint', 'double') && mayBe(b, 'int', 'uint', 'double') ? arithmetic(a, b) : undefined
}

/** Two ints give an int; where one side is a double or a JSON number, so is the result. An int and a uint do not mix. */
function arithmetic(a: Shape, b: Shape): Shape | undefined {
  const kinds = new Set([...a, ...b].map(({ kind }) => kind))
  if (kinds.has('dyn') || kinds.size === 0) return dyn
  if (kinds.has('double') || kinds.has('number')) return plain('double')
  return kinds.has('int') && kinds.has('uint') ? undefined : plain(kinds.has('uint') ? 'uint' : 'int')
}
