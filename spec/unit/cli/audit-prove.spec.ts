/** One record, shown to somebody who has not got the trail. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { auditCheckProof, auditKeys, auditProve } from '../../../cli/audit-prove.ts'
import type { Command } from '../../../cli/command.ts'
import { linesOf, trailFolder, trailIn, writeLines } from '../../support/trails.ts'

let folder: string
let said: string[]
beforeEach(async () => {
  folder = await trailFolder()
  said = []
  vi.spyOn(console, 'log').mockImplementation((line: unknown) => void said.push(String(line)))
})
afterEach(() => vi.restoreAllMocks())

const run = async (command: Command, ...args: readonly string[]): Promise<number> => {
  said = []
  return command.run(args)
}

/** A log in which keys of an identity provider have become known after the key that signs it. */
async function logWithKeysOfProvider(): Promise<void> {
  const trail = trailIn(folder)
  await trail.append({ type: 'issuer_keys', issuer: 'https://idp.example', keys: [{ id: 'k1', digest: 'd1' }] })
  await trail.append({ type: 'admission', call: 'call-1' })
  await trail.append({ type: 'outcome', call: 'call-1', http_status: 200 })
  await trail.close()
}

describe('a proof', () => {
  const proof = (): string => join(folder, 'proof')
  const key = (): string => join(folder, 'node.vkey')

  it('is good also where the log tells of keys that verify tokens', async () => {
    await logWithKeysOfProvider()
    expect(await run(auditProve, 'call-1', '--dir', folder, '--out', proof())).toBe(0)
    expect(await run(auditCheckProof, proof(), '--key', key())).toBe(0)
    expect(said.join('\n')).toContain('"type":"admission"')
    await run(auditKeys, '--dir', folder)
    expect(said.map((line) => line.split(/\s+/)[1])).toEqual(['node', 'epoch'])
  })

  it('is not handed out where it would prove nothing', async () => {
    await logWithKeysOfProvider()
    const file = (await readdir(folder)).find((name) => name.startsWith('checkpoints-')) ?? ''
    const lines = await linesOf(folder, file)
    await writeLines(
      folder,
      file,
      lines.map((line) => line.replace('— kong-mcp-suite', '— \\u001b[2Jkong-mcp-suite')),
    )
    await expect(run(auditProve, 'call-1', '--dir', folder, '--out', proof())).rejects.toThrow(
      'cannot be proven, `kmcp audit verify` says what is wrong',
    )
  })
})
