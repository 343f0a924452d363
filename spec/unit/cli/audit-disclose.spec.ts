/** What a record commits to, shown: it opens to what was, to nothing else, and under no other log's key. */
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { auditDisclose } from '../../../cli/audit-disclose.ts'
import { verifyTrails } from '../../../cli/verify-trails.ts'
import { commit, type CommitmentName, saltOf } from '../../../lib/audit/commitment.ts'
import { canonicalJson } from '../../../lib/canonical-json.ts'
import type { Json } from '../../../lib/mcp/message.ts'
import { lineOf, linesIn, logsIn, putFiles, readFiles, recordOf, remade, withLog } from '../../support/trail-forger.ts'
import { trailFolder, trailIn } from '../../support/trails.ts'

const args = { key: 'ABC-1', note: 'é', count: 2 }
const body = '{"jsonrpc":"2.0"}'
const answer = `{"result":${'x'.repeat(100)}}`
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

let folder: string
let said: string[]
beforeEach(async () => {
  folder = await trailFolder()
  said = []
  vi.spyOn(console, 'log').mockImplementation((line: unknown) => void said.push(String(line)))
})
afterEach(() => vi.restoreAllMocks())

/** A call and its outcome. @param saltOfCall default: the product's */
async function written(
  commitmentOf = 'whole',
  committedText = answer,
  saltOfCall: (saltKey: Buffer, name: CommitmentName) => Buffer = (saltKey, name) => saltOf(saltKey, 'call-1', name),
): Promise<void> {
  const trail = trailIn(folder)
  const to = (saltKey: Buffer, name: CommitmentName, value: Json) => ({
    [name]: commit(saltOfCall(saltKey, name), value),
  })
  await trail.append((saltKey) => ({
    type: 'admission',
    call: 'call-1',
    ...to(saltKey, 'arguments_commitment', args),
    ...to(saltKey, 'body_commitment', sha256(body)),
  }))
  await trail.append((saltKey) => ({
    type: 'outcome',
    call: 'call-1',
    ...to(saltKey, 'response_commitment', sha256(committedText)),
    commitment_of: commitmentOf,
  }))
  await trail.close()
}

async function disclose(option: string, content: string, id = 'call-1'): Promise<number> {
  const file = join(folder, 'shown')
  await writeFile(file, content)
  said = []
  return auditDisclose.run([id, '--dir', folder, `--${option}`, file])
}
const saltFile = async (): Promise<string> =>
  join(folder, (await readdir(folder)).find((name) => name.startsWith('salt-')) ?? '')

describe('what a call’s records commit to', () => {
  it('are its arguments, however they are spelled', async () => {
    await written()
    expect(await disclose('arguments', '{ "count": 2.0, "note": "\\u00e9", "key": "ABC-1" }\n')).toBe(0)
    expect(said[0]).toMatch(/^yes: the file holds the arguments of the call, says record 00000001-[0-9a-f]{8}:3$/)
    expect(await disclose('arguments', JSON.stringify({ ...args, key: 'ABC-2' }))).toBe(1)
    expect(said[0]).toContain('NO: the file does not hold the arguments')
  })

  it('can be checked by anybody with the salt that is printed, and by that of no other of them', async () => {
    await written()
    await disclose('arguments', JSON.stringify(args))
    const [, commitment, salt = ''] = /^arguments_commitment (\S+) = .* salt ([0-9a-f]{64})$/.exec(said[1] ?? '') ?? []
    const text = Buffer.concat([Buffer.from(salt, 'hex'), Buffer.from(canonicalJson(args))])
    expect(createHash('sha256').update(text).digest('hex')).toBe(commitment)
    await disclose('response', answer)
    expect(said[1]).toMatch(/^response_commitment /)
    expect(said[1]).not.toContain(salt)
  })

  it('are its body and its answer, to the byte', async () => {
    await written()
    expect(await disclose('body', body)).toBe(0)
    expect(await disclose('body', `${body}\n`)).toBe(1)
    expect(await disclose('response', answer)).toBe(0)
    expect(said[0]).toMatch(/holds the answer, says record 00000001-[0-9a-f]{8}:4$/)
    expect(await disclose('response', answer.slice(1))).toBe(1)
    expect(await disclose('sent-body', body)).toBe(1)
    expect(said[0]).toContain('no record of the call commits to the body that was sent on')
  })

  it('is the beginning of an answer where no more was kept, and it says so', async () => {
    await written('first 20 bytes', answer.slice(0, 20))
    expect(await disclose('response', answer)).toBe(0)
    expect(said[0]).toContain('the first 20 bytes of the answer (of what came after nothing is on record)')
    expect(await disclose('response', answer.slice(0, 19))).toBe(1)
    await rm(folder, { recursive: true })
    await written('message')
    expect(await disclose('response', answer)).toBe(0)
    expect(said[0]).toContain('the message that answered')
  })

  it.each([
    ['a member twice', '{"key":"innocent","key":"ABC-1","note":"é","count":2}', 'duplicate_key at byte'],
    ['no JSON', '{', 'syntax at byte'],
    ['a number beyond all', '{"key":1e999}', 'number_out_of_range at byte'],
    ['too deep a nesting', '['.repeat(100_000), 'too_deep at byte'],
  ])('are not read where there is %s', async (_note, text, because) => {
    await written()
    await expect(disclose('arguments', text)).rejects.toThrow(because)
  })

  it('are shown one at a time', async () => {
    await written()
    await expect(auditDisclose.run(['call-1', '--dir', folder])).rejects.toThrow('give one file: --arguments')
    await expect(auditDisclose.run(['x', '--arguments', 'a', '--body', 'b'])).rejects.toThrow('give one file')
  })

  it('say nothing to a terminal that is not there', async () => {
    const trail = trailIn(folder)
    await trail.append({ type: 'admission', call: 'call-1', arguments_commitment: '\u001b[2J' })
    await trail.close()
    expect(await disclose('arguments', '{}')).toBe(1)
    expect(said.join('\n')).not.toContain('\u001b')
  })
})

describe('the key that salts a log', () => {
  it.each<[string, () => string, string]>([
    ['another', () => `${randomBytes(32).toString('hex')}\n`, 'it is not the key this log was begun with'],
    ['none', () => '', 'it is no salt key'],
    ['half of one', () => 'ab\n', 'it is no salt key'],
    ['a large file', () => '0'.repeat(1_000_000), 'it is no salt key'],
  ])(
    'is not the file beside it where that is %s: nothing is said of the arguments',
    async (_note, content, because) => {
      await written()
      expect(verifyTrails([folder]).warnings).toEqual([])
      await writeFile(await saltFile(), content())
      expect(await disclose('arguments', JSON.stringify(args))).toBe(1)
      expect(said).toEqual([expect.stringContaining(`${because}: nothing this log commits to can be shown`)])
      expect(verifyTrails([folder])).toMatchObject({ faults: [], warnings: [expect.stringContaining(because)] })
    },
  )

  it('may be gone: that is on purpose', async () => {
    await written()
    await rm(await saltFile())
    expect(await disclose('arguments', JSON.stringify(args))).toBe(1)
    expect(said[0]).toContain('it is not there any more')
    expect(verifyTrails([folder])).toMatchObject({ faults: [], warnings: [] })
  })

  it('is any where an older log does not name it, with one salt for all of a call', async () => {
    await written('whole', answer, (saltKey) => createHmac('sha256', saltKey).update('call-1').digest())
    const files = readFiles(folder)
    const [log] = logsIn(files)
    if (!log) throw new Error('there is no log')
    const [start = '', ...rest] = linesIn(log)
    const { salt_sha256: digest, ...older } = recordOf(start)
    const key = Buffer.from((await readFile(await saltFile(), 'utf8')).trim(), 'hex')
    expect(digest).toBe(createHash('sha256').update(key).digest('hex'))
    putFiles(folder, files, withLog(files, remade(log, [lineOf(older), ...rest], true)))
    expect(verifyTrails([folder])).toMatchObject({ faults: [], warnings: [] })
    expect(await disclose('arguments', JSON.stringify(args))).toBe(0)
    expect(await disclose('response', answer)).toBe(0)
  })
})
