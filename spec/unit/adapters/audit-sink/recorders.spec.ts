/** What happened apart from calls is on record as soon as the trail can be written. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Recorder, type RecorderConfig, Recorders } from '../../../../adapters/audit-sink/recorders.ts'
import { Trail } from '../../../../adapters/audit-sink/trail.ts'
import { newId, systemClock } from '../../../../adapters/clock.ts'
import type { Call } from '../../../../lib/context/call.ts'
import type { AuditEvent } from '../../../../lib/audit/record.ts'
import { readAllRecords } from '../../../support/audit-trail.ts'
import { eventually } from '../../../support/eventually.ts'

describe('what happened apart from calls', () => {
  let folder = ''
  let logged: string[] = []
  let recorders: Recorders
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kmcp-recorders-'))
    logged = []
    recorders = new Recorders(systemClock, (level, message) => logged.push(`${level}: ${message}`))
  })
  afterEach(async () => {
    await recorders.close()
    await rm(folder, { recursive: true })
  })

  const directory = (): string => join(folder, 'audit')
  const register = (change: Partial<RecorderConfig> = {}, name = 'jira'): Recorder =>
    recorders.register('route-1', {
      directory: directory(),
      settings: { node: 'node-1' },
      rules: { name, redaction: { clear: [], hashed: [] } },
      ...change,
    })
  const policy = (digit: string): AuditEvent => ({
    type: 'policy',
    ...{ event: 'in_force', use: 'active', source: 'jira.yml', policy_sha256: digit.repeat(64) },
  })
  const refused = (): Call =>
    ({
      id: newId(),
      request: { verb: 'POST', path: '/mcp/jira', headers: {} },
      refusal: { why: 'not_found' },
    }) as unknown as Call
  const policies = async (): Promise<unknown[]> =>
    (await readAllRecords(directory())).filter(({ type }) => type === 'policy').map((record) => record.policy_sha256)

  it('waits for the trail, in its order', async () => {
    // Where the directory is to be there is a file: nothing can be written.
    await writeFile(directory(), '')
    register()
    recorders.note('route-1', policy('a'))
    recorders.noteAll({ type: 'issuer_keys', issuer: 'https://idp.example', keys: [] })
    recorders.note('route-1', policy('b'))
    await eventually(
      () => Promise.resolve(logged.length),
      (many) => many === 3,
    )
    expect(logged.every((line) => /^error: (policy|issuer_keys) is not recorded yet: .*EEXIST/.test(line))).toBe(true)

    await rm(directory())
    recorders.note('route-1', policy('c'))
    await eventually(policies, (found) => found.length === 3)
    expect(await policies()).toEqual(['a', 'b', 'c'].map((digit) => digit.repeat(64)))
    const types = (await readAllRecords(directory())).map(({ type }) => type)
    expect(types.filter((type) => type === 'policy' || type === 'issuer_keys')).toEqual([
      ...['policy', 'issuer_keys', 'policy', 'policy'],
    ])
    expect(logged).toHaveLength(3)
  })

  it('stands before the next call that is recorded, all of it', async () => {
    await writeFile(directory(), '')
    register()
    for (const digit of ['a', 'b', 'c']) recorders.note('route-1', policy(digit))
    await eventually(
      () => Promise.resolve(logged.length),
      (many) => many === 3,
    )
    await rm(directory())
    expect(await recorders.recordRefusal('route-1', refused())).toBe(true)
    // The trail is open now: what is noted is written at once.
    for (const digit of ['d', 'e']) recorders.note('route-1', policy(digit))
    expect(await recorders.recordRefusal('route-1', refused())).toBe(true)
    const types = (await readAllRecords(directory())).map(({ type }) => type)
    const policiesThen = (count: number): string[] => [...Array<string>(count).fill('policy'), 'refusal']
    expect(types.slice(-7)).toEqual([...policiesThen(3), ...policiesThen(2)])
  })

  it('holds up no call while it cannot be written', async () => {
    register()
    const append = vi.spyOn(Trail.prototype, 'appendAll').mockReturnValue(new Promise(() => undefined))
    recorders.note('route-1', policy('a'))
    expect(await recorders.recordRefusal('route-1', refused())).toBe(true)
    expect(append).toHaveBeenCalledTimes(2)
    append.mockRestore()
  })

  it('is said to be lost where more waits than is kept', async () => {
    await writeFile(directory(), '')
    register()
    for (let n = 0; n < 1_001; n++)
      recorders.noteAll({ type: 'issuer_keys', issuer: `https://idp-${n}.example`, keys: [] })
    await eventually(
      () => Promise.resolve(logged.filter((line) => line.includes('was not recorded: 1000 records wait'))),
      (lines) => lines.length === 1,
    )
  })

  it('is told to whoever hears of the route for the first time: a second directory, and those who know it by its new name', async () => {
    register().use()
    recorders.note('route-1', policy('a'))
    const secondDirectory = join(folder, 'second')
    register({ secondDirectory }).use()
    recorders.note('route-1', { type: 'configuration', plugin: 'mcp-audit', event: 'in_force', settings: {} })
    await Promise.resolve()
    register({ secondDirectory }, 'issues').use()
    const told = async (where: string): Promise<string[]> =>
      (await readAllRecords(where))
        .filter(({ type }) => type === 'policy' || type === 'configuration')
        .map(({ type, route }) => `${type} of ${route}`)
    const all = ['policy of jira', 'configuration of jira', 'policy of issues', 'configuration of issues']
    await eventually(
      () => told(secondDirectory),
      (found) => found.length === all.length,
    )
    expect([await told(directory()), await told(secondDirectory)]).toEqual([all, all])
  })

  it('is told to nobody once it holds no more, and noted again when it comes back', async () => {
    register().use()
    const shadow = { ...policy('b'), use: 'shadow' }
    for (const event of [policy('a'), shadow]) recorders.note('route-1', event)
    recorders.forget('route-1', { type: 'policy', use: 'shadow' })
    const elsewhere = join(folder, 'elsewhere')
    register({ directory: elsewhere }).use()
    await Promise.resolve()
    recorders.note('route-1', shadow)
    const uses = await eventually(
      async () => (await readAllRecords(elsewhere)).filter(({ type }) => type === 'policy').map(({ use }) => use),
      (found) => found.length === 2,
    )
    expect(uses).toEqual(['active', 'shadow'])
    recorders.forget('route-1', { type: 'policy', use: 'shadow' })
    recorders.note('route-1', shadow)
    await eventually(
      async () => (await readAllRecords(elsewhere)).filter(({ use }) => use === 'shadow'),
      (found) => found.length === 2,
    )
  })

  it('a call that began before a configuration was replaced does not bring it back by its end', async () => {
    const replaced = register({}, 'old')
    replaced.use()
    const late = { ...refused(), startedMono: systemClock.monoMs() } as Call
    await recorders.recordRefusal('route-1', late)
    register({}, 'new').use()
    await replaced.complete(late, {})
    await recorders.recordRefusal('route-1', refused())
    const refusals = (await readAllRecords(directory())).filter(({ type }) => type === 'refusal')
    expect(refusals.map(({ route }) => route)).toEqual(['old', 'new'])
  })
})
