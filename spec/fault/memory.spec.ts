/** T05: denials leave nothing behind. KMCP_DENIALS=1000000 for the long run; the default keeps `npm test` short. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { toStruct, toValue } from '../../pluginserver/wire/messages.ts'
import { eventually } from '../support/eventually.ts'
import { KongSide } from '../support/kong-side.ts'

const denials = Number(process.env.KMCP_DENIALS ?? 4_000)
// Until the heap has found its size.
const warmUp = 4_000
const main = join(import.meta.dirname, '..', '..', 'pluginserver', 'main.ts')

describe('the plugin server', () => {
  it(`does not grow over ${denials} denials`, { timeout: 60_000 + 5 * denials }, async (context) => {
    if (!existsSync('/proc/self/status')) context.skip('needs /proc to measure')
    const folder = await mkdtemp(join(tmpdir(), 'kmcp-mem-'))
    const socket = join(folder, 's.sock')
    const child = spawn(
      process.execPath,
      ['--max-semi-space-size=1', '--max-old-space-size=48', main, '--socket', socket],
      { stdio: 'ignore' },
    )
    await eventually(
      () => Promise.resolve(existsSync(socket)),
      (isThere) => isThere,
      20_000,
    )
    const config = {
      route_id: 'r',
      resource: 'https://gateway.example/mcp/x',
      identity: 'token',
      issuers: [
        {
          issuer: 'https://idp.example',
          provider: 'generic',
          algorithms: ['ES256'],
          token_types: ['at+jwt'],
          allow_guests: false,
          keys_fresh_s: 600,
          keys_stale_s: 86_400,
          keys_cool_down_s: 30,
        },
      ],
      required_scopes: [],
      scopes_supported: [],
      allowed_origins: [],
      allowed_hosts: ['x'],
      metadata_at_root: false,
      clock_skew_s: 30,
      bind_sessions: true,
      dpop: { mode: 'accept', nonces: false, max_age_s: 300, algorithms: ['ES256'] },
      from_kong: {},
      consumer: { claim: 'sub', optional: false },
      redis: {},
    }
    const audit = { route_id: 'r', directory: join(folder, 'audit'), clear_arguments: [] }
    onTestFinished(async () => {
      child.kill('SIGKILL')
      await once(child, 'exit')
      await rm(folder, { recursive: true, force: true })
    })
    let refused = 0
    const deny = async (count: number): Promise<void> => {
      // Kong closes a connection after an exit, so each denial is a connection of its own; the log phase is one more.
      for (let done = 0; done < count; done++) {
        const kong = await KongSide.connect(socket)
        let id = ''
        const seen = await kong.event(oauth, 'access', {
          'kong.nginx.get_var': () => ({ v: 'POST /mcp/x HTTP/1.1' }),
          'kong.request.get_headers': () => toStruct({ host: 'x', authorization: `Bearer a.${done}.c` }),
          'kong.ctx.shared.set': ({ v }) => {
            id = (v as { string_value: string }).string_value
            return undefined
          },
          'kong.client.get_forwarded_ip': () => ({ v: '127.0.0.1' }),
        })
        if (seen.asked.at(-1)?.argument.status === 401) refused++
        kong.close()
        await logger.event(auditId, 'log', {
          'kong.ctx.shared.get': () => toValue(id),
          'kong.log.serialize': () => ({ v: '{"response":{"status":401}}' }),
        })
      }
    }
    const residentMiB = (): number =>
      Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid ?? 0}/status`, 'utf8'))?.[1]) / 1024
    const logger = await KongSide.connect(socket)
    const oauth = await logger.startInstance('mcp-oauth', config)
    const auditId = await logger.startInstance('mcp-audit', audit)
    await deny(warmUp)
    const before = residentMiB()
    await deny(denials)
    const after = residentMiB()
    console.log(`${denials} denials: ${before.toFixed(1)} MiB before, ${after.toFixed(1)} MiB after`)
    expect(refused).toBe(warmUp + denials)
    // What a garbage collector leaves lying about; a leak of 2 KiB a denial would be 8 MiB.
    expect(after).toBeLessThan(before * 1.02 + 2)
    logger.close()
  })
})
