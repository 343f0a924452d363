/** Which consumer of Kong's a caller is, where an administrator wants that. */
import { consumerByCustomId } from '../../adapters/kong/consumers.ts'
import type { Runtime } from '../../adapters/runtime.ts'
import type { Refusal } from '../../lib/context/refusal.ts'
import type { KongConsumer, Port } from '../../lib/context/stage.ts'
import { textOf } from '../../lib/identity/claims.ts'
import type { Principal } from '../../lib/identity/principal.ts'
import type { ConsumerSettings } from './schema.ts'

export type FindConsumer = (principal: Principal, port: Port) => Promise<KongConsumer | Refusal | undefined>

/**
 * @param issuers of the route
 * @throws Error for `by: custom_id` without the Admin API to look it up in, and for several issuers whose callers may have
 *         the same name
 */
export function consumerMapping(
  { by, claim, issuer, optional, admin_api_url: adminUrl }: ConsumerSettings,
  issuers: number,
  runtime: Runtime,
): FindConsumer {
  if (by === undefined) return () => Promise.resolve(undefined)
  if (issuers > 1 && claim !== 'id' && issuer === undefined) {
    throw new Error('`consumer.issuer` must say whose callers are meant: two issuers may have the same subjects')
  }
  if (by === 'custom_id' && (adminUrl === undefined || !URL.canParse(adminUrl))) {
    throw new Error(
      '`consumer.by: custom_id` needs `consumer.admin_api_url`: plugins can look up consumers by username only',
    )
  }
  return async (principal, port) => {
    const value = issuer !== undefined && principal.issuer !== issuer ? undefined : nameOf(principal, claim)
    try {
      const consumer =
        value === undefined
          ? undefined
          : await runtime.consumers.get(JSON.stringify([by, adminUrl, value]), () => load(value, port))
      if (consumer) return consumer
    } catch (error) {
      return { why: 'consumers_unavailable', because: error instanceof Error ? error.message : String(error) }
    }
    return optional ? undefined : { why: 'consumer_unknown', by }
  }

  async function load(value: string, port: Port): Promise<KongConsumer | undefined> {
    if (by === 'custom_id') return consumerByCustomId(adminUrl ?? '', value)
    const consumer = await port.loadConsumer(value)
    // Kong takes what looks like an id for one first: somebody's subject must not be another consumer's id.
    return consumer?.username === value ? consumer : undefined
  }
}

function nameOf(principal: Principal, claim: string): string | undefined {
  switch (claim) {
    case 'sub':
      return principal.subject
    case 'client':
      return principal.client
    case 'id':
      return principal.id
    default:
      return Object.hasOwn(principal.claims, claim) ? textOf(principal.claims[claim]) : undefined
  }
}
