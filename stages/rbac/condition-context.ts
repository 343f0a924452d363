/** What conditions are asked about: the caller, the call and the moment, as plain data. */
import type { Call } from '../../lib/context/call.ts'
import type { Principal } from '../../lib/identity/principal.ts'
import { isObject, type Json } from '../../lib/mcp/message.ts'
import type { Target } from '../../lib/mcp/methods.ts'
import { sessionDigest } from '../../lib/mcp/session-id.ts'
import { conditionCaller, type ConditionContext } from '../../lib/policy/condition.ts'

const known = new WeakMap<Principal, Pick<ConditionContext, 'principal' | 'agent'>>()

/**
 * @param ip      the client's address; empty where no condition asks for it
 * @param headers lower-case names of the request headers that conditions may read
 */
export function conditionContext(
  call: Call,
  principal: Principal,
  target: Target,
  given: {
    readonly ip: string
    readonly nowMs: number
    readonly upstream: string
    readonly headers: readonly string[]
  },
): ConditionContext {
  const { headers } = call.request
  // A message that can have no session may name any: it is nobody's.
  const isModern = call.message !== undefined && 'era' in call.message && call.message.era === 'modern'
  const session = isModern ? undefined : headers['mcp-session-id']
  return {
    ...who(principal),
    // The name and kind of each thing that is asked about are put in where the decision is made.
    tool: { name: '', kind: 'tool' },
    args: argumentsOf(call, target),
    request: {
      ip: given.ip,
      timeMs: given.nowMs,
      upstream: given.upstream,
      headers: Object.fromEntries(
        given.headers.flatMap((name) => {
          const value = headers[name]
          // Which of several a server takes nobody knows: then there is none.
          return typeof value === 'string' ? [[name, value]] : []
        }),
      ),
    },
    session: { id: typeof session === 'string' ? sessionDigest(session) : '' },
  }
}

/**
 * Of a list there are none yet: every entry may be called with any. Of a call they are where the method has them, and what
 * stands under their name elsewhere is nobody's.
 */
function argumentsOf(call: Call, target: Target): Json | undefined {
  if (target.kind === 'list') return undefined
  const { message } = call
  if (message === undefined || !('params' in message)) return {}
  const { params } = message
  if (target.kind === 'tool' || target.kind === 'prompt') return params.arguments ?? {}
  if (target.kind !== 'completion') return {}
  const { context, argument } = params
  const given = isObject(context) && isObject(context.arguments) ? context.arguments : {}
  const asked =
    isObject(argument) && typeof argument.name === 'string' ? { [argument.name]: argument.value ?? null } : {}
  return { ...given, ...asked }
}

function who(principal: Principal): Pick<ConditionContext, 'principal' | 'agent'> {
  let found = known.get(principal)
  if (!found) {
    found = conditionCaller(principal)
    known.set(principal, found)
  }
  return found
}
