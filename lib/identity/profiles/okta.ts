/** Okta: access tokens of custom authorization servers. Those of the org server are for Okta alone. */
import { textOf, words } from '../claims.ts'
import { missing, type Profile } from './profile.ts'

export const okta: Profile = {
  name: 'okta',
  // Okta leaves `typ` out; tokens of the org server say `okta-internal-at+jwt`.
  tokenTypes: ['absent', 'jwt', 'at+jwt'],
  algorithms: ['RS256'],
  issuerFault: (issuer) =>
    /^https:\/\/[^/]+\/oauth2\/[A-Za-z0-9_-]+$/.test(issuer)
      ? undefined
      : 'an Okta issuer is a custom authorization server, such as `https://acme.okta.com/oauth2/default`: tokens of the org server cannot be validated by anybody but Okta',
  companionAudiences: () => [],
  read(payload, { client }) {
    if (client === undefined) return missing('cid')
    // Okta numbers its tokens by kind: AT., ID., RT.
    const kind = /^(ID|RT|ORT)\./.exec(textOf(payload.jti) ?? '')?.[1]
    if (kind !== undefined) {
      return {
        ok: false,
        refusal: { why: kind === 'ID' ? 'token_is_id_token' : 'token_is_no_access_token', because: 'jti' },
      }
    }
    const [uid, sub] = [textOf(payload.uid), textOf(payload.sub)]
    const subject = uid ?? sub
    if (subject === undefined) return missing('uid')
    return {
      ok: true,
      facts: {
        // `sub` is the login name, which people change; `uid` stays.
        subject,
        isWorkload: uid === undefined,
        roles: words(payload.roles, 'whole'),
        groups: words(payload.groups, 'whole'),
        permissions: words(payload.permissions, 'whole'),
        unknown: [],
      },
    }
  },
}
