/** Protected resource metadata (RFC 9728). */
import type { Answer } from '../../lib/context/answer.ts'
import type { HttpRequest } from '../../lib/context/call.ts'
import { metadataUrl, rootMetadataPath } from '../../lib/identity/challenge.ts'
import { isPreflight } from './browser.ts'
import type { OauthConfig } from './schema.ts'

/**
 * The metadata of a route's resource, where this request asks for it; undefined otherwise.
 *
 * A preflight of it is answered as well: clients in browsers send a header of their own with the request.
 */
export function metadataAnswer(request: HttpRequest, config: OauthConfig): Answer | undefined {
  const { verb, path } = request
  // Without an authorization server there is no document (RFC 9728 2 wants at least one).
  if (!isMetadataPath(path, config) || config.issuers.length === 0) return undefined
  if (isPreflight(request)) return { status: 204, headers: preflightHeaders, body: '' }
  if (verb !== 'GET' && verb !== 'HEAD') return undefined
  const { dpop } = config
  const document = {
    resource: config.resource,
    authorization_servers: config.issuers.map(({ issuer }) => issuer),
    bearer_methods_supported: ['header'],
    ...(config.scopes_supported.length > 0 ? { scopes_supported: config.scopes_supported } : {}),
    ...(config.resource_name === undefined ? {} : { resource_name: config.resource_name }),
    ...(config.resource_documentation === undefined ? {} : { resource_documentation: config.resource_documentation }),
    ...(dpop.mode === 'refuse' ? {} : { dpop_signing_alg_values_supported: dpop.algorithms }),
    ...(dpop.mode === 'require' ? { dpop_bound_access_tokens_required: true } : {}),
  }
  return { status: 200, headers: documentHeaders, body: verb === 'HEAD' ? '' : JSON.stringify(document) }
}

const isMetadataPath = (path: string, config: OauthConfig): boolean =>
  path === new URL(metadataUrl(config.resource)).pathname || (config.metadata_at_root && path === rootMetadataPath)

// Public by nature (RFC 9728 3): browser clients of any origin may read it. A cors plugin on the route has the last word.
const documentHeaders = {
  'content-type': 'application/json',
  'access-control-allow-origin': '*',
  'cache-control': 'public, max-age=300',
}
const preflightHeaders = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, HEAD',
  'access-control-allow-headers': 'accept, content-type, mcp-protocol-version',
  'access-control-max-age': '600',
}
