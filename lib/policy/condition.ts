/** Conditions of rules: what they are asked about and what they answer. Who evaluates them is an adapter's business. */
import type { Principal, PrincipalKind } from '../identity/principal.ts'
import type { Json } from '../mcp/message.ts'

/** What a rule's target is. The order is the one messages name them in. */
export const conditionTargetKinds = ['tool', 'prompt', 'resource', 'resource_template'] as const
export type ConditionTargetKind = (typeof conditionTargetKinds)[number]

/**
 * What a condition is asked about, as plain data.
 *
 * @property principal the caller as `lib/identity/principal.ts` has it; `unknownClaims` are the names of lists and claims
 *                     that are known to be incomplete: reading one is an error, whatever is in it
 * @property agent     `id`: the OAuth client, '' where unknown; `actors` outermost first (RFC 8693 4.1)
 * @property tool      what is reached, a prompt's name or a resource's URI included
 * @property args      the call's arguments; undefined where there are none yet (an entry of a list)
 * @property request   `ip`: the client's address as text; `timeMs`: since the Unix epoch, which expressions read as the
 *                     timestamp `request.time`; `headers`: those on the allow-list only, names in lower case
 * @property session   `id`: digest of the MCP session's id, '' where there is none
 */
export interface ConditionContext {
  readonly principal: {
    readonly id: string
    readonly kind: PrincipalKind
    readonly issuer: string
    readonly tenant?: string | undefined
    readonly subject: string
    readonly name?: string | undefined
    readonly scopes: readonly string[]
    readonly roles: readonly string[]
    readonly groups: readonly string[]
    readonly permissions: readonly string[]
    readonly claims: Readonly<Record<string, unknown>>
    readonly unknownClaims?: readonly string[]
  }
  readonly agent: { readonly id: string; readonly actors: readonly string[] }
  readonly tool: { readonly name: string; readonly kind: ConditionTargetKind }
  readonly args: Json | undefined
  readonly request: {
    readonly ip: string
    readonly timeMs: number
    readonly upstream: string
    readonly headers: Readonly<Record<string, string>>
  }
  readonly session: { readonly id: string }
}

/** The caller as conditions see them. */
export function conditionCaller(principal: Principal): Pick<ConditionContext, 'principal' | 'agent'> {
  const { id, kind, issuer, tenant, subject, name, claims, unknownClaims, partialClaims = [] } = principal
  return {
    principal: {
      id,
      kind,
      issuer,
      tenant,
      subject,
      name,
      scopes: [...principal.scopes],
      roles: [...principal.roles],
      groups: [...principal.groups],
      permissions: [...principal.permissions],
      claims,
      unknownClaims: [...unknownClaims, ...partialClaims],
    },
    agent: { id: principal.client ?? '', actors: principal.actors },
  }
}

/**
 * - `true`, `false`: what it says; with `args` undefined, what it would say whatever the arguments were
 * - `unknown`: `args` is undefined and the answer depends on it
 * - `error`: it cannot be said: something read is missing or of another type, or a bound was passed. The caller refuses,
 *   on allow and on deny rules alike
 */
export type ConditionResult = 'true' | 'false' | 'unknown' | 'error'

/** @property because of an `error`: where (line:column) and why, without any value of the call or the caller */
export interface ConditionAnswer {
  readonly result: ConditionResult
  readonly because?: string
}

/** @property readsArgs whether the expression names `args` at all; without it no answer is `unknown` */
export interface Condition {
  readonly expression: string
  readonly readsArgs: boolean
  evaluate(context: ConditionContext): ConditionAnswer
}

/** @property fault one line: where (line:column), what is wrong and what to write instead */
export type CompiledCondition =
  { readonly ok: true; readonly condition: Condition } | { readonly ok: false; readonly fault: string }

/** A JSON Schema object (2020-12), such as a tool's `inputSchema`. */
export type JsonSchema = Readonly<Record<string, unknown>>

/**
 * @property argsSchemas input schemas of every tool the rule names; an argument is known if one of them has it. Absent or
 *                       empty: not known, and nothing about `args` is checked
 * @property headers     names of the allow-list, in lower case; a header that is not on it is a fault. Absent: not checked
 */
export interface ConditionOptions {
  readonly argsSchemas?: readonly JsonSchema[]
  readonly headers?: readonly string[]
}

export type CompileCondition = (expression: string, options?: ConditionOptions) => CompiledCondition
