/** What the conditions of these specs are asked about: a person at half past nine in the morning. */
import { compileCondition } from '../../../../adapters/cel/compile-condition.ts'
import type { Json } from '../../../../lib/mcp/message.ts'
import type {
  Condition,
  ConditionAnswer,
  ConditionContext,
  ConditionOptions,
} from '../../../../lib/policy/condition.ts'

/** @param principal what is different about the caller */
export function contextOf(
  args: Json | undefined,
  principal: Partial<ConditionContext['principal']> = {},
): ConditionContext {
  return {
    principal: {
      id: 'https://idp|bob',
      kind: 'human',
      issuer: 'https://idp',
      subject: 'bob',
      scopes: ['jira'],
      roles: ['developer', 'on-call'],
      groups: ['platform'],
      permissions: [],
      claims: { department: 'engineering', level: 3, manager: null },
      ...principal,
    },
    agent: { id: 'ide', actors: ['helper'] },
    tool: { name: 'create_issue', kind: 'tool' },
    args,
    request: {
      ip: '10.1.2.3',
      timeMs: Date.UTC(2026, 5, 3, 9, 30, 15, 250),
      upstream: 'jira',
      headers: { 'x-team': 'core' },
    },
    session: { id: '5e55' },
  }
}

export function conditionOf(expression: string, options?: ConditionOptions): Condition {
  const compiled = compileCondition(expression, options)
  if (!compiled.ok) throw new Error(compiled.fault)
  return compiled.condition
}

export const ask = (expression: string, context: ConditionContext): ConditionAnswer =>
  conditionOf(expression).evaluate(context)

export function faultOf(expression: string, options?: ConditionOptions): string {
  const compiled = compileCondition(expression, options)
  if (compiled.ok) throw new Error(`compiles: ${expression}`)
  return compiled.fault
}
