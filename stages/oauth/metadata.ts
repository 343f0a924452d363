/** Protected resource metadata (RFC 9728) and the challenge that points to it. */
import type { Answer } from '../../lib/context/answer.ts'
import type { OauthConfig } from './schema.ts'

const wellKnown = '/.well-known/oauth-protected-resource'

/** Where a resource's metadata is: the well-known part goes between host and path (RFC 9728 3.1). */
export function metadataUrl(resource: string): string {
  const { origin, pathname } = new URL(resource)
  return `${origin}${wellKnown}${pathname === '/' ? '' : pathname}`
}

/** The metadata of a route's resource, where this request asks for it; undefined otherwise. */
export function metadataAnswer(verb: string, path: string, config: OauthConfig): Answer | undefined {
  if (path !== new URL(metadataUrl(config.resource)).pathname || (verb !== 'GET' && verb !== 'HEAD')) return undefined
  const document = {
    resource: config.resource,
    authorization_servers: config.issuers.map(({ issuer }) => issuer),
    bearer_methods_supported: ['header'],
    ...(config.scopes_supported.length > 0 ? { scopes_supported: config.scopes_supported } : {}),
    ...(config.resource_name === undefined ? {} : { resource_name: config.resource_name }),
    ...(config.resource_documentation === undefined ? {} : { resource_documentation: config.resource_documentation }),
  }
  return {
    status: 200,
    // Public by nature (RFC 9728 3): browser clients of any origin may read it. A cors plugin on the route has the last word.
    headers: {
      'content-type': 'application/json',
      'access-control-allow-origin': '*',
      'cache-control': 'public, max-age=300',
    },
    body: verb === 'HEAD' ? '' : JSON.stringify(document),
  }
}

/**
 * The `WWW-Authenticate` value of a 401 or 403 (RFC 6750 3, RFC 9728 5.1). One challenge, `Bearer` first: clients read
 * it with a simple pattern.
 *
 * @param error left out where no token was presented (RFC 6750 3.1)
 */
export function challenge(
  config: OauthConfig,
  error: 'invalid_token' | 'insufficient_scope' | undefined,
  scopes: readonly string[],
): string {
  const parts = [
    ...(error === undefined ? [] : [`error="${error}"`]),
    `resource_metadata="${metadataUrl(config.resource)}"`,
    ...(scopes.length === 0 ? [] : [`scope="${scopes.join(' ')}"`]),
  ]
  return `Bearer ${parts.join(', ')}`
}
