/** `bin/kmcp.js`, as a supervisor runs it: what it is told reaches the tool, and what the tool says is passed on. */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { HttpReceiver } from '../../support/siem/http-receiver.ts'
import { Workplace } from '../../support/siem/shipper.ts'
import { TrailOnDisk } from '../../support/siem/trail-on-disk.ts'
import { root } from './run-kmcp.ts'

/** A Node on the PATH that does not run TypeScript itself: then the wrapper starts another. */
const older = (process.env.PATH ?? '')
  .split(delimiter)
  .map((folder) => join(folder, 'node'))
  .find((node) => existsSync(node) && majorOf(node) < 22)

function majorOf(node: string): number {
  try {
    return Number(/^v(\d+)/.exec(execFileSync(node, ['--version'], { encoding: 'utf8' }))?.[1])
  } catch {
    return Infinity
  }
}

let place: Workplace
let receiver: HttpReceiver
beforeEach(async () => {
  place = new Workplace()
  receiver = await new HttpReceiver().start()
  new TrailOnDisk(place.trail).append(1)
})
afterEach(async () => {
  await receiver.stop()
  place.remove()
})

describe.each([
  { note: 'a Node that runs TypeScript', node: process.execPath, signals: ['SIGTERM'] as const },
  { note: 'an older one', node: older, signals: ['SIGTERM', 'SIGINT', 'SIGHUP'] as const },
])('bin/kmcp.js on $note', ({ node, signals }) => {
  const start = (...args: readonly string[]) => {
    const child = spawn(node ?? '', [join(root, 'bin', 'kmcp.js'), ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    return { child, ended }
  }

  it.skipIf(node === undefined).each(signals)(
    'ends with the shipper it has started, and in order where that is asked for: %s',
    async (signal) => {
      const config = join(place.folder, 'ship.yml')
      const sinks = [{ name: 'lines', type: 'https', url: receiver.url, batch: { linger_ms: 0 } }]
      writeFileSync(config, JSON.stringify({ directory: place.trail, state_directory: place.state, sinks }))
      const { child, ended } = start('audit', 'ship', '--config', config)
      const got = () => Promise.resolve(receiver.got.length)
      await eventually(got, (count) => count > 0, 15_000)
      const { pid } = place.status('lines') as { readonly pid: number }
      child.kill(signal)
      const code = await ended
      const alive = () => Promise.resolve(isAlive(pid))
      await eventually(alive, (is) => !is)
      if (signal === 'SIGHUP') return
      expect(code).toBe(0)
      expect(place.status('lines').state).toBe('stopped')
    },
    30_000,
  )

  it.skipIf(node === undefined)('passes on how it ended', async () => {
    expect(await start('audit', 'ship').ended).toBe(2)
  })
})

/** A process that is gone, or only waits for its parent to notice, is not. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
