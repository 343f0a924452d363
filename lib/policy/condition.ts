/** Conditions of rules: what they are asked about, and what they answer. */
import type { Json } from '../mcp/message.ts'

/**
 * @property args the arguments of a call; undefined where there are none yet, as for an entry of a list
 */
export interface ConditionContext {
  readonly principal: {
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
    readonly claims: Readonly<Record<string, unknown>>
  }
  readonly agent: { readonly id: string; readonly actors: readonly string[] }
  readonly tool: { readonly name: string; readonly kind: string }
  readonly args: Json | undefined
  readonly request: {
    readonly ip: string
    readonly timeMs: number
    readonly upstream: string
    readonly headers: Readonly<Record<string, string>>
  }
  readonly session: { readonly id: string }
}

/** `unknown`: it depends on arguments, and there are none. `error`: it cannot be said; whoever asks must refuse. */
export type ConditionResult = 'true' | 'false' | 'unknown' | 'error'

/** A compiled condition. */
export interface Condition {
  readonly expression: string
  readonly readsArgs: boolean
  evaluate(context: ConditionContext): { readonly result: ConditionResult; readonly because?: string }
}

export type CompiledCondition =
  { readonly ok: true; readonly condition: Condition } | { readonly ok: false; readonly fault: string }

/** Turns the text of a condition into one, or says in one line what is wrong with it. */
export type CompileCondition = (expression: string) => CompiledCondition
