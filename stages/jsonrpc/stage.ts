/** What exactly is asked? The one strict reading of the message; the same bytes go on. */
import { createHash } from 'node:crypto'
import type { StageDefinition } from '../../adapters/kong/define-plugin.ts'
import type { Stage } from '../../lib/context/stage.ts'
import type { Message } from '../../lib/mcp/message.ts'
import type { Target } from '../../lib/mcp/methods.ts'
import { readRequest } from '../../lib/mcp/read-request.ts'
import { credentialId } from '../oauth/credential.ts'
import type { JsonrpcConfig } from './schema.ts'

/** The header Kong's rate limiting can count a person and a tool by: `limit_by: header`. */
export const rateHeader = 'x-mcp-rate-key'

const noBody = new Uint8Array(0)

export const jsonrpcStage: StageDefinition<JsonrpcConfig> = { name: 'jsonrpc', prepare: prepareJsonrpc }

function prepareJsonrpc(config: JsonrpcConfig): Stage {
  const limits = { maxBodyBytes: config.max_body_bytes, maxDepth: config.max_depth, maxValues: config.max_values }
  return async (call, port) => {
    const { verb, headers } = call.request
    const tooLong = Number(headers['content-length']) > config.max_body_bytes
    // A body that is too long by its own account is not fetched: it would cross the socket to be refused.
    const body = verb === 'POST' && !tooLong ? await port.body() : noBody
    const read = readRequest({ verb, headers, body, limits })
    if (!read.ok) return { refuse: { why: 'unreadable', refusal: read.refusal } }
    // Kong's cors plugin answers preflights before this; one that gets here is nobody's.
    if (read.message.kind === 'preflight') {
      return { refuse: { why: 'unreadable', refusal: { why: 'verb_not_allowed', verb: 'OPTIONS' } } }
    }
    const bodyDigest = createHash('sha256').update(body).digest('hex')
    // A pass is good for the one body it was made for.
    if (call.exchangeOf !== undefined && call.exchangeBody !== bodyDigest)
      return { refuse: { why: 'exchange_pass_unknown' } }
    call.message = read.message
    call.target = read.target
    call.bodyDigest = bodyDigest
    call.bodyBytes = body.length
    // A list is counted once: see the oauth stage.
    const who =
      call.exchangeOf !== undefined && !port.isWholeChain
        ? call.id
        : call.principal
          ? credentialId(call.principal)
          : 'nobody'
    port.setHeader(rateHeader, rateKey(who, read.message, read.target))
    return undefined
  }
}

/**
 * One key per person and tool, of fixed length. Names are the client's choice, so they share 1,024 keys a person: however
 * many names somebody invents, Kong's counters stay few, and nobody else's are pushed out.
 */
function rateKey(who: string, message: Message, target: Target): string {
  const what = target.kind === 'tool' ? `tool/${target.name}` : 'method' in message ? message.method : message.kind
  const bucket = createHash('sha256').update(what).digest().readUInt16BE(0) % 1_024
  return `${who}:${bucket}`
}
