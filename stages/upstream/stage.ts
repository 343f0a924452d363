/** The only door: swaps credentials, names the caller, and opens the upstream when nothing is missing. */
import { createHash } from 'node:crypto'
import type { StageDefinition } from '../../adapters/kong/define-plugin.ts'
import { closedUpstream } from '../../adapters/kong/service-door.ts'
import type { Runtime } from '../../adapters/runtime.ts'
import type { SigningKey } from '../../adapters/token/signing-keys.ts'
import type { Answer } from '../../lib/context/answer.ts'
import type { Call } from '../../lib/context/call.ts'
import { missingToOpen } from '../../lib/context/may-open.ts'
import type { Port, Stage } from '../../lib/context/stage.ts'
import { removesCredentials, upstreamHeaders } from '../../lib/context/upstream-headers.ts'
import { editsOf } from './edit-body.ts'
import { targetName } from '../../lib/audit/record.ts'
import type { UpstreamConfig } from './schema.ts'

export const upstreamStage: StageDefinition<UpstreamConfig> = { name: 'upstream', prepare: prepareUpstream }

/** @throws Error without an `upstream`, or with one that is the closed one */
function prepareUpstream(config: UpstreamConfig, runtime: Runtime): Stage {
  const { upstream } = config
  if (upstream === undefined) throw new Error('`upstream` must name the Kong Upstream of the MCP server')
  if (upstream === closedUpstream)
    throw new Error(`\`upstream\` must be the MCP server's own Upstream, not \`${closedUpstream}\``)
  const audience = config.token_audience ?? upstream
  const extra = new Set(config.forward_headers.map((name) => name.toLowerCase()))
  const key = lazily(() => runtime.signingKeys.get(config.signing_key))

  return async (call, port) => {
    const token = sign(call, await key(), config, audience, runtime)
    const changes = upstreamHeaders(call, token, extra, port.isWholeChain)
    call.clientCredentialsRemoved = removesCredentials(call.request.headers, changes)
    // The stage that asks counts as run: it is the last one, and this its last word.
    const missing = missingToOpen({ ...call, stages: [...call.stages, 'upstream'] })
    if (missing.length > 0) return { refuse: { why: 'door_closed', missing } }
    await edit(call, port)
    open(call, port, changes, upstream)
    return undefined
  }
}

/** The message as it is sent on, where the policy has it changed: put together from the bytes that were judged. */
async function edit(call: Call, port: Port): Promise<void> {
  const edits = editsOf(call)
  if (edits.length === 0) return
  const body = edits.reduce((bytes, change) => change(bytes), await port.body())
  port.setBody(body)
  call.sentDigest = createHash('sha256').update(body).digest('hex')
}

function open(call: Call, port: Port, changes: ReturnType<typeof upstreamHeaders>, upstream: string): void {
  for (const [name, value] of changes) port.setHeader(name, value)
  if (call.request.query !== '') port.dropQuery()
  port.openUpstream(upstream)
}

/** A token for this one call: who, through which agent, for what, by which decision; good for a minute (RFC 9068). */
function sign(call: Call, key: SigningKey, config: UpstreamConfig, audience: string, runtime: Runtime): string {
  const { principal, target, decision } = call
  const nowS = Math.floor(runtime.clock.nowMs() / 1000)
  return key.sign({
    iss: config.token_issuer,
    aud: audience,
    sub: principal?.subject ?? '',
    iat: nowS,
    exp: nowS + config.token_ttl_s,
    jti: call.id,
    client_id: principal?.client ?? '',
    // RFC 8693 4.1: the gateway acts for the person.
    act: { sub: config.token_issuer },
    scope: decision?.verdict.allow === true ? decision.verdict.rule : '',
    mcp: {
      // Across issuers only this is one person's: two of them may have the same `sub`.
      principal: principal?.id ?? '',
      issuer: principal?.issuer ?? '',
      target: target ? targetName(target) : '',
      ...(target?.kind === 'tool' ? { tool: target.name } : {}),
      decision: decision?.id ?? '',
    },
  })
}

/** The public keys upstreams verify the gateway's tokens with (RFC 7517 5). */
export function publishedKeys(config: UpstreamConfig, runtime: Runtime): (() => Promise<Answer>) | undefined {
  if (!config.publish_keys) return undefined
  return async () => {
    const { publicJwk } = await runtime.signingKeys.get(config.signing_key)
    return {
      status: 200,
      headers: { 'content-type': 'application/json', 'cache-control': 'public, max-age=60' },
      body: JSON.stringify({ keys: [publicJwk] }),
    }
  }
}

/** A bad key answers 503 when it is needed, and is not an unhandled rejection before. */
function lazily<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => (made ??= make())
}
