/** The `WWW-Authenticate` of a 401 or 403: how a client gets a token that will do. */

const wellKnown = '/.well-known/oauth-protected-resource'

/** Where a resource's metadata is: the well-known part goes between host and path (RFC 9728 3.1). */
export function metadataUrl(resource: string): string {
  const { origin, pathname } = new URL(resource)
  return `${origin}${wellKnown}${pathname === '/' ? '' : pathname}`
}

/** Where it is for clients that look at the root of the host only. */
export const rootMetadataPath = wellKnown

/**
 * @property scheme     `Bearer`, or `DPoP` where only a proof would help (RFC 9449 7.1)
 * @property error      left out where no token was presented (RFC 6750 3.1)
 * @property scopes     all that this operation needs (MCP 2026-07-28 basic/authorization)
 * @property algorithms with `DPoP`: what proofs may be signed with
 */
export interface Challenge {
  readonly scheme: 'Bearer' | 'DPoP'
  readonly error?: 'invalid_token' | 'insufficient_scope' | 'invalid_dpop_proof' | 'use_dpop_nonce' | undefined
  readonly metadataUrl: string | undefined
  readonly scopes: readonly string[]
  readonly algorithms?: readonly string[]
}

/** One challenge, its scheme first (RFC 6750 3, RFC 9728 5.1): clients read it with a simple pattern. */
export function challengeHeader({ scheme, error, metadataUrl: url, scopes, algorithms }: Challenge): string {
  const parts = [
    ...(error === undefined ? [] : [`error="${error}"`]),
    ...(url === undefined ? [] : [`resource_metadata="${url}"`]),
    ...(scopes.length === 0 ? [] : [`scope="${scopes.join(' ')}"`]),
    ...(scheme === 'DPoP' && algorithms ? [`algs="${algorithms.join(' ')}"`] : []),
  ]
  return [scheme, parts.join(', ')].filter((part) => part !== '').join(' ')
}
