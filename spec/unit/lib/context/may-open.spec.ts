import { describe, expect, it } from 'vitest'
import { type Call, stageNames } from '../../../../lib/context/call.ts'
import type { Target } from '../../../../lib/mcp/methods.ts'
import { grantsOf } from '../../../../lib/policy/decide.ts'
import { compilePolicy } from '../../../../lib/policy/policy.ts'
import { principalOf } from '../../../support/principal-of.ts'
import { isExchanged, mayOpen, missingToOpen } from '../../../../lib/context/may-open.ts'

const complete = (): Call => ({
  id: 'c',
  startedMs: 0,
  startedMono: 0,
  request: { verb: 'POST', path: '/mcp', query: '', headers: {} },
  stages: [...stageNames],
  principal: { id: 'i|s' } as never,
  message: { kind: 'request', era: 'legacy', method: 'tools/call', idRaw: '1', params: {}, revision: undefined },
  target: { kind: 'tool', name: 'x' },
  decision: {
    id: 'd',
    verdict: { allow: true, rule: 'a:b' },
    grants: grantsOf(principalOf({}), compilePolicy({ permissions: {}, roles: {}, bindings: [] })),
    policyDigest: 'p',
  },
  admission: { seq: 1 },
  clientCredentialsRemoved: true,
})

describe('mayOpen', () => {
  it('opens for a call with everything', () => {
    expect(missingToOpen(complete())).toEqual([])
    expect(mayOpen(complete())).toBe(true)
  })

  it.each<[note: string, change: (call: Call) => void, missing: string]>([
    ['a refusal on it', (call) => (call.refusal = { why: 'not_found' }), 'not_refused'],
    ['no principal', (call) => delete call.principal, 'principal'],
    ['no message', (call) => delete call.message, 'message'],
    ['no target', (call) => delete call.target, 'message'],
    ['a preflight', (call) => (call.message = { kind: 'preflight' }), 'message'],
    ['no decision', (call) => delete call.decision, 'decision'],
    [
      'a denial',
      (call) =>
        (call.decision = { ...complete().decision!, verdict: { allow: false, reason: 'no_role', rulesTried: [] } }),
      'decision',
    ],
    ['no admission', (call) => delete call.admission, 'admission'],
    ['credentials still there', (call) => (call.clientCredentialsRemoved = false), 'credentials_removed'],
    ['a list on its first way through', (call) => (call.target = { kind: 'list', of: 'tools' }), 'list_filtered'],
    [
      'a session being opened on its first way through',
      (call) => (call.target = { kind: 'session', method: 'initialize' }),
      'session_bound',
    ],
    [
      'a discovery on its first way through',
      (call) => (call.target = { kind: 'session', method: 'server/discover' }),
      'offer_trimmed',
    ],
    ['a stage too few', (call) => call.stages.pop(), 'stages'],
    ['stages in another order', (call) => call.stages.reverse(), 'stages'],
  ])('stays closed with %s', (_note, change, missing) => {
    const call = complete()
    change(call)
    expect(missingToOpen(call)).toEqual([missing])
    expect(mayOpen(call)).toBe(false)
  })

  it.each<Target>([
    { kind: 'list', of: 'tools' },
    { kind: 'session', method: 'initialize' },
    { kind: 'session', method: 'server/discover' },
  ])('opens for $kind $method only as the exchange of an outer call', (target) => {
    const call = { ...complete(), target }
    expect([isExchanged(target), mayOpen(call)]).toEqual([true, false])
    expect(mayOpen({ ...call, exchangeOf: 'outer' })).toBe(true)
  })

  it.each<Target>([
    { kind: 'session', method: 'ping' },
    { kind: 'tool', name: 'initialize' },
  ])('opens for $kind at once', (target) => {
    expect([isExchanged(target), mayOpen({ ...complete(), target })]).toEqual([false, true])
  })
})
