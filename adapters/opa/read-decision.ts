/** What an answer of the decision point says. Whatever is not plainly a yes or a no is neither. */
import { toPlain } from '../../lib/mcp/json-node.ts'
import { readJson } from '../../lib/mcp/json-reader.ts'
import { isObject, type Json, type JsonObject } from '../../lib/mcp/message.ts'

/**
 * @property reason     what the policy says about it, cut at 256 characters; to be recorded
 * @property decisionId OPA's, where it keeps a log of decisions
 * @property because    one line for the record: nobody decided, so it counts as whatever refuses
 */
export type OpaAnswer =
  | { readonly ok: true; readonly allow: boolean; readonly reason?: string; readonly decisionId?: string }
  | { readonly ok: false; readonly because: string }

/** Nobody answers there, or nobody who can be understood: worth not asking again for a while. */
export class OpaAway extends Error {
  override readonly name = 'OpaAway'
}

/** Length of an answer, in bytes. */
export const maxAnswerBytes = 64 * 1024
const maxReason = 256
const maxDecisionId = 128

/**
 * Reads the answer to `POST /v1/data/<path>` (OPA REST API, Data API).
 *
 * `result` is a boolean, or an object with a boolean `allow` and perhaps a `reason`; what else a package says beside them is
 * not read. Without `result` the policy says nothing about it: there is no such rule, or none was loaded.
 *
 * @throws OpaAway for what is no JSON, and for a status from 500 that is not OPA's own report of what went wrong in a
 *         policy (a caller may bring that about, and must not close the way for others)
 */
export function readDecision(status: number, body: Uint8Array): OpaAnswer {
  const read = readJson(body, { maxBytes: maxAnswerBytes, maxDepth: 32, maxValues: 10_000 })
  const answer = read.ok ? toPlain(read.node) : undefined
  if (status !== 200) {
    const code = isObject(answer) ? answer.code : undefined
    if (typeof code === 'string') return notDecided(`OPA answered ${status}: ${cut(code, maxReason)}`)
    if (status >= 500) throw new OpaAway(`OPA answered ${status}`)
    return notDecided(`OPA answered ${status}`)
  }
  if (!read.ok) throw new OpaAway(`OPA gave no JSON: ${read.refusal.why}`)
  if (!isObject(answer)) throw new OpaAway('OPA gave no JSON object')
  if (!Object.hasOwn(answer, 'result')) return notDecided('the policy is undefined for this: is there such a rule?')
  return decisionIn(answer.result, answer)
}

function decisionIn(result: Json | undefined, answer: JsonObject): OpaAnswer {
  const allow = isObject(result) ? result.allow : result
  if (typeof allow !== 'boolean')
    return notDecided('the result is neither a boolean nor an object with a boolean `allow`')
  const reason = isObject(result) ? result.reason : undefined
  if (reason !== undefined && typeof reason !== 'string') return notDecided('the `reason` of the result is no string')
  const id = answer.decision_id
  return {
    ok: true,
    allow,
    ...(reason === undefined ? {} : { reason: cut(reason, maxReason) }),
    ...(typeof id === 'string' ? { decisionId: cut(id, maxDecisionId) } : {}),
  }
}

const notDecided = (because: string): OpaAnswer => ({ ok: false, because })

const cut = (text: string, length: number): string => text.slice(0, length).toWellFormed()
