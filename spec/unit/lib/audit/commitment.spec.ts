import { createHash, createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { commit, saltOf } from '../../../../lib/audit/commitment.ts'

const saltKey = Buffer.alloc(32, 3)

describe('a commitment', () => {
  it('is SHA-256 over salt and canonical JSON, and the salt HMAC-SHA-256 of the call’s id and what it is', () => {
    const salt = createHmac('sha256', saltKey).update('call-1 body_commitment').digest()
    expect(saltOf(saltKey, 'call-1', 'body_commitment')).toEqual(salt)
    expect(commit(salt, { b: 1, a: ['é'] })).toBe(
      createHash('sha256')
        .update(Buffer.concat([salt, Buffer.from('{"a":["é"],"b":1}')]))
        .digest('hex'),
    )
  })

  it('does not depend on how the value was spelled', () => {
    const salt = saltOf(saltKey, 'call-1', 'body_commitment')
    expect(commit(salt, JSON.parse('{"a":1.0,"b":"\\u00e9"}') as object as never)).toBe(commit(salt, { b: 'é', a: 1 }))
  })

  it('tells values apart, and the same value in two calls, two members or two logs', () => {
    const all = [
      commit(saltOf(saltKey, 'call-1', 'body_commitment'), 'no'),
      commit(saltOf(saltKey, 'call-1', 'body_commitment'), 'yes'),
      commit(saltOf(saltKey, 'call-1', 'body_commitment'), ['no']),
      commit(saltOf(saltKey, 'call-2', 'body_commitment'), 'no'),
      commit(saltOf(saltKey, 'call-1', 'response_commitment'), 'no'),
      commit(saltOf(Buffer.alloc(32, 4), 'call-1', 'body_commitment'), 'no'),
    ]
    expect(new Set(all).size).toBe(all.length)
  })
})
