import { describe, expect, it } from 'vitest'
import { looksLikeWorkload } from '../../../../../lib/identity/profiles/workload.ts'

const person = { sub: 'ann', preferred_username: 'ann', tid: 't', oid: 'o', scp: 'tools.read' }

describe('nobody signed in', () => {
  it.each<[note: string, change: Record<string, unknown>]>([
    ['where the subject is the client', { sub: 'agent' }],
    ['by Auth0’s subject', { sub: 'x@clients' }],
    ['by Auth0’s grant', { gty: 'client-credentials' }],
    ['by Entra ID’s type', { idtyp: 'app' }],
    ['by Entra ID’s scopes, which are people’s', { scp: undefined, roles: ['Tools.Read.All'] }],
    ['by Entra ID’s scopes, of which there are none', { scp: '' }],
    ['by Keycloak’s user', { preferred_username: 'service-account-ci' }],
    ['by Keycloak’s host', { clientHost: '10.0.0.9' }],
    ['by Keycloak’s address', { clientAddress: '10.0.0.9' }],
  ])('%s', (_note, change) => {
    expect(looksLikeWorkload({ ...person, ...change }, 'agent')).toBe(true)
  })
})

describe('somebody signed in', () => {
  it.each<[note: string, change: Record<string, unknown>]>([
    ['as it is', {}],
    ['where nothing says who', { sub: undefined }],
    ['whose name has the word in it', { sub: 'x@clients.example' }],
    ['whose name ends in Keycloak’s word', { preferred_username: 'my-service-account-' }],
    ['by another grant', { gty: 'password' }],
    ['by Entra ID’s other type', { idtyp: 'user' }],
    ['without a scope, at a provider that is not Entra ID', { scp: undefined, tid: undefined }],
  ])('%s', (_note, change) => {
    expect(looksLikeWorkload({ ...person, ...change }, 'agent')).toBe(false)
    expect(looksLikeWorkload({ ...person, ...change }, undefined)).toBe(false)
  })
})
