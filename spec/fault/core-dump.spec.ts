/** T30: what a process that crashes leaves on disk. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { waitForSocket } from '../../embedded/gateway/plugin-server-process.ts'
import { eventually } from '../support/eventually.ts'

const canary = 'canary-in-memory-5d3f'
const root = join(import.meta.dirname, '..', '..')
const pattern = ((): string => {
  try {
    return readFileSync('/proc/sys/kernel/core_pattern', 'utf8').trim()
  } catch {
    return 'nowhere: this is no Linux'
  }
})()
/** Where cores go to a program, or to a folder of their own, this cannot look at them. */
const isHere = /^core[^/ ]*$/.test(pattern)
if (!isHere) console.log(`core dumps were not looked at: they go to ${pattern}`)

describe.skipIf(!isHere)('a core dump', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kmcp-core-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  /** Crashes a program when it is ready. @returns its core, where the system let it have one */
  async function coreOf(args: readonly string[], isReady: () => Promise<unknown>): Promise<Buffer | undefined> {
    const env = { PATH: process.env.PATH, KMCP_SECRET: canary }
    const command = ['-c', 'ulimit -c unlimited; exec "$0" "$@"', process.execPath, ...args]
    const child = spawn('sh', command, { cwd: folder, env, stdio: 'ignore' })
    const ended = once(child, 'exit')
    await isReady()
    child.kill('SIGSEGV')
    await ended
    const [core] = readdirSync(folder).filter((name) => name.startsWith('core'))
    return core === undefined ? undefined : readFileSync(join(folder, core))
  }
  const isIn = (core: Buffer | undefined): boolean => core?.includes(canary) === true

  it('of another program has its memory: that is what is looked for', async (context) => {
    const script = "require('fs').writeFileSync('ready', ''); setInterval(() => undefined, 1_000)"
    const core = await coreOf(
      ['-e', script],
      () =>
      eventually(() => Promise.resolve(readdirSync(folder)), (names) => names.includes('ready'), 20_000), // prettier-ignore
    )
    if (!core) context.skip('needs to be allowed a core dump')
    expect(isIn(core)).toBe(true)
  })

  it('T30 of the plugin server has none', async (context) => {
    const socket = join(folder, 'mcp.socket')
    const core = await coreOf([join(root, 'pluginserver', 'main.ts'), '--socket', socket], () =>
      waitForSocket(socket, 20_000),
    )
    if (!core) context.skip('needs to be allowed a core dump')
    expect(isIn(core)).toBe(false)
  })
})
