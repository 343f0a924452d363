/** What goes on record of a policy that comes into force, and what its file says of itself. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { PolicyFiles } from '../../../../adapters/policy/policy-files.ts'
import type { Runtime } from '../../../../adapters/runtime.ts'
import type { AuditEvent } from '../../../../lib/audit/record.ts'
import { noConditions } from '../../../../lib/policy/policy.ts'
import { policiesOf } from '../../../../stages/rbac/policies.ts'
import type { RbacConfig } from '../../../../stages/rbac/schema.ts'
import { trailFolder } from '../../../support/trails.ts'

const rules = `permissions: { 'jira:read': { tools: [get_issue] } }
roles: { developer: ['jira:read'] }
bindings: [{ claim: groups, value: developers, role: developer }]
`
let file: string
let monoMs: number
let noted: AuditEvent[]
let forgotten: AuditEvent[]
let runtime: Runtime
beforeEach(async () => {
  file = join(await trailFolder(), 'jira.yml')
  monoMs = 0
  noted = []
  forgotten = []
  const clock = { nowMs: () => 0, monoMs: () => monoMs }
  runtime = {
    recorders: {
      note: (_route: string, event: AuditEvent) => noted.push(event),
      forget: (_route: string, event: AuditEvent) => forgotten.push(event),
    },
    policyFiles: new PolicyFiles(clock, () => undefined),
    compileCondition: noConditions,
    log: () => undefined,
  } as unknown as Runtime
})
const open = () => policiesOf({ policy_file: file } as unknown as RbacConfig, runtime, 'route-1')

describe('a policy file', () => {
  it('says its author and its change, which are no part of the version', async () => {
    await writeFile(file, rules)
    const policies = open()
    expect(noted).toEqual([
      { type: 'policy', event: 'in_force', use: 'active', source: file, policy_sha256: policies.active().digest },
    ])
    const { digest } = policies.active()
    await writeFile(file, `author: dana@example.com\nchange: PR-118\n${rules}`)
    monoMs += 1_000
    expect(policies.active().digest).toBe(digest)
    expect(noted[1]).toEqual({ ...noted[0], author: 'dana@example.com', change: 'PR-118' })
  })

  it.each([
    ['an author that is no text', 'author: 7', 'author must be a text'],
    ['an author that is empty', "author: ''", 'author must be a text'],
    ['a change that is long', `change: ${'x'.repeat(257)}`, 'change may have 256 characters'],
    ['an approver', 'approved_by: dana', 'approved_by is not known here'],
  ])('is refused with %s', async (_note, line, because) => {
    await writeFile(file, `${line}\n${rules}`)
    expect(open).toThrow(because)
  })
})

describe('no policy', () => {
  it('is one that denies everything, and on record; no shadow is none, and the one before holds no more', () => {
    const policies = policiesOf({ shadow: {} } as unknown as RbacConfig, runtime, 'route-1')
    expect(policies.shadow).toBeUndefined()
    expect(noted).toEqual([
      {
        type: 'policy',
        event: 'in_force',
        use: 'active',
        source: 'configuration',
        policy_sha256: policies.active().digest,
      },
    ])
    expect(forgotten).toEqual([{ type: 'policy', use: 'shadow' }])
  })
})
