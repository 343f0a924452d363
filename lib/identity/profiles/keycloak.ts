/** Keycloak: access tokens of a realm. */
import { memberOf, textOf, words } from '../claims.ts'
import { missing, type Profile } from './profile.ts'
import { looksLikeWorkload } from './workload.ts'

export const keycloak: Profile = {
  name: 'keycloak',
  tokenTypes: ['jwt', 'at+jwt'],
  algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
  issuerFault: (issuer) =>
    /\/realms\/[^/]+$/.test(issuer)
      ? undefined
      : 'a Keycloak issuer ends in its realm, such as `https://id.example/realms/acme`',
  // The account console's, in every token of somebody who may use it.
  companionAudiences: () => ['account'],
  read(payload, { client, audiences }) {
    const subject = textOf(payload.sub)
    if (subject === undefined) return missing('sub')
    if (client === undefined) return missing('azp')
    if (payload.typ !== 'Bearer' && payload.typ !== 'DPoP') {
      return { ok: false, refusal: { why: 'token_is_no_access_token', because: 'typ' } }
    }
    return {
      ok: true,
      facts: {
        subject,
        // A service account has a user of a name of its own, and nobody's session: without one nobody signed in.
        isWorkload:
          looksLikeWorkload(payload, client) || (payload.sid === undefined && payload.session_state === undefined),
        roles: words(memberOf(payload.realm_access, 'roles'), 'whole'),
        groups: words(payload.groups, 'whole'),
        // Client roles count where the client is this API; those of other clients are other APIs' business.
        permissions: (audiences ?? []).flatMap((audience) =>
          words(memberOf(memberOf(payload.resource_access, audience), 'roles'), 'whole'),
        ),
        unknown: [],
      },
    }
  },
}
