import { describe, expect, it } from 'vitest'
import { opaInput } from '../../../../adapters/opa/opa-input.ts'
import { canonicalJson } from '../../../../lib/canonical-json.ts'
import type { ConditionContext } from '../../../../lib/policy/condition.ts'
import { plainInput } from '../../../support/opa-server.ts'

const { unknown_claims: _unknown, ...principal } = plainInput.principal
const context: ConditionContext = {
  principal: { ...principal, kind: 'agent' },
  agent: { id: 'desk-assistant', actors: ['helper'] },
  tool: { name: '', kind: 'tool' },
  args: { title: 'secret', key: 'A-1' },
  request: { ip: '192.0.2.1', timeMs: 1_700_000_000_000, upstream: 'jira', headers: { 'x-env': 'prod' } },
  session: { id: '0123' },
}
const more = { method: 'tools/call', route: 'jira', target: { kind: 'tool', name: 'delete_issue' } }

describe('the input', () => {
  it('has the caller, the call and the names of its arguments', () => {
    expect(opaInput(context, { ...more, decision: { allow: true, rule: 'jira:write' } })).toEqual({
      principal: plainInput.principal,
      agent: { id: 'desk-assistant' },
      actors: ['helper'],
      target: { kind: 'tool', name: 'delete_issue' },
      method: 'tools/call',
      route: 'jira',
      argument_names: ['key', 'title'],
      request: { ip: '192.0.2.1', upstream: 'jira', headers: { 'x-env': 'prod' } },
      session: { id: '0123' },
      decision: { allow: true, rule: 'jira:write' },
    })
  })

  it('says which claims nobody may conclude from, and has empty texts for what is not known', () => {
    const { tenant: _tenant, name: _name, ...nameless } = context.principal
    const { principal: seen } = opaInput({ ...context, principal: { ...nameless, unknownClaims: ['groups'] } }, more)
    expect(seen).toMatchObject({ unknown_claims: ['groups'], tenant: '', name: '' })
  })

  it('has what the arguments say only where that is configured', () => {
    expect(JSON.stringify(opaInput(context, more))).not.toContain('secret')
    expect(opaInput(context, { ...more, sendArguments: true })).toMatchObject({
      argument_names: ['key', 'title'],
      arguments: { title: 'secret', key: 'A-1' },
    })
  })

  it('tells a call without arguments from an entry of a list, which has none yet', () => {
    expect(opaInput({ ...context, args: {} }, more)).toMatchObject({ argument_names: [] })
    expect(opaInput({ ...context, args: undefined }, { ...more, sendArguments: true })).not.toHaveProperty(
      'argument_names',
    )
    expect(opaInput({ ...context, args: undefined }, { ...more, sendArguments: true })).not.toHaveProperty('arguments')
  })

  it('is the same a moment later, so that its answer can be remembered', () => {
    const later = { ...context, request: { ...context.request, timeMs: context.request.timeMs + 1 } }
    expect(canonicalJson(opaInput(later, more))).toBe(canonicalJson(opaInput(context, more)))
  })
})
