/** What each reason of a denial means, for people. */
import type { DenialReason } from '../lib/policy/decide.ts'

export const denialReasons: Readonly<Record<DenialReason, string>> = {
  no_role: 'no binding gives the caller a role',
  tool_not_granted: 'no permission the caller holds is about this tool',
  prompt_not_granted: 'no permission the caller holds is about this prompt',
  resource_not_granted: 'no permission the caller holds is about this resource',
  task_not_supported: 'tasks are not supported',
  method_unknown: 'this is no method of the protocol',
  response_unasked: 'an answer to a question nobody asked: there is no session',
  switched_off: 'this part of the protocol is switched off',
  rule_denied: 'a deny rule says so, whatever allows it',
  condition_not_met: 'a permission is about it, and its condition is not true of this call',
  condition_failed: 'a condition could not be evaluated, so it refuses',
  edits_conflict: 'two permissions want an argument to be two different things',
  account_inactive: 'the directory says that this account is switched off',
  claims_unknown: 'the provider left out the claim that would decide it',
  principal_kind: 'a permission is about it, for other kinds of caller',
  scope_missing: 'a permission is about it, for a token with more scopes',
  revocations_stale: 'it is high-risk, and nobody can say who was revoked in the last minute',
  external_denied: 'the decision point outside the gateway says no',
  external_unavailable: 'the decision point outside the gateway could not be asked',
  definition_new: "nobody has approved the tool's definition",
  definition_changed: "the tool's definition is not the one that was approved",
}
