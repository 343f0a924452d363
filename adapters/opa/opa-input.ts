/** What the decision point is told: the caller, the call and what the gateway itself says to it, as plain data. */
import type { Json } from '../../lib/mcp/message.ts'
import { isObject } from '../../lib/mcp/message.ts'
import type { ConditionContext } from '../../lib/policy/condition.ts'

/**
 * The `input` of a policy: docs/opa.md is its reference.
 *
 * The names are those of conditions. The time is not among them: OPA has a clock of its own, and an input that is another one
 * every millisecond could never be remembered.
 *
 * @property agent          `id` is the OAuth client; empty where the token names none
 * @property actors         who acts for the principal, outermost first
 * @property argument_names names of the arguments of a call, sorted; absent where there are none yet, as for an entry of a list
 * @property arguments      the arguments themselves, only where the configuration sends them
 * @property request        `headers` by lower-case name, only those the configuration names
 * @property decision       what the gateway's own policy says, where it was asked before
 */
export interface OpaInput {
  readonly principal: OpaPrincipal
  readonly agent: { readonly id: string }
  readonly actors: readonly string[]
  readonly target: OpaTarget
  readonly method: string
  readonly route: string
  readonly argument_names?: readonly string[]
  readonly arguments?: Json
  readonly request: Omit<ConditionContext['request'], 'timeMs'>
  readonly session: ConditionContext['session']
  readonly decision?: OpaDecision
}

/** @property unknown_claims lists and claims the provider left out, whatever is here under their names */
export interface OpaPrincipal {
  readonly id: string
  readonly kind: string
  readonly issuer: string
  readonly tenant: string
  readonly subject: string
  readonly name: string
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  readonly groups: readonly string[]
  readonly permissions: readonly string[]
  readonly unknown_claims: readonly string[]
  readonly claims: Readonly<Record<string, unknown>>
}

/** @property kind as in lib/mcp/methods.ts. @property name of the tool or prompt, or the URI; empty where nothing has a name */
export interface OpaTarget {
  readonly kind: string
  readonly name: string
}

/** @property rule the permission that allows it. @property reason why it is denied */
export interface OpaDecision {
  readonly allow: boolean
  readonly rule?: string
  readonly reason?: string
}

/**
 * Makes the input of one question.
 *
 * @param context what conditions are asked about; its `tool` is not read, because one context serves a whole list
 * @param more    `method`: the JSON-RPC method. `route`: the route's name, or its id. `sendArguments`: send what the arguments
 *                say, too, not their names alone; default false
 */
export function opaInput(
  context: ConditionContext,
  more: {
    readonly method: string
    readonly route: string
    readonly target: OpaTarget
    readonly decision?: OpaDecision
    readonly sendArguments?: boolean
  },
): OpaInput {
  const { agent, args, request, session } = context
  const { ip, upstream, headers } = request
  const { method, route, target, decision } = more
  return {
    principal: principalIn(context),
    agent: { id: agent.id },
    actors: agent.actors,
    target: { kind: target.kind, name: target.name },
    method,
    route,
    ...(args === undefined ? {} : { argument_names: isObject(args) ? Object.keys(args).sort() : [] }),
    ...(args !== undefined && more.sendArguments === true ? { arguments: args } : {}),
    request: { ip, upstream, headers },
    session: { id: session.id },
    ...(decision === undefined ? {} : { decision }),
  }
}

function principalIn({ principal }: ConditionContext): OpaPrincipal {
  const { id, kind, issuer, tenant = '', subject, name = '', unknownClaims = [], claims } = principal
  const { scopes, roles, groups, permissions } = principal
  return {
    ...{ id, kind, issuer, tenant, subject, name, scopes, roles, groups, permissions, claims },
    unknown_claims: unknownClaims,
  }
}
