/** Reads an expression against the types of its variables, so that what can never be true is found when it is loaded. */
import { conditionTargetKinds, type ConditionOptions } from '../../lib/policy/condition.ts'
import { principalKinds } from '../../lib/identity/principal.ts'
import { type VariableName, variableNames } from './context-values.ts'
import { type Expr, Fault, limits, literalText } from './expression.ts'
import type { Literals } from './functions.ts'
import { calendar, isZone } from './local-time.ts'
import { networkOf } from './network.ts'
import { compilePattern } from './pattern.ts'
import { argsShape } from './schema-shape.ts'
import {
  anyString,
  bool,
  describe,
  dyn,
  listOf,
  mayBe,
  mayEqual,
  nearest,
  oneOf,
  plain,
  record,
  type Shape,
  union,
  type ValueType,
} from './shape.ts'
import { operatorResult, resultOf, signatures } from './signatures.ts'

/**
 * @property reads        the variables it names
 * @property readsAllArgs it uses `args` otherwise than by the names of arguments
 * @property argumentsNamed where each argument is named first
 * @property literals     patterns and networks it names, compiled
 * @property constants    calls of conversions on a literal, such as `timestamp("…")`, still to be tried
 */
export interface CheckedExpression {
  readonly reads: ReadonlySet<VariableName>
  readonly readsAllArgs: boolean
  readonly argumentsNamed: ReadonlyMap<string, Expr>
  readonly literals: Literals
  readonly constants: readonly Expr[]
}

/** @throws Fault at the first part that has no type */
export function checkExpression(root: Expr, options: ConditionOptions): CheckedExpression {
  const checker = new Checker(options)
  const shape = checker.value(root)
  if (!mayBe(shape, 'bool')) {
    throw new Fault(`a condition is true or false, and this is ${describe(shape)}: compare it with something`, root)
  }
  return checker.found
}

const typeNames: ReadonlySet<string> = new Set([
  'bool',
  'int',
  'uint',
  'double',
  'string',
  'bytes',
  'list',
  'map',
  'null_type',
  'type',
])

function variableShapes({ argsSchemas = [], headers }: ConditionOptions): Readonly<Record<VariableName, Shape>> {
  const strings = listOf(anyString)
  return {
    principal: record({
      id: anyString,
      kind: oneOf(...principalKinds),
      issuer: anyString,
      tenant: anyString,
      subject: anyString,
      name: anyString,
      scopes: strings,
      roles: strings,
      groups: strings,
      permissions: strings,
      claims: record({}, dyn),
    }),
    agent: record({ id: anyString, actors: strings }),
    tool: record({ name: anyString, kind: oneOf(...conditionTargetKinds) }),
    args: argsSchemas.length === 0 ? dyn : argsShape(argsSchemas),
    request: record({
      ip: anyString,
      time: plain('timestamp'),
      upstream: anyString,
      headers:
        headers === undefined
          ? record({}, anyString)
          : record(Object.fromEntries(headers.map((name) => [name, anyString]))),
    }),
    session: record({ id: anyString }),
  }
}

class Checker {
  readonly #variables: Readonly<Record<VariableName, Shape>>
  /** Variables of the macros the part is in, innermost last. */
  readonly #locals = new Map<string, Shape>()
  #macros = 0
  readonly #reads = new Set<VariableName>()
  #readsAllArgs = false
  readonly #argumentsNamed = new Map<string, Expr>()
  readonly #patterns: Map<string, Exclude<ReturnType<typeof compilePattern>, { wrong: string }>> = new Map()
  readonly #networks = new Map<string, (address: string) => boolean>()
  readonly #constants: Expr[] = []

  constructor(options: ConditionOptions) {
    this.#variables = variableShapes(options)
  }

  get found(): CheckedExpression {
    return {
      reads: this.#reads,
      readsAllArgs: this.#readsAllArgs,
      argumentsNamed: this.#argumentsNamed,
      literals: { patterns: this.#patterns, networks: this.#networks },
      constants: this.#constants,
    }
  }

  /** The shape of a part that is used as a value. */
  value(expr: Expr): Shape {
    const shape = this.#place(expr, true)
    if (shape.some((type) => type.kind === 'object' && type.isRecord)) {
      throw new Fault(`${nameOf(expr)} is no value: name one of its members`, expr)
    }
    return shape
  }

  /** The shape of a part that is used as a value, or of which a member is. @param isWhole it is a value */
  #place(expr: Expr, isWhole: boolean): Shape {
    const { exprKind } = expr
    switch (exprKind.case) {
      case 'constExpr':
        return constant(expr)
      case 'identExpr':
        return this.#named(expr, exprKind.value.name, isWhole)
      case 'selectExpr': {
        const { operand, field, testOnly } = exprKind.value
        const member = this.#member(operand as Expr, field, expr)
        return testOnly ? bool : member
      }
      case 'callExpr':
        return this.#call(expr, exprKind.value)
      case 'listExpr':
        return listOf(union(...exprKind.value.elements.map((item) => this.value(item))))
      case 'structExpr':
        return this.#map(expr, exprKind.value)
      case 'comprehensionExpr':
        return this.#macro(expr, exprKind.value)
      default:
        throw new Fault('this part cannot be used in a condition', expr)
    }
  }

  #named(expr: Expr, written: string, isWhole: boolean): Shape {
    const name = written.replace(/^\./, '')
    const local = this.#locals.get(name)
    if (local) return local
    if (isVariable(name)) {
      this.#reads.add(name)
      if (name === 'args' && isWhole) this.#readsAllArgs = true
      return this.#variables[name]
    }
    if (typeNames.has(name)) return plain('type')
    const names = [...this.#locals.keys(), ...variableNames].filter((known) => !known.startsWith('@'))
    throw new Fault(
      `there is no variable \`${cut(name)}\`: there are ${names.map((known) => `\`${known}\``).join(', ')}`,
      expr,
    )
  }

  #member(of: Expr, name: string, at: Expr): Shape {
    const shape = this.#place(of, false)
    this.#note(of, name, at)
    const known = shape.map((type) => {
      if (type.kind === 'dyn') return dyn
      return type.kind === 'object' ? (type.member(name) ?? type.rest) : undefined
    })
    const found = known.filter((member) => member !== undefined)
    if (nameOf(of) === '`request.headers`' && name !== name.toLowerCase()) {
      throw new Fault(`names of headers are written in lower case: \`${cut(name.toLowerCase())}\``, at)
    }
    if (found.length > 0) return union(...found)
    const names = shape.flatMap((type) => (type.kind === 'object' ? type.names : []))
    if (!shape.some(({ kind }) => kind === 'object'))
      throw new Fault(`${nameOf(of)} is ${describe(shape)} and has no members`, at)
    const best = nearest(name, names)
    const instead = best === undefined ? 'it has none' : `the nearest is \`${cut(best)}\``
    if (nameOf(of) === '`args`') {
      throw new Fault(`no tool of this rule has an argument \`${cut(name)}\`: ${instead}`, at)
    }
    throw new Fault(`${nameOf(of)} has no member \`${cut(name)}\`: ${instead}`, at)
  }

  #note(of: Expr, name: string, at: Expr): void {
    if (nameOf(of) === '`args`' && !this.#argumentsNamed.has(name)) this.#argumentsNamed.set(name, at)
  }

  #call(expr: Expr, { function: name, target, args }: CallOf<Expr>): Shape {
    const [first, second, third] = args
    if (name === '_[_]' && first && second) return this.#index(first, second, expr)
    if (name === '@in' && first && second) return this.#in(first, second, expr)
    if (name === '_?_:_' && first && second && third) {
      this.#mustBeBool(first)
      return union(this.value(second), this.value(third))
    }
    if (name === '_&&_' || name === '_||_' || name === '!_') {
      for (const arg of args) this.#mustBeBool(arg)
      return bool
    }
    if (name === '@not_strictly_false') return bool
    if (name === 'has') throw new Fault('`has` asks for a member: `has(args.name)`', expr)
    if (!Object.hasOwn(signatures, name) && !isOperator(name)) {
      const best = nearest(name, Object.keys(signatures))
      throw new Fault(`there is no function \`${cut(name)}\`: the nearest is \`${best ?? ''}\``, expr)
    }
    const on = target === undefined ? undefined : this.value(target)
    const shapes = args.map((arg) => this.value(arg))
    if (isOperator(name)) return this.#operator(name, shapes, expr)
    const result = resultOf(name, on, shapes)
    if (result === undefined) {
      const given = `${on === undefined ? '' : `${describe(on)}.`}${name}(${shapes.map((shape) => describe(shape)).join(', ')})`
      throw new Fault(`there is no \`${given.slice(0, 120)}\`: write ${signatures[name]?.usage ?? ''}`, expr)
    }
    this.#literals(name, target, args, expr)
    return result
  }

  #operator(name: string, shapes: readonly Shape[], expr: Expr): Shape {
    const [a = [], b = []] = shapes
    if (name === '_==_' || name === '_!=_') {
      if (!mayEqual(a, b)) {
        throw new Fault(`${describe(a)} never equals ${describe(b)}: compare values of one type`, expr)
      }
      return bool
    }
    const result = operatorResult(name, shapes)
    if (result === undefined) {
      const sign = name.replaceAll('_', '')
      const given = shapes.length === 1 ? `${sign}${describe(a)}` : `${describe(a)} ${sign} ${describe(b)}`
      throw new Fault(`there is no \`${given.slice(0, 120)}\`: both sides must be of one type that has it`, expr)
    }
    return result
  }

  #mustBeBool(expr: Expr): void {
    const shape = this.value(expr)
    if (!mayBe(shape, 'bool')) throw new Fault(`this must be true or false, and is ${describe(shape)}`, expr)
  }

  #index(of: Expr, by: Expr, at: Expr): Shape {
    const name = literalText(by)
    const key = this.value(by)
    if (name !== undefined) return this.#member(of, name, at)
    const shape = this.#place(of, true)
    const items = shape.flatMap((type): Shape[] => {
      if (type.kind === 'dyn') return [dyn]
      if (type.kind === 'list') return mayBe(key, 'int', 'uint', 'double') ? [type.of()] : []
      if (type.kind !== 'object' || !mayBe(key, 'string')) return []
      return type.isRecord ? (type.rest === undefined ? [] : [type.rest]) : [dyn]
    })
    if (items.length > 0) return union(...items)
    throw new Fault(`${nameOf(of)} has no member by ${describe(key)}: lists have numbers, objects have names`, at)
  }

  #in(item: Expr, place: Expr, at: Expr): Shape {
    const wanted = this.value(item)
    const name = literalText(item)
    if (name !== undefined) this.#note(place, name, at)
    const isObject = (of: Shape): boolean => of.length > 0 && of.every(({ kind }) => kind === 'object')
    if (name !== undefined && isObject(this.#place(place, false))) {
      this.#member(place, name, at)
      return bool
    }
    const shape = this.#place(place, true)
    const fits = shape.some((type) => {
      if (type.kind === 'dyn') return true
      if (type.kind === 'list') return mayEqual(wanted, type.of())
      return type.kind === 'object' && mayBe(wanted, 'string')
    })
    if (!fits && shape.length > 0) throw new Fault(`${describe(wanted)} is never in ${describe(shape)}`, at)
    return bool
  }

  #map(expr: Expr, { messageName, entries }: StructOf<Expr>): Shape {
    if (messageName !== '')
      throw new Fault(`there are no messages such as \`${cut(messageName)}\` in a condition`, expr)
    const values = entries.map(({ keyKind, value }) => {
      if (keyKind.case !== 'mapKey' || value === undefined)
        throw new Fault('this part cannot be used in a condition', expr)
      const key = this.value(keyKind.value)
      if (!mayBe(key, 'string')) throw new Fault(`members are named by strings, not by ${describe(key)}`, keyKind.value)
      return this.value(value)
    })
    return [{ kind: 'object', isRecord: false, names: [], member: () => undefined, rest: union(...values, dyn) }]
  }

  #macro(expr: Expr, { iterRange, iterVar, accuVar, accuInit, loopStep, result }: MacroOf<Expr>): Shape {
    const [range, init, step, last] = [iterRange, accuInit, loopStep, result].map((part) => part as Expr) as [
      Expr,
      Expr,
      Expr,
      Expr,
    ]
    const items = this.value(range)
    if (!mayBe(items, 'list', 'object')) throw new Fault(`${nameOf(range)} is ${describe(items)}, not a list`, expr)
    if (isVariable(iterVar) || this.#locals.has(iterVar) || typeNames.has(iterVar)) {
      throw new Fault(`\`${cut(iterVar)}\` is taken: give the item another name`, expr)
    }
    if (++this.#macros > limits.nestedMacros) {
      throw new Fault(
        `\`all\`, \`exists\`, \`map\` and \`filter\` nest at most ${String(limits.nestedMacros)} deep`,
        expr,
      )
    }
    const outer = this.#locals.get(accuVar)
    this.#locals.set(iterVar, union(...items.map(itemOf)))
    this.#locals.set(accuVar, this.value(init))
    this.#locals.set(accuVar, this.value(step))
    this.#locals.delete(iterVar)
    const shape = this.value(last)
    if (outer) this.#locals.set(accuVar, outer)
    else this.#locals.delete(accuVar)
    this.#macros--
    return shape
  }

  /** What can be wrong with a literal is found now. */
  #literals(name: string, target: Expr | undefined, args: readonly Expr[], expr: Expr): void {
    const last = args.at(-1)
    const text = literalText(last)
    if (name === 'matches') {
      if (text === undefined) throw new Fault('a pattern is written out: it cannot be put together', last ?? expr)
      const pattern = compilePattern(text)
      if ('wrong' in pattern) throw new Fault(`the pattern ${pattern.wrong}`, last)
      this.#patterns.set(text, pattern)
    } else if (name === 'inNetwork') {
      const network = text === undefined ? undefined : networkOf(text)
      if (text === undefined || network === undefined) {
        throw new Fault(
          'a network is written out as address and bits: `"10.0.0.0/8"` or `"2001:db8::/32"`',
          last ?? expr,
        )
      }
      this.#networks.set(text, network)
    } else if (Object.hasOwn(calendar, name) && last !== undefined) {
      if (text === undefined || !isZone(text)) {
        throw new Fault('a time zone is written out: `"UTC"`, `"+02:00"` or `"Europe/Berlin"`', last)
      }
    } else if (conversions.has(name) && text !== undefined && target === undefined) {
      this.#constants.push(expr)
    }
  }
}

/** What a loop over it runs through: names, of an object. */
function itemOf(type: ValueType): Shape {
  if (type.kind === 'list') return type.of()
  return type.kind === 'object' ? anyString : type.kind === 'dyn' ? dyn : []
}

const conversions: ReadonlySet<string> = new Set(['int', 'uint', 'double', 'bool', 'timestamp', 'duration'])

type KindOf<E extends Expr, Case extends string> =
  Extract<E['exprKind'], { case: Case }> extends { value: infer V } ? V : never
type CallOf<E extends Expr> = KindOf<E, 'callExpr'>
type StructOf<E extends Expr> = KindOf<E, 'structExpr'>
type MacroOf<E extends Expr> = KindOf<E, 'comprehensionExpr'>

const isVariable = (name: string): name is VariableName => (variableNames as readonly string[]).includes(name)
const isOperator = (name: string): boolean => /^_[^_\w]+_$|^-_$/.test(name)
const cut = (name: string): string => (name.length > 64 ? `${name.slice(0, 64)}…` : name)

const [minInt, maxInt, maxUint] = [-(2n ** 63n), 2n ** 63n - 1n, 2n ** 64n - 1n]

function constant(expr: Expr): Shape {
  if (expr.exprKind.case !== 'constExpr') return dyn
  const { constantKind } = expr.exprKind.value
  switch (constantKind.case) {
    case 'boolValue':
      return bool
    case 'stringValue':
      return oneOf(constantKind.value)
    case 'bytesValue':
      return plain('bytes')
    case 'doubleValue':
      if (!Number.isFinite(constantKind.value)) throw new Fault('this number is too large', expr)
      return plain('double')
    case 'int64Value':
      if (constantKind.value < minInt || constantKind.value > maxInt)
        throw new Fault('an int has 64 bits: this number is too large', expr)
      return plain('int')
    case 'uint64Value':
      if (constantKind.value > maxUint) throw new Fault('a uint has 64 bits: this number is too large', expr)
      return plain('uint')
    case 'nullValue':
      return plain('null')
    default:
      throw new Fault('this part cannot be used in a condition', expr)
  }
}

/** A part for a message: its path where it is one. */
function nameOf(expr: Expr): string {
  const path = pathOf(expr)
  return path === undefined ? 'this' : `\`${cut(path)}\``
}

function pathOf({ exprKind }: Expr): string | undefined {
  if (exprKind.case === 'identExpr') return exprKind.value.name.replace(/^\./, '')
  if (exprKind.case !== 'selectExpr' || exprKind.value.operand === undefined) return undefined
  const parent = pathOf(exprKind.value.operand)
  return parent === undefined ? undefined : `${parent}.${exprKind.value.field}`
}
