/** Signs that nobody signed in for a token, whichever provider wrote it. */
import { type Claims, textOf, words } from '../claims.ts'

/**
 * Is a machine by itself behind these claims?
 *
 * RFC 9068 2.2: without a person `sub` is the client. The others are what providers write who do not follow it: Auth0
 * (`gty`, `@clients`), Entra ID (`idtyp`; app roles without scopes), Keycloak (its service accounts' users and hosts).
 */
export function looksLikeWorkload(payload: Claims, client: string | undefined): boolean {
  const subject = textOf(payload.sub)
  if (subject !== undefined && (subject === client || subject.endsWith('@clients'))) return true
  if (payload.gty === 'client-credentials' || payload.idtyp === 'app') return true
  if (textOf(payload.preferred_username)?.startsWith('service-account-') === true) return true
  if (payload.clientHost !== undefined || payload.clientAddress !== undefined) return true
  return payload.tid !== undefined && payload.oid !== undefined && words(payload.scp).length === 0
}
