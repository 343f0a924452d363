import { describe, expect, it } from 'vitest'
import { principalFrom } from '../../../../lib/identity/principal.ts'

const payload = { iss: 'https://idp', sub: 'bob', exp: 100, aud: 'https://gw/mcp', client_id: 'agent' }

describe('principalFrom', () => {
  it('takes who is calling, through which agent, from whichever claims the provider has', () => {
    const read = principalFrom({
      ...payload,
      name: 'Bob',
      scope: 'a b',
      scp: ['c'],
      act: { sub: 'agent-1', act: { sub: 'agent-0' } },
    })
    expect(read).toMatchObject({
      ok: true,
      principal: {
        id: 'https://idp|bob',
        subject: 'bob',
        client: 'agent',
        name: 'Bob',
        actors: ['agent-1', 'agent-0'],
      },
    })
    expect(read.ok && [...read.principal.scopes]).toEqual(['a', 'b', 'c'])
  })

  it.each<[note: string, change: Record<string, unknown>, why: string]>([
    ['no subject', { sub: undefined }, 'token_claim_missing'],
    ['an empty subject', { sub: '' }, 'token_claim_missing'],
    ['no expiry', { exp: undefined }, 'token_claim_missing'],
    ['the sign of an ID token', { nonce: 'x' }, 'token_is_id_token'],
    ['another sign of one', { at_hash: 'x' }, 'token_is_id_token'],
    ['the client as its audience', { aud: 'agent' }, 'token_is_id_token'],
    ['a key it is bound to', { cnf: { jkt: 'x' } }, 'token_bound'],
    ['two clients', { azp: 'other' }, 'token_client_ambiguous'],
  ])('refuses a token with %s', (_note, change, why) => {
    expect(principalFrom({ ...payload, ...change })).toMatchObject({ ok: false, refusal: { why } })
  })

  it('takes one client named twice for one', () => {
    expect(principalFrom({ ...payload, azp: 'agent' })).toMatchObject({ ok: true })
  })
})
