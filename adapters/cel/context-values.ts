/** What is asked about, as the values expressions work on. */
import {
  celError,
  type CelInput,
  celList,
  celMap,
  type CelMap,
  type CelResult,
  type CelValue,
  isCelError,
} from '@bufbuild/cel'
import { isObject, type Json } from '../../lib/mcp/message.ts'
import type { ConditionContext } from '../../lib/policy/condition.ts'
import { BoundPassed, valueLimits } from './bound.ts'

/** What is said of a call whose arguments nobody knows yet, wherever the answer depends on them. */
export const argsUnknown = 'the arguments are not known'

/** Made once: an error is dear, and a list asks about every entry. */
const noArgs = celError(argsUnknown)

/** The variables of a condition. */
export const variableNames = ['principal', 'agent', 'tool', 'args', 'request', 'session'] as const
export type VariableName = (typeof variableNames)[number]

type Variables = Readonly<Record<string, CelInput>>

/**
 * The variables an expression reads, as the evaluator takes them.
 *
 * Members are made when they are read. A value that cannot be given exactly is an error where it is read: a whole number
 * beyond ±(2^53 - 1), which JSON readers round, and what passes `valueLimits`.
 *
 * @param readsAllArgs  whether the expression uses `args` other than by the names of arguments
 * @param onUnknownArgs called where arguments are read and there are none
 */
export function variablesOf(
  context: ConditionContext,
  reads: ReadonlySet<VariableName>,
  readsAllArgs: boolean,
  onUnknownArgs: () => void,
): Variables {
  const variables = Object.create(null) as Record<string, CelInput>
  for (const name of reads) {
    const value =
      name === 'args' && context.args === undefined
        ? unknownArgs(readsAllArgs, onUnknownArgs)
        : valueOf(name, context, readsAllArgs)
    variables[name] = value as CelInput
  }
  return variables
}

function valueOf(name: VariableName, context: ConditionContext, readsAllArgs: boolean): CelResult {
  const { agent, tool, request, session } = context
  switch (name) {
    case 'principal':
      return principalValue(context.principal)
    case 'agent':
      return lazy((member) => (member === 'id' ? agent.id : member === 'actors' ? celList(agent.actors) : undefined))
    case 'tool':
      return lazy((member) => (member === 'name' ? tool.name : member === 'kind' ? tool.kind : undefined))
    case 'args':
      return argsValue(context.args, readsAllArgs)
    case 'request':
      return lazy((member) => requestMember(request, member))
    case 'session':
      return lazy((member) => (member === 'id' ? session.id : undefined))
  }
}

function principalValue(principal: ConditionContext['principal']): CelMap {
  const isUnknown = (name: string): boolean => principal.unknownClaims?.includes(name) === true
  return lazy((member) => {
    switch (member) {
      case 'id':
      case 'kind':
      case 'issuer':
      case 'subject':
      case 'tenant':
      case 'name':
        return principal[member]
      case 'scopes':
      case 'roles':
      case 'groups':
      case 'permissions':
        return isUnknown(member) ? celError(incomplete) : celList(principal[member])
      case 'claims':
        return lazy((claim) => {
          if (isUnknown(claim)) return celError(incomplete)
          return Object.hasOwn(principal.claims, claim) ? converted(principal.claims[claim] as Json) : undefined
        })
      default:
        return undefined
    }
  })
}

/** What is said of a list of the caller's that its provider left out or cut short. */
export const incomplete = 'the token leaves out what is asked about'

function requestMember(request: ConditionContext['request'], member: string): CelResult | undefined {
  switch (member) {
    case 'ip':
      return request.ip
    case 'upstream':
      return request.upstream
    case 'time':
      return timestamp(request.timeMs)
    case 'headers':
      return lazy((name) => (Object.hasOwn(request.headers, name) ? request.headers[name] : undefined))
    default:
      return undefined
  }
}

function unknownArgs(readsAllArgs: boolean, onRead: () => void): CelResult {
  const read = (): CelResult => {
    onRead()
    return noArgs
  }
  return readsAllArgs ? read() : lazy(read)
}

function argsValue(args: Json | undefined, readsAllArgs: boolean): CelResult {
  if (!isObject(args)) return celError('the arguments are not an object')
  if (readsAllArgs) return converted(args)
  const budget = { left: valueLimits.values }
  return lazy((name) => (Object.hasOwn(args, name) ? converted(args[name] as Json, budget) : undefined))
}

/** A map that makes its members when they are read, and no member twice. An error in place of a value is one to whoever reads it. */
function lazy(read: (name: string) => CelResult | undefined): CelMap {
  const made = new Map<string, CelResult | undefined>()
  const map = celMap(nothing)
  map.get = (name) => {
    if (typeof name !== 'string') return undefined
    if (!made.has(name)) made.set(name, read(name))
    return made.get(name) as CelValue | undefined
  }
  map.has = (name) => {
    const value: CelResult | undefined = map.get(name)
    // The evaluator looks for an error in whatever comes back.
    return isCelError(value) ? (value as unknown as boolean) : value !== undefined
  }
  return map
}

const nothing: ReadonlyMap<string, CelInput> = new Map()

/** JSON as CEL values, or an error where there is something in it that cannot be given. */
function converted(json: Json, budget = { left: valueLimits.values as number }): CelResult {
  try {
    return convert(json, budget)
  } catch (error) {
    if (error instanceof BoundPassed) return celError(error)
    throw error
  }
}

function convert(json: Json, budget: { left: number }): CelValue {
  if (--budget.left < 0) throw new BoundPassed('values')
  if (typeof json === 'number') return exact(json)
  if (typeof json === 'string' && json.length > valueLimits.string) {
    throw new BoundPassed('string')
  }
  if (typeof json !== 'object' || json === null) return json
  const size = isObject(json) ? Object.keys(json).length : json.length
  if (size > valueLimits.items) throw new BoundPassed('items')
  if (!isObject(json)) return celList(json.map((item) => convert(item, budget)))
  return exactMap(new Map(Object.entries(json).map(([key, value]) => [key, convert(value, budget)])))
}

/** A map whose `has` is about keys: the library's own takes a member that is null for absent. */
function exactMap(members: ReadonlyMap<string, CelValue>): CelMap {
  const map = celMap(members)
  map.has = (key) => typeof key === 'string' && members.has(key)
  return map
}

/** A number as JSON has it, unless it may have been rounded when it was read, or is none. */
export function exact(value: number): number {
  if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))) {
    throw new BoundPassed('inexact')
  }
  return value
}

/** An instant as the evaluator has them: a map turns the message into a value. */
function timestamp(ms: number): CelResult {
  const seconds = Math.floor(ms / 1000)
  const message = {
    $typeName: 'google.protobuf.Timestamp',
    seconds: BigInt(seconds),
    nanos: Math.floor(ms - seconds * 1000) * 1_000_000,
  }
  return celList([message]).get(0) ?? celError('there is no time')
}
