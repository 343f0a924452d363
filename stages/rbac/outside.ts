/** Who else is asked before somebody may: a directory for what the token does not say, a decision point for the last word. */
import type { OpaClient } from '../../adapters/opa/opa-client.ts'
import { opaInput } from '../../adapters/opa/opa-input.ts'
import { withDirectory } from '../../adapters/directory/with-directory.ts'
import type { DirectoryConfig } from '../../adapters/directory/source.ts'
import type { Runtime } from '../../adapters/runtime.ts'
import type { Call, External } from '../../lib/context/call.ts'
import type { Principal } from '../../lib/identity/principal.ts'
import type { Target } from '../../lib/mcp/methods.ts'
import type { ConditionContext } from '../../lib/policy/condition.ts'
import type { Verdict } from '../../lib/policy/decide.ts'
import type { RbacConfig } from './schema.ts'

/** What the directory adds to a principal. @property record what goes on record of it; undefined where nothing was asked */
export type Resolve = (
  principal: Principal,
) => Promise<{ readonly principal: Principal; readonly record?: Call['directory'] }>

/**
 * Prepares the directory.
 *
 * While it is away what the token has still counts, and what it has not is unknown: rules that need it refuse by themselves.
 *
 * @throws Error for a configuration that cannot work
 */
export function directoryOf({ directory }: RbacConfig, runtime: Runtime): Resolve | undefined {
  if (directory?.kind === undefined) return undefined
  const found = runtime.directories.get(directory as DirectoryConfig)
  return async (principal) => {
    const answer = await found.groupsOf(principal)
    if (!answer.ok) {
      // Nobody else's directory says nothing of them; their own one, which cannot be asked, might have said anything.
      const known = answer.isOthers === true ? principal : partlyKnown(principal)
      return { principal: known, record: { because: answer.because } }
    }
    const { groups, roles, isActive, ageS } = answer
    return {
      principal: withDirectory(principal, groups, roles, isActive),
      record: { ageS: Math.round(ageS), ...(isActive ? {} : { isActive }) },
    }
  }
}

const partly = new WeakMap<Principal, Principal>()

/** The same object for the same principal, since what is worked out for one is kept with it. */
function partlyKnown(principal: Principal): Principal {
  let known = partly.get(principal)
  if (!known) partly.set(principal, (known = { ...principal, partialClaims: new Set(['groups', 'roles']) }))
  return known
}

/** One thing, and what the policy says to it. */
export interface Asked {
  readonly target: Target
  readonly verdict: Verdict
}

/** The decision point's word on one thing each; undefined where it is not asked. */
export interface DecisionPoint {
  ask(call: Call, context: ConditionContext, asked: readonly Asked[]): Promise<readonly External[]>
}

/** @throws Error for a configuration that cannot work */
export function decisionPointOf({ opa }: RbacConfig, runtime: Runtime): DecisionPoint | undefined {
  if (opa?.url === undefined) return undefined
  const client: OpaClient = runtime.opa.get(opa)
  return {
    async ask(call, context, asked) {
      const { message, route = '' } = call
      const method = message !== undefined && 'method' in message ? message.method : ''
      const inputs = asked.map(({ target, verdict }) =>
        opaInput(context, {
          method,
          route,
          target: nameOf(target),
          decision: verdict.allow ? { allow: true, rule: verdict.rule } : { allow: false, reason: verdict.reason },
          sendArguments: opa.send_arguments,
        }),
      )
      return (await client.decideMany(inputs)).map((answer) =>
        answer.ok
          ? {
              allow: answer.allow,
              ...(answer.reason === undefined ? {} : { reason: answer.reason }),
              ...(answer.decisionId === undefined ? {} : { decisionId: answer.decisionId }),
            }
          : { allow: false, because: answer.because },
      )
    },
  }
}

/** What of a message the decision point is asked about; nothing of what reaches nothing by itself. */
export function askedOf(target: Target): readonly Target[] {
  switch (target.kind) {
    case 'tool':
    case 'prompt':
    case 'resource':
    case 'resource_template':
      return [target]
    case 'completion':
      return [target.of]
    case 'subscription':
      return target.uris.map((uri) => ({ kind: 'resource', uri }))
    default:
      return []
  }
}

function nameOf(target: Target): { readonly kind: string; readonly name: string } {
  switch (target.kind) {
    case 'tool':
    case 'prompt':
      return { kind: target.kind, name: target.name }
    case 'resource':
      return { kind: target.kind, name: target.uri }
    case 'resource_template':
      return { kind: target.kind, name: target.uriTemplate }
    default:
      return { kind: target.kind, name: '' }
  }
}
