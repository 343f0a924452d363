/** Who somebody is, from claims as their token has them. */
import { type ClaimsConfig, clientOf, type Principal, principalFrom } from '../lib/identity/principal.ts'
import { profiles } from '../lib/identity/profiles/index.ts'
import { type ProviderName, providerNames } from '../lib/identity/profiles/profile.ts'
import type { IssuerSettings } from './read-policies.ts'

export type CallerReading =
  { readonly ok: true; readonly principal: Principal } | { readonly ok: false; readonly fault: string }

/** What stands beside the claims: settings of an issuer (docs/identity-providers.md), under the same names. */
const texts = ['groups_claim', 'roles_claim', 'permissions_claim', 'scope_prefix'] as const
const lists = ['agent_clients', 'audiences'] as const
const settingNames = ['provider', ...texts, ...lists, 'allow_guests'] as const

/** A token that names nobody is somebody's all the same, and good for longer than anybody will ask. */
const absent = { iss: 'https://issuer.example', sub: 'somebody', exp: 253_402_300_799 }

/**
 * Reads `{ sub: bob, groups: [developers] }`: every member is a claim, but for the settings of an issuer that may stand
 * beside them.
 *
 * @param issuers those of a route: the settings of the one whose `issuer` is the `iss` given count where none are given
 */
export function readCaller(value: unknown, issuers: readonly IssuerSettings[] = []): CallerReading {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { ok: false, fault: 'write claims as a map, such as `{ sub: bob, groups: [developers] }`' }
  }
  const given = value as Readonly<Record<string, unknown>>
  const claims = Object.fromEntries(Object.entries(given).filter(([name]) => !isSetting(name)))
  const own = Object.fromEntries(Object.entries(given).filter(([name]) => isSetting(name)))
  const settings: IssuerSettings = { ...issuers.find(({ issuer }) => issuer === given.iss), ...own }
  const config = claimsConfig(settings)
  if ('fault' in config) return { ok: false, fault: config.fault }
  // Every token names its client; which one matters only to those who say it.
  const named = clientOf(claims)
  const client = named.ok && named.client === undefined ? { client_id: 'some-client' } : {}
  const read = principalFrom({ ...absent, ...client, ...claims }, config)
  if (read.ok) return read
  const { why, ...detail } = read.refusal
  return { ok: false, fault: `a token with these claims is refused: ${why} ${JSON.stringify(detail)}` }
}

const isSetting = (name: string): boolean => (settingNames as readonly string[]).includes(name)

function claimsConfig(settings: IssuerSettings): ClaimsConfig | { readonly fault: string } {
  const provider = settings.provider ?? 'generic'
  if (!(providerNames as readonly unknown[]).includes(provider)) {
    return { fault: `\`provider\` must be one of ${providerNames.join(', ')}` }
  }
  for (const name of texts) {
    if (settings[name] !== undefined && typeof settings[name] !== 'string')
      return { fault: `\`${name}\` must be a text` }
  }
  for (const name of lists) {
    const list = settings[name]
    if (list !== undefined && !(Array.isArray(list) && list.every((one) => typeof one === 'string'))) {
      return { fault: `\`${name}\` must be a list of texts` }
    }
  }
  const text = (name: (typeof texts)[number]): string | undefined => settings[name] as string | undefined
  return {
    profile: profiles[provider as ProviderName],
    groupsClaim: text('groups_claim'),
    rolesClaim: text('roles_claim'),
    permissionsClaim: text('permissions_claim'),
    scopePrefix: text('scope_prefix'),
    agentClients: (settings.agent_clients ?? []) as readonly string[],
    allowGuests: settings.allow_guests === true,
    ...(settings.audiences === undefined ? {} : { audiences: settings.audiences as readonly string[] }),
  }
}
