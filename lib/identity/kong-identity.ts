/** Who is calling, when an authentication plugin of Kong's has found out. */
import { Buffer } from 'node:buffer'
import { readJson } from '../mcp/json-reader.ts'
import { toPlain } from '../mcp/json-node.ts'
import { isObject } from '../mcp/message.ts'
import { type Claims, textOf, words } from './claims.ts'
import { looksLikeWorkload } from './profiles/workload.ts'
import { agentOrHuman, type ClaimsConfig, clientOf, actorChain, type Principal, unknownClaims } from './principal.ts'

/** A consumer of Kong's, as its plugins know it. */
export interface EstablishedConsumer {
  readonly id: string
  readonly username?: string
  readonly custom_id?: string
}

/** Consumers are Kong's own; people of a claims header are those of the issuer the header names. */
const kongIssuer = 'kong'

/**
 * A principal from what Kong's plugin established.
 *
 * With claims it is whom they name. Without, it is the consumer: a key or a certificate says which program calls, not
 * which person, so the principal is a workload.
 *
 * @param claims what the plugin forwarded of the person (userinfo, or a token's payload), already checked by it
 * @param config where groups, roles and permissions are in the claims
 * @returns the name of the claim at fault when there is nobody in it
 */
export function principalFromKong(
  consumer: EstablishedConsumer | undefined,
  credentialId: string,
  claims: Claims | undefined,
  config: Pick<ClaimsConfig, 'groupsClaim' | 'rolesClaim' | 'permissionsClaim' | 'agentClients'>,
): { readonly ok: true; readonly principal: Principal } | { readonly ok: false; readonly claim: string } {
  const names = { consumer: consumer?.username, consumer_custom_id: consumer?.custom_id }
  const known: Claims = { ...claims, ...names }
  const base = {
    tokenId: undefined,
    issuedAtS: undefined,
    expiresAtS: Infinity,
    tenant: undefined,
    confirmation: undefined,
  }
  if (!claims) {
    const subject = consumer?.id ?? credentialId
    return {
      ok: true,
      principal: {
        ...base,
        id: `${kongIssuer}|${subject}`,
        kind: 'workload',
        issuer: kongIssuer,
        subject,
        name: consumer?.username ?? consumer?.custom_id,
        client: consumer?.username ?? subject,
        scopes: new Set(),
        roles: new Set(),
        groups: new Set(),
        permissions: new Set(),
        unknownClaims: new Set(),
        actors: [],
        authTimeS: undefined,
        authMethods: [],
        claims: known,
      },
    }
  }
  const subject = textOf(claims.sub)
  if (subject === undefined) return { ok: false, claim: 'sub' }
  const issuer = textOf(claims.iss) ?? kongIssuer
  const client = clientOf(claims)
  if (!client.ok) return { ok: false, claim: client.claims.join(' ') }
  const actors = actorChain(claims.act)
  if (!actors) return { ok: false, claim: 'act' }
  const isWorkload = looksLikeWorkload(claims, client.client)
  const listed = (claim: string | undefined, otherwise: string): ReadonlySet<string> =>
    new Set(words(claims[claim ?? otherwise], 'whole'))
  return {
    ok: true,
    principal: {
      ...base,
      id: `${issuer}|${subject}`,
      kind: isWorkload ? 'workload' : agentOrHuman(actors, client.client, config),
      issuer,
      subject,
      name: [claims.name, claims.preferred_username, claims.email].map(textOf).find((text) => text !== undefined),
      client: client.client ?? consumer?.username,
      scopes: new Set([...words(claims.scope), ...words(claims.scp)]),
      roles: listed(config.rolesClaim, 'roles'),
      groups: listed(config.groupsClaim, 'groups'),
      permissions: listed(config.permissionsClaim, 'permissions'),
      unknownClaims: unknownClaims(claims, claims.hasgroups === undefined ? [] : ['groups'], config),
      actors,
      tokenId: textOf(claims.jti),
      issuedAtS: typeof claims.iat === 'number' ? claims.iat : undefined,
      authTimeS: typeof claims.auth_time === 'number' ? claims.auth_time : undefined,
      authMethods: words(claims.amr),
      claims: known,
    },
  }
}

const limits = { maxBytes: 16 * 1024, maxDepth: 16, maxValues: 2_000 }

/** The claims of a header: a JSON object, as it is or in base64; undefined for anything else. */
export function claimsIn(header: string): Claims | undefined {
  const text = header.trim()
  const bytes = text.startsWith('{')
    ? Buffer.from(text, 'utf8')
    : /^[A-Za-z0-9+/_-]+={0,2}$/.test(text)
      ? Buffer.from(text, 'base64')
      : undefined
  const read = bytes && readJson(bytes, limits)
  if (!read?.ok) return undefined
  const plain = toPlain(read.node)
  return isObject(plain) ? plain : undefined
}
