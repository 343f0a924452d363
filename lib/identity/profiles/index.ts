/** The providers the suite knows, by the name an administrator writes. */
import { auth0 } from './auth0.ts'
import { entra } from './entra.ts'
import { generic } from './generic.ts'
import { keycloak } from './keycloak.ts'
import { okta } from './okta.ts'
import type { Profile, ProviderName } from './profile.ts'

export const profiles: Readonly<Record<ProviderName, Profile>> = { okta, auth0, entra, keycloak, generic }
