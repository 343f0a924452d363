/** Finds an issuer's keys through its metadata. */
import { FetchLate, fetchJson } from '../outbound/fetch-json.ts'

/**
 * Where are this issuer's keys?
 *
 * OpenID Connect Discovery 1.0 4 (appended to the issuer), RFC 8414 3 (between host and path), and OpenID's file at
 * RFC 8414's place (RFC 8414 5), in this order. The metadata must name the issuer exactly (RFC 8414 3.3).
 *
 * @param privateHosts see fetchJson
 * @throws Error with what was wrong at each place
 */
export async function discoverJwksUri(issuer: string, privateHosts: readonly string[]): Promise<string> {
  // As it is written: which hosts may be private goes by that.
  const [, origin, written = ''] = /^(https?:\/\/[^/?#\\]+)([^?#]*)$/i.exec(issuer) ?? []
  if (origin === undefined) throw new Error(`issuer \`${issuer}\` is no URL with metadata`)
  const path = written.replace(/\/$/, '')
  const places = new Set([
    `${origin}${path}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
  ])
  const faults: string[] = []
  for (const place of places) {
    try {
      const metadata = await fetchJson(place, privateHosts)
      if (metadata.issuer !== issuer) throw new Error(`${place} names another issuer`)
      if (typeof metadata.jwks_uri !== 'string') throw new Error(`${place} names no jwks_uri`)
      return metadata.jwks_uri
    } catch (error) {
      faults.push(error instanceof Error ? error.message : String(error))
      // Its other places are the same host's: callers wait for this.
      if (error instanceof FetchLate) break
    }
  }
  throw new Error(faults.join('; '))
}
