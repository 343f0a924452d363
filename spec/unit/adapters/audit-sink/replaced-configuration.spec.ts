/** A configuration that was replaced comes once more, for the log of a call that began under it: it is not in force again. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { newId } from '../../../../adapters/clock.ts'
import { type Fields, fillRecord } from '../../../../embedded/gateway/schema.ts'
import { runtime } from '../../../../adapters/runtime.ts'
import type { Call } from '../../../../lib/context/call.ts'
import { Plugin, Schema } from '../../../../plugins/mcp-gateway/index.ts'
import { type AuditRecord, readAllRecords } from '../../../support/audit-trail.ts'
import { eventually } from '../../../support/eventually.ts'
import { quietKong } from '../../../support/quiet-kong.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kmcp-replaced-'))
})
afterAll(async () => {
  await runtime().recorders.close()
  await rm(folder, { recursive: true })
})

/** @param version names the route in records, the tool that is permitted, and the trail's directory */
function configured(version: string): Required<InstanceType<typeof Plugin>> {
  const given = {
    oauth: {
      resource: 'https://gateway.example/mcp/jira',
      issuers: [{ issuer: 'https://idp.example', audiences: ['https://gateway.example/mcp/jira'] }],
    },
    rbac: { permissions: { 'jira:read': { tools: [version] } }, roles: { reader: ['jira:read'] }, bindings: [] },
    audit: { directory: join(folder, version), route_name: version, node: 'node-1' },
    upstream: { upstream: 'jira-mcp', token_issuer: 'https://gateway.example' },
  }
  const faults: string[] = []
  const config = fillRecord(Schema as Fields, given, 'config', { faults, env: {}, unknownField: '' })
  expect(faults).toEqual([])
  return new Plugin({ ...config, route_id: 'route-1' }) as Required<InstanceType<typeof Plugin>>
}

it('neither its settings and its policy nor where it records', async () => {
  const of = async (version: string): Promise<AuditRecord[]> =>
    (await readAllRecords(join(folder, version))).filter(({ type }) => !['start', 'key', 'recovery'].includes(type))
  await configured('old').access(quietKong())
  const admitted: Partial<Call> = {
    ...{ id: newId(), startedMs: 0, startedMono: runtime().clock.monoMs(), stages: [] },
    ...{ request: { verb: 'POST', path: '/mcp/jira', query: '', headers: {} }, admission: { seq: 1 } },
  }
  runtime().calls.add(admitted as Call)
  const replacing = configured('new')
  await replacing.access(quietKong())

  // Kong makes an instance of the old one again where its call ends.
  await configured('old').log(quietKong(admitted.id))
  await replacing.access(quietKong())

  const records = await eventually(
    () => of('new'),
    (all) => all.length === 4,
  )
  const policiesOf = (all: readonly AuditRecord[]): unknown[] => all.flatMap((one) => one.policy_sha256 ?? [])
  const rest = (all: readonly AuditRecord[]): string[] =>
    all.map(({ type }) => type).filter((type) => type !== 'policy' && type !== 'configuration')
  const settingsOf = (all: readonly AuditRecord[]): unknown[] =>
    all.flatMap(({ settings }) => (settings as { audit: { route_name: string } } | undefined)?.audit.route_name ?? [])
  // A trail that is new to the route says what holds there; the one before says how its policy ended.
  const [replaced] = policiesOf(records)
  expect(policiesOf(records)).toHaveLength(1)
  expect(settingsOf(records)).toEqual(['new'])
  expect(rest(records)).toEqual(['authentication_failure', 'authentication_failure'])
  const before = await of('old')
  expect(policiesOf(before)).toEqual([expect.not.stringMatching(String(replaced)), replaced])
  expect(settingsOf(before)).toEqual(['old'])
  expect(rest(before)).toEqual(['authentication_failure', 'outcome'])
})
