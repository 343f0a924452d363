import { describe, expect, it } from 'vitest'
import type { Json } from '../../../../lib/mcp/message.ts'
import type { Target } from '../../../../lib/mcp/methods.ts'
import { decide, grantsOf } from '../../../../lib/policy/decide.ts'
import {
  definitionDigest,
  definitionFault,
  type Pin,
  pinsDocument,
  readPinsDocument,
} from '../../../../lib/policy/pins.ts'
import { compilePolicy } from '../../../../lib/policy/policy.ts'
import { principalOf } from '../../../support/principal-of.ts'

describe('definitionDigest', () => {
  const tool = {
    name: 'delete_issue',
    title: 'Delete',
    description: 'Deletes an issue',
    inputSchema: { type: 'object', properties: { key: { type: 'string' } } },
    outputSchema: { type: 'object' },
    annotations: { destructiveHint: true },
    icons: [{ src: 'https://example.com/i.png' }],
    execution: { taskSupport: 'forbidden' },
  }

  it('is the one it always was', () => {
    expect(definitionDigest({ name: 'a', description: 'b' })).toBe(
      // printf '{"description":"b","name":"a"}' | sha256sum
      'bd32a937d435bbeacc1cb7d28c6609bdc559437b56fd0377227aa26100d374d5',
    )
  })

  it.each<[string, Json]>([
    ['name', { ...tool, name: 'delete_issues' }],
    ['title', { ...tool, title: 'Delete ' }],
    ['description', { ...tool, description: 'Deletes an issue\u200b' }],
    ['inputSchema', { ...tool, inputSchema: { ...tool.inputSchema, required: ['key'] } }],
    ['outputSchema', { ...tool, outputSchema: {} }],
    ['annotations', { ...tool, annotations: { destructiveHint: false } }],
    ['icons', { ...tool, icons: [] }],
    ['execution', { ...tool, execution: { taskSupport: 'optional' } }],
    ['a member nobody knows yet', { ...tool, 'x-hint': 'read this' }],
    ['an absent annotation', Object.fromEntries(Object.entries(tool).filter(([key]) => key !== 'annotations'))],
    ['a nested _meta', { ...tool, inputSchema: { ...tool.inputSchema, _meta: {} } }],
  ])('is another for another %s', (_note, changed) => {
    expect(definitionDigest(changed)).not.toBe(definitionDigest(tool))
  })

  it('is the same for another _meta and another order', () => {
    const turned = Object.fromEntries(Object.entries(tool).toReversed())
    expect(definitionDigest({ ...turned, _meta: { trace: 1 } })).toBe(definitionDigest(tool))
  })
})

const sha = (digit: string): string => digit.repeat(64)
const pin: Pin = { sha256: sha('a'), approvedBy: 'alice', approvedAt: '2026-11-25T08:00:00Z' }

describe('definitionFault', () => {
  it.each<[note: string, Pin | undefined, string | undefined, string | undefined]>([
    ['approved', pin, sha('a'), undefined],
    ['approved, and not seen yet', pin, undefined, undefined],
    ['another', pin, sha('b'), 'definition_changed'],
    ['no approval', undefined, sha('a'), 'definition_new'],
    ['no approval, and not seen yet', undefined, undefined, 'definition_new'],
  ])('%s', (_note, approved, seen, fault) => {
    expect(definitionFault(approved, seen)).toBe(fault)
  })
})

describe('a decision about a tool that is withheld', () => {
  const policy = compilePolicy({
    permissions: { 'jira:all': { tools: ['*'], prompts: ['*'] } },
    roles: { admin: ['jira:all'] },
    bindings: [{ claim: 'groups', value: 'admins', role: 'admin' }],
  })
  const asks = (groups: readonly string[], target: Target): string => {
    const withheld = (tool: string): 'definition_changed' | undefined =>
      tool === 'delete_issue' ? 'definition_changed' : undefined
    const verdict = decide(grantsOf(principalOf({ groups }), policy), target, { areRevocationsStale: false, withheld })
    return verdict.allow ? `allow ${verdict.rule}` : `deny ${verdict.reason}`
  }
  it.each<[note: string, readonly string[], Target, string]>([
    ['that tool', ['admins'], { kind: 'tool', name: 'delete_issue' }, 'deny definition_changed'],
    ['another', ['admins'], { kind: 'tool', name: 'get_issue' }, 'allow jira:all'],
    ['a prompt of its name', ['admins'], { kind: 'prompt', name: 'delete_issue' }, 'allow jira:all'],
    ['that tool, by somebody who may not', [], { kind: 'tool', name: 'delete_issue' }, 'deny no_role'],
  ])('%s', (_note, groups, target, says) => {
    expect(asks(groups, target)).toBe(says)
  })
})

describe('a pins document', () => {
  it('is read as it was written, with names like any other', () => {
    const pins = new Map([
      ['__proto__', pin],
      ['b', { ...pin, note: 'looked at' }],
      ['123', pin],
    ])
    const { tools } = pinsDocument(pins)
    expect([...tools.keys()]).toEqual(['123', '__proto__', 'b'])
    const read = readPinsDocument({ tools: Object.fromEntries(tools) })
    expect(read.ok && new Map(read.pins)).toEqual(pins)
  })

  it.each<[string, unknown, RegExp]>([
    ['nothing', null, /map `tools`/],
    ['no tools', {}, /map `tools`/],
    ['a list', { tools: [] }, /map `tools`/],
    ['another member', { tools: {}, mode: 'off' }, /mode is not known/],
    ['no map for a tool', { tools: { a: sha('a') } }, /tools\.a must be a map/],
    ['a torn digest', { tools: { a: { ...entry(), sha256: 'ab' } } }, /tools\.a\.sha256/],
    ['a digest in upper case', { tools: { a: { ...entry(), sha256: sha('A') } } }, /tools\.a\.sha256/],
    ['nobody', { tools: { a: { ...entry(), approved_by: '' } } }, /tools\.a\.approved_by/],
    ['no time', { tools: { a: { ...entry(), approved_at: 'yesterday' } } }, /tools\.a\.approved_at/],
    ['a note that is none', { tools: { a: { ...entry(), note: 1 } } }, /tools\.a\.note/],
    ['a member nobody knows', { tools: { a: { ...entry(), sha512: 'x' } } }, /tools\.a\.sha512 is not known/],
    ['several faults at once', { tools: { a: {} } }, /sha256.*approved_by.*approved_at/],
  ])('with %s is refused', (_note, document, says) => {
    const read = readPinsDocument(document)
    expect(read.ok ? 'read' : read.faults.join('; ')).toMatch(says)
  })
})

function entry(): Record<string, unknown> {
  return { sha256: sha('a'), approved_by: 'alice', approved_at: '2026-11-25T08:00:00Z' }
}
