import type { IncomingMessage } from 'node:http'
import { createRemoteJWKSet, jwtVerify } from 'jose'

/** How the gateway proves that it is the gateway: a JWT as bearer token. */
export interface GatewayTokenRules {
  /** Where the gateway's public keys are. */
  readonly jwksUrl: string
  /** The only `iss` that is accepted. */
  readonly issuer: string
  /** The only `aud` that is accepted; it names this upstream. */
  readonly audience: string
}

/** Whose request is it? */
export type GatewayTokenVerdict =
  { readonly isAccepted: true; readonly subject: string | undefined } | { readonly isAccepted: false }

/**
 * Makes the check of a request's gateway token: signature, issuer, audience, expiry (which is required).
 *
 * Keys are fetched when first needed, and again for an unknown `kid`, at most every second.
 */
export function gatewayTokenCheck(
  rules: GatewayTokenRules,
): (request: IncomingMessage) => Promise<GatewayTokenVerdict> {
  const keys = createRemoteJWKSet(new URL(rules.jwksUrl), { cooldownDuration: 1000 })
  return async (request) => {
    const token = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
    if (token === undefined) return { isAccepted: false }
    const { issuer, audience } = rules
    return jwtVerify(token, keys, { issuer, audience, requiredClaims: ['exp'] }).then(
      ({ payload }): GatewayTokenVerdict => ({ isAccepted: true, subject: payload.sub }),
      (): GatewayTokenVerdict => ({ isAccepted: false }),
    )
  }
}
