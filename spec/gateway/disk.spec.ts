/** The disk under the trail: full, failing, slow. No record, no call; and it opens again by itself. */
import { execFileSync } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { verifyTrails } from '../../cli/verify-trails.ts'
import { readRecords } from '../support/audit-trail.ts'
import {
  call,
  eventually,
  type GatewayUnderTest,
  type Sent,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { inject } from '../support/inject.ts'

const route = 'jira'
const withinMs = 1_000

describe.skipIf(skipReason)('a call whose record cannot be written', () => {
  let gateway: GatewayUnderTest
  let isMounted = false
  beforeEach(() => {
    isMounted = false
  })
  afterEach(async () => {
    if (isMounted) execFileSync('umount', ['--lazy', gateway.auditDir])
    await gateway.close()
  })

  const send = (): Promise<Sent> => gateway.send(route, { as: 'bob', json: call('get_issue', { key: 'OPS-1' }) })
  const isServed = ({ status }: Sent): boolean => status === 200

  /** Sends calls that must not go through; none takes long, and none reaches the server. */
  async function expectClosed(): Promise<void> {
    const { requests: before } = await gateway.upstreamStats()
    for (let n = 0; n < 5; n++) {
      const begun = performance.now()
      const { status } = await send()
      expect({ status, ms: Math.round(performance.now() - begun) }).toEqual({
        status: 503,
        ms: expect.any(Number) as number,
      })
      expect(performance.now() - begun).toBeLessThan(withinMs)
    }
    expect((await gateway.upstreamStats()).requests).toBe(before)
  }

  const start = (durability: 'os' | 'disk'): Promise<GatewayUnderTest> =>
    startGatewayUnderTest((config) => {
      for (const { routes } of config.services) {
        for (const { plugins = [] } of routes) {
          plugins.splice(0, plugins.length, ...plugins.filter(({ name }) => name !== 'rate-limiting'))
          for (const plugin of plugins) {
            const audit =
              plugin.name === 'mcp-audit' ? plugin.config : (plugin.config as { audit?: object } | undefined)?.audit
            if (audit) Object.assign(audit, { durability })
          }
        }
      }
    })

  it('T12 on a full disk is answered 503, and goes on when there is space', async (context) => {
    gateway = await start('os')
    await mkdir(gateway.auditDir, { recursive: true })
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', gateway.auditDir], { stdio: 'ignore' })
      isMounted = true
    } catch {
      context.skip('needs to mount a small tmpfs')
    }
    await eventually(send, isServed, 15_000)
    const ballast = join(gateway.auditDir, 'ballast')
    await writeFile(ballast, Buffer.alloc(128 * 1024)).catch(() => undefined)
    // What is left of the last page is used up first.
    await eventually(send, ({ status }) => status === 503, 15_000)
    await expectClosed()
    await rm(ballast)
    await eventually(send, isServed)
    const { faults, notes } = verifyTrails([gateway.auditDir])
    expect(faults).toEqual([])
    expect(notes.join()).not.toContain('never finished')
  })

  it.for(['os', 'disk'] as const)('T13 on a disk that fails is answered 503 (%s)', async (durability, context) => {
    gateway = await start(durability)
    await eventually(send, isServed, 15_000)
    const strace = await inject(context, gateway.host.pluginServerPid() ?? 0, 'fdatasync:error=EIO')
    await eventually(send, ({ status }) => status === 503, 15_000)
    await expectClosed()
    await strace.stop()
    await eventually(send, isServed)
    const { faults, warnings } = verifyTrails([gateway.auditDir])
    expect(faults).toEqual([])
    expect(warnings.join()).toContain('the disk failed')
  })

  it('T14 on a disk that takes half a second waits 250 ms, and no longer', async (context) => {
    gateway = await start('disk')
    await eventually(send, isServed, 15_000)
    const strace = await inject(context, gateway.host.pluginServerPid() ?? 0, 'fdatasync:delay_enter=500000')
    await expectClosed()
    await strace.stop()
    await eventually(send, isServed, 15_000)
    expect(verifyTrails([gateway.auditDir]).faults).toEqual([])
    // What was admitted and then not let through says so.
    const records = await readRecords(gateway.auditDir)
    expect(records.filter(({ reason }) => reason === 'not_on_record').length).toBeGreaterThan(0)
  })
})
