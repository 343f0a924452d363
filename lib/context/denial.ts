/** The shape of a policy denial, as the administrator chose it. */
import type { Message } from '../mcp/message.ts'
import type { Target } from '../mcp/methods.ts'
import { type Answer, errorAnswer } from './answer.ts'
import { type Refusal, toWire } from './refusal.ts'

/**
 * - `in-band`: HTTP 200 and JSON-RPC error -31403, the one shape every client reports properly (default)
 * - `opaque`:  HTTP 200 and -32602, as for a tool that does not exist
 * - `http403`: HTTP 403 and -31403, for log analysers that count statuses; breaks some clients
 * - `is-error`: a tool result with `isError`, which the model reads; other targets get `in-band`
 */
export const denialShapes = ['in-band', 'opaque', 'http403', 'is-error'] as const
export type DenialShape = (typeof denialShapes)[number]

/**
 * The answer to a denied message.
 *
 * Notifications and streams get their bare status (a 200 with a body breaks clients there), and an unknown method the
 * protocol's own -32601, whatever the shape.
 */
export function denialAnswer(
  refusal: Refusal & { why: 'denied' },
  message: Message,
  target: Target,
  decisionId: string,
  shape: DenialShape,
): Answer {
  if (message.kind !== 'request') return { status: toWire(refusal).httpStatus, headers: {}, body: '' }
  const { idRaw, era } = message
  if (refusal.reason === 'method_unknown') {
    return errorAnswer(era === 'modern' ? 404 : 200, { code: -32601, message: 'method not found' }, idRaw)
  }
  const text = 'denied by policy'
  const data = { reason: refusal.reason, decision_id: decisionId }
  if (shape === 'opaque') return errorAnswer(200, { code: -32602, message: notFound(target) }, idRaw)
  if (shape === 'http403') return errorAnswer(403, { code: -31403, message: text, data }, idRaw)
  if (shape === 'is-error' && target.kind === 'tool') {
    const result = {
      content: [{ type: 'text', text: `${text} (decision ${decisionId})` }],
      isError: true,
      ...(era === 'modern' ? { resultType: 'complete' } : {}),
    }
    return jsonAnswer(200, `{"jsonrpc":"2.0","id":${idRaw},"result":${JSON.stringify(result)}}`)
  }
  return errorAnswer(200, { code: -31403, message: text, data }, idRaw)
}

const jsonAnswer = (status: number, body: string): Answer => ({
  status,
  headers: { 'content-type': 'application/json' },
  body,
})

/** The wording of the official SDKs' servers for a thing that does not exist. */
function notFound(target: Target): string {
  switch (target.kind) {
    case 'tool':
      return `Tool ${target.name} not found`
    case 'prompt':
      return `Prompt ${target.name} not found`
    case 'resource':
      return `Resource ${target.uri} not found`
    default:
      return 'not found'
  }
}
