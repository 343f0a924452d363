/** Whom an authentication plugin of Kong's has established: openid-connect, jwt, key-auth and their like. */
import { createHash } from 'node:crypto'
import type { HttpRequest } from '../../lib/context/call.ts'
import type { Refusal } from '../../lib/context/refusal.ts'
import type { Port } from '../../lib/context/stage.ts'
import { claimsIn, principalFromKong } from '../../lib/identity/kong-identity.ts'
import type { Principal } from '../../lib/identity/principal.ts'
import type { Authenticate } from './authenticate.ts'
import type { OauthConfig } from './schema.ts'

const maxKnown = 10_000

/**
 * Takes over what Kong's plugin found out.
 *
 * A credential must be there: `anonymous` consumers of those plugins have none, and no plugin at all leaves neither.
 * The claims header is the plugin's word only if it sets it on every request; the suite cannot tell its author.
 */
export function kongAuthentication({ from_kong: settings }: OauthConfig): Authenticate {
  const config = {
    groupsClaim: settings.groups_claim,
    rolesClaim: settings.roles_claim,
    permissionsClaim: settings.permissions_claim,
    agentClients: settings.agent_clients ?? [],
  }
  const claimsHeader = settings.claims_header?.toLowerCase()
  // The same principal object for the same caller: what is worked out for one is kept with it.
  const known = new Map<string, Principal>()

  return async (request: HttpRequest, port: Port) => {
    const { consumer, credentialId } = await port.established()
    if (credentialId === undefined || credentialId === '') {
      return consumer ? { why: 'kong_identity_anonymous' } : absent('no authentication plugin of Kong has run')
    }
    const header = claimsHeader === undefined ? undefined : request.headers[claimsHeader]
    if (claimsHeader !== undefined && typeof header !== 'string')
      return absent(`there is no header ${claimsHeader}, or two`)
    const key = createHash('sha256')
      .update(JSON.stringify([consumer ?? null, credentialId, header ?? null]))
      .digest('base64')
    const before = known.get(key)
    if (before) return { principal: before }
    const claims = typeof header === 'string' ? claimsIn(header) : undefined
    if (typeof header === 'string' && !claims) return absent(`the header ${claimsHeader ?? ''} holds no claims`)
    const read = principalFromKong(consumer, credentialId, claims, config)
    if (!read.ok) return absent(`the claim ${read.claim} of the header cannot be used`)
    if (known.size >= maxKnown) known.clear()
    known.set(key, read.principal)
    return { principal: read.principal }
  }
}

const absent = (because: string): Refusal => ({ why: 'kong_identity_absent', because })
