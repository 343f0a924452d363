/** What a command prints much of waits for whoever reads it, and ends with them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as passed } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { trailFolder, trailIn } from '../../support/trails.ts'
import { root } from './run-kmcp.ts'

/** Prints lines without end, and says at the end how many it made. */
const endless = `
  import { printLines } from ${JSON.stringify(join(root, 'cli', 'print-lines.ts'))}
  let made = 0
  const isRead = await printLines((function* () { for (;;) { made++; yield 'x'.repeat(1_000) } })())
  console.error(JSON.stringify({ made, isRead }))
`

describe('lines without end', () => {
  it('are made no faster than they are read, and no more when nobody reads them', async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', endless], { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    child.stderr.on('data', (data: Buffer) => (said += data.toString()))
    await once(child.stdout, 'readable')
    await passed(200)
    child.stdout.destroy()
    const [code] = (await once(child, 'close')) as [number]
    const { made, isRead } = JSON.parse(said) as { made: number; isRead: boolean }
    expect([code, isRead]).toEqual([0, false])
    expect(made).toBeLessThan(1_000)
  })
})

describe('what cannot be written', () => {
  it('is no answer that looks whole: a full disk ends the command with an error', async () => {
    const folder = await trailFolder()
    const trail = trailIn(folder)
    await trail.append({ type: 'refusal', call: 'c-1', route: 'jira' })
    await trail.close()
    for (const command of ['query', 'show']) {
      const args = [join(root, 'cli', 'main.ts'), 'audit', command, '--dir', folder]
      const child = spawn(process.execPath, args, { stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'] })
      let said = ''
      child.stderr?.on('data', (data: Buffer) => (said += data.toString()))
      const [code] = (await once(child, 'close')) as [number]
      expect([code, said]).toEqual([2, expect.stringContaining('ENOSPC')])
    }
  })
})
