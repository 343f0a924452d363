/** Anchors outside the node: a real time stamp authority, a store that holds on to what it has, and thieves. */
import { execFile, execFileSync } from 'node:child_process'
import { createHash, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto'
import { appendFile, cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Certificate, ContentInfo, SignedData, TimeStampReq, TimeStampResp } from 'pkijs'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { signRequest } from '../../adapters/aws-sigv4.ts'
import { Anchorer } from '../../adapters/anchors/anchorer.ts'
import { runAnchors } from '../../adapters/anchors/run.ts'
import { readStatus } from '../../adapters/anchors/status.ts'
import { targetsOf } from '../../adapters/anchors/targets.ts'
import { timeStampRequest } from '../../adapters/anchors/time-stamp.ts'
import { systemClock } from '../../adapters/clock.ts'
import { imprintOf } from '../../lib/audit/anchor.ts'
import {
  anchorConfig,
  anchorFilesOf,
  anchorLines,
  anchorOnce,
  anchorSettings,
  startAnchorProcess,
  startCollector,
  verifyWith,
} from '../support/anchoring.ts'
import { eventually } from '../support/eventually.ts'
import { writeSignedLog } from '../support/signed-log.ts'
import { type LockingStore, startStore, storeKeys } from '../support/locking-store.ts'
import {
  answerWith,
  type Authority,
  forgeReply,
  granted,
  makeAuthority,
  opensslAbsent,
  reissue,
  rejected,
  replyOf,
  signedWithWeakPss,
  startAuthority,
} from '../support/time-stamp-authority.ts'
import { linesOf, segmentsOf, trailFolder, trailIn, writeLines, writtenTrail } from '../support/trails.ts'

const absent = opensslAbsent()
if (absent !== undefined) console.warn(`anchors are not tested against a real authority: ${absent}`)

const makeKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey

let folder: string
let shelf: string
let authority: Authority
beforeAll(async () => {
  shelf = await mkdtemp(join(tmpdir(), 'kmcp-authorities-'))
  if (absent === undefined) authority = await makeAuthority(join(shelf, 'usual'))
})
afterAll(() => rm(shelf, { recursive: true, force: true }))
beforeEach(async () => {
  folder = await trailFolder()
})

/** A trail with one good time stamp of all its records. */
async function stampedTrail(by: Authority = authority, genuine = authority.rootFile): Promise<Record<string, unknown>> {
  await writtenTrail(folder, 4)
  const tsa = await startAuthority(by)
  expect(await anchorOnce(anchorConfig(folder, { tsas: [tsa] }))).toMatchObject({ isAll: true })
  const [line = {}] = anchorLines(folder)
  expect((await verifyWith(folder, { rootFile: genuine })).faults).toEqual([])
  return line
}

/** Puts another line in the place of the only one. */
async function replaceAnchor(line: Record<string, unknown>): Promise<void> {
  const [file = ''] = anchorFilesOf(folder)
  await writeLines(folder, file, [JSON.stringify(line)])
}

const noteOf = (line: Record<string, unknown>): string => String(line.note)
const base64 = (bytes: Buffer): string => bytes.toString('base64')

/** The trail, its checkpoints and the anchors beside it, without everything after a record. */
async function cutOff(directory: string, keep: number): Promise<void> {
  const [file = ''] = (await segmentsOf(directory)).slice(-1)
  await writeLines(directory, file, (await linesOf(directory, file)).slice(0, keep))
  const [checkpoints = ''] = (await readdir(directory)).filter((name) => name.startsWith('checkpoints')).slice(-1)
  const kept = (await linesOf(directory, checkpoints)).filter((line) => line !== '' && Number((JSON.parse(line) as { note: string }).note.split('\n')[1]) <= keep) // prettier-ignore
  await writeLines(directory, checkpoints, kept)
  for (const name of anchorFilesOf(directory)) await rm(join(directory, name))
}

describe.skipIf(absent !== undefined)('a time stamp', () => {
  it('is of the checkpoint’s note as it stands, good for verify and for OpenSSL by hand', async () => {
    const line = await stampedTrail()
    expect(line).toMatchObject({ kind: 'timestamp', name: 'tsa-1', size: 11 })
    const checkpoints = anchorFilesOf(folder)[0]?.replace('anchors', 'checkpoints') ?? ''
    const stored = (await linesOf(folder, checkpoints)).map((one) => (JSON.parse(one) as { note: string }).note)
    expect(stored.at(-1)).toBe(line.note)
    const [note, response] = [join(folder, 'note'), join(folder, 'response.tsr')]
    await writeFile(note, noteOf(line))
    await writeFile(response, Buffer.from(String(line.response), 'base64'))
    const byHand = execFileSync('openssl', ['ts', '-verify', '-data', note, '-in', response, '-CAfile', authority.rootFile], { stdio: ['ignore', 'pipe', 'pipe'] }) // prettier-ignore
    expect(byHand.toString()).toContain('Verification: OK')
    const verified = await verifyWith(folder, { rootFile: authority.rootFile, maxUnstampedS: 600 })
    expect(verified).toMatchObject({ faults: [], warnings: [], timeStamps: 1 })
    expect(Math.abs(Date.parse(String(line.gen_time)) - Date.now())).toBeLessThan(60_000)
    expect(verified.limits.join()).toContain(
      `all 11 records existed when they were stamped by tsa-1 at ${String(line.gen_time)}`,
    )
  })

  it('is checked by hand as docs/anchors.md says', async (context) => {
    try {
      execFileSync('jq', ['--version'], { stdio: 'ignore' })
    } catch {
      context.skip('needs jq on the PATH')
    }
    await stampedTrail()
    const page = await readFile(join(import.meta.dirname, '../../docs/anchors.md'), 'utf8')
    const [, script = ''] = /<!-- spec: anchors-by-hand -->\n\n```sh\n([^]*?)```/.exec(page) ?? []
    const here = script
      .replace('anchors-00000001-1f0c9a3e.jsonl', anchorFilesOf(folder)[0] ?? '')
      .replace('tsa-roots.pem', authority.rootFile)
    expect(here).not.toBe(script)
    const said = execFileSync('bash', ['-euc', here], { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] }).toString()
    expect(said).toMatch(/Verification: OK[^]*Status: Granted[^]*Time stamp: /)
  })

  it('is good under an intermediate, an RSA key, and with the older ESSCertID', async () => {
    const by = await makeAuthority(join(shelf, 'rsa'), { isRsa: true, hasIntermediate: true, essDigest: 'sha1' })
    await stampedTrail(by, by.rootFile)
    expect(await verifyWith(folder, { rootFile: by.rootFile })).toMatchObject({
      faults: [],
      warnings: [],
      timeStamps: 1,
    })
  })

  it('is good with an ESSCertIDv2 of another digest', async () => {
    const by = await makeAuthority(join(shelf, 'sha384'), { essDigest: 'sha384' })
    await stampedTrail(by, by.rootFile)
    expect(await verifyWith(folder, { rootFile: by.rootFile })).toMatchObject({ warnings: [], timeStamps: 1 })
  })

  it('counts for nothing where no root is given, and verify says so', async () => {
    await stampedTrail()
    const { faults, warnings, timeStamps } = await verifyWith(folder)
    expect({ faults, timeStamps }).toEqual({ faults: [], timeStamps: 0 })
    expect(warnings.join()).toContain('none was checked')
  })

  it('T23 of another document is a fault, beside the trail and from outside', async () => {
    const line = await stampedTrail()
    const other = `${noteOf(line)}x`
    const nonce = String(line.nonce)
    const response = await forgeReply(authority, { imprint: imprintOf(other), nonce, genTime: new Date() })
    const forged = { ...line, response: base64(response) }
    await replaceAnchor(forged)
    const { faults } = await verifyWith(folder, { rootFile: authority.rootFile })
    expect(faults).toEqual([expect.stringContaining('the time stamp is of another document')])
    // Also where nobody can say whom to trust.
    expect((await verifyWith(folder)).faults).toHaveLength(1)
    await replaceAnchor(line)
    const outside = join(await trailFolder(), 'fetched.json')
    await writeFile(outside, JSON.stringify(forged, undefined, 2))
    expect((await verifyWith(folder, { given: [outside] })).faults.join()).toContain('of another document')
  })

  it('T23 is not taken from an authority that stamps another document', async () => {
    await writtenTrail(folder, 2)
    const tsa = await startAuthority(authority)
    tsa.behave = async (request, response) => {
      const nonce = nonceIn(request)
      const imprint = createHash('sha256').update('another').digest()
      await answerWith(await forgeReply(authority, { imprint, nonce, genTime: new Date() }))(request, response)
    }
    const { isAll, said } = await anchorOnce(anchorConfig(folder, { tsas: [tsa] }))
    expect(isAll).toBe(false)
    expect(said.join()).toContain('of another document')
    expect(anchorFilesOf(folder)).toEqual([])
  })

  it('T24 is not taken under a certificate that had expired, also by whoever has no trusted certificates', async () => {
    await writtenTrail(folder, 2)
    const expired = await makeAuthority(join(shelf, 'expired-unknown'), { until: '20210101000000Z' })
    const { isAll, said } = await anchorOnce(anchorConfig(folder, { tsas: [await startAuthority(expired)] }))
    expect(isAll).toBe(false)
    expect(said.join()).toContain('the authority’s certificate had expired at')
    expect(anchorFilesOf(folder)).toEqual([])
  })

  /** Times are past ones, so that certificates can have run out since. */
  const then = new Date('2020-07-01T12:00:00.000Z')
  it('T24 stays good when the authority’s certificate has expired since', async () => {
    const by = await makeAuthority(join(shelf, 'since'), { until: '20210101000000Z' })
    const offset = then.getTime() - 60_000 - Date.now()
    const trail = trailIn(folder, {}, { nowMs: () => Date.now() + offset, monoMs: () => systemClock.monoMs() })
    await trail.append({ type: 'heartbeat' })
    await trail.close()
    const tsa = await startAuthority(authority)
    await anchorOnce(anchorConfig(folder, { tsas: [tsa] }))
    const [line = {}] = anchorLines(folder)
    const imprint = imprintOf(noteOf(line))
    const response = await forgeReply(by, { imprint, nonce: String(line.nonce), genTime: then })
    await replaceAnchor({ ...line, response: base64(response) })
    expect(await verifyWith(folder, { rootFile: by.rootFile })).toMatchObject({
      faults: [],
      warnings: [],
      timeStamps: 1,
    })
  })

  const unusable: readonly [note: string, because: string, make: (line: Record<string, unknown>) => Promise<[Buffer, string?]>][] = [
    ['under a certificate that had expired', 'had expired at', async (line) => {
      const by = await makeAuthority(join(shelf, 'expired'), { until: '20210101000000Z' })
      return [await replyOf(by, await requestOf(line)), by.rootFile]
    }],
    ['under a certificate that was not valid yet', 'was not valid yet at', async (line) => {
      const by = await makeAuthority(join(shelf, 'early'), { from: '20300101000000Z' })
      return [await replyOf(by, await requestOf(line)), by.rootFile]
    }],
    ['under a certificate for servers', 'not for time stamps and nothing else', (line) => byPurpose(line, 'critical,serverAuth')],
    ['under a certificate for time stamps and servers', 'not for time stamps and nothing else', (line) => byPurpose(line, 'critical,timeStamping,serverAuth')],
    ['under a certificate that does not say so critically', 'does not say critically', (line) => byPurpose(line, 'timeStamping')],
    ['with another nonce', 'the nonce in the time stamp is not the one', async (line) =>
      [await forgeReply(authority, { imprint: imprintOf(noteOf(line)), nonce: '0badcafe', genTime: new Date() })]],
    ['that was rejected (status 2)', 'status 2 (no time today)', () => Promise.resolve([rejected('no time today')])],
    ['that is garbage', 'is no time stamp', () => Promise.resolve([Buffer.from('<html>who is this</html>')])],
    ['that is empty', 'is no time stamp', () => Promise.resolve([Buffer.alloc(0)])],
    ['with bytes after it', 'not DER from end to end', (line) => Promise.resolve([Buffer.concat([Buffer.from(String(line.response), 'base64'), Buffer.alloc(1)])])],
    ['under a certificate that was signed with SHA-1', 'is signed with a digest that is not safe', async (line) => {
      const by = await makeAuthority(join(shelf, 'signed-sha1'), { isRsa: true, signedBy: 'sha1' })
      return [await replyOf(by, await requestOf(line)), by.rootFile]
    }],
    ['by an RSA key of 1,024 bits', 'a key that is too short', async (line) => {
      const by = await makeAuthority(join(shelf, 'rsa-1024'), { isRsa: true, rsaBits: 1024 })
      return [await replyOf(by, await requestOf(line)), by.rootFile]
    }],
    ['below a curve of 224 bits', 'a key that is too short', async (line) => {
      const by = await makeAuthority(join(shelf, 'p-224'), { curve: 'P-224', hasIntermediate: true })
      return [await replyOf(by, await requestOf(line)), by.rootFile]
    }],
    ['by PSS with SHA-1', 'with a digest that is not safe', async (line) => {
      const by = await makeAuthority(join(shelf, 'pss'), { isRsa: true })
      return [await signedWithWeakPss(by, await replyOf(by, await requestOf(line))), by.rootFile]
    }],
    ['that two have signed', 'a time stamp has one signature', async (line) => {
      const second = await makeAuthority(join(shelf, 'second'))
      const said = { imprint: imprintOf(noteOf(line)), nonce: String(line.nonce), genTime: new Date(), second }
      return [await forgeReply(authority, said)]
    }],
    ['that does not name who signed it', 'does not say which certificate signed it', async (line) => {
      const said = { imprint: imprintOf(noteOf(line)), nonce: String(line.nonce), genTime: new Date(), namesSigner: false }
      return [await forgeReply(authority, said)]
    }],
    ['by an authority nobody trusts', 'does not lead to one in --tsa-ca', async (line) => {
      const by = await makeAuthority(join(shelf, 'stranger'))
      return [await replyOf(by, await requestOf(line)), authority.rootFile]
    }],
  ] // prettier-ignore
  it.each(unusable)('T24 %s is no fault and no time stamp, and says why', async (_note, because, make) => {
    const line = await stampedTrail()
    const [response, rootFile = authority.rootFile] = await make(line)
    await replaceAnchor({ ...line, response: base64(response) })
    const verified = await verifyWith(folder, { rootFile })
    expect(verified.faults).toEqual([])
    expect(verified.timeStamps).toBe(0)
    expect(verified.warnings[0]).toMatch(/unstamped: /)
    expect(verified.warnings[0]).toContain(because)
    expect(verified.warnings[1]).toContain('no good time stamp of it was found: unanchored since')
    // Whoever asks for time stamps is not content with none.
    const strict = await verifyWith(folder, { rootFile, maxUnstampedS: 0 })
    expect(strict.faults.join()).toContain('without a time stamp')
  })

  it('T24 whose bytes were changed is a fault: signature, digest, certificate', async () => {
    const line = await stampedTrail()
    const response = Buffer.from(String(line.response), 'base64')
    const changes: readonly [because: string, change: (bytes: Buffer) => Promise<Buffer> | Buffer][] = [
      ['signature is not of this', (bytes) => flipped(bytes, bytes.length - 3)],
      // The policy, in what was signed.
      ['message digest that was signed is not', (bytes) => flipped(bytes, bytes.indexOf(Buffer.from('2a03040106', 'hex').subarray(0, 4)) + 3)],
      ['names another certificate', (bytes) => otherCertificate(bytes)],
    ] // prettier-ignore
    for (const [because, change] of changes) {
      await replaceAnchor({ ...line, response: base64(await change(Buffer.from(response))) })
      const { faults } = await verifyWith(folder, { rootFile: authority.rootFile })
      expect(faults, because).toEqual([expect.stringContaining(because)])
    }
  })

  const failing: readonly [note: string, behave: Parameters<typeof startAuthority>[1], because: string][] = [
    ['answers 500', answerWith('no', 500), 'answered 500'],
    ['answers garbage', answerWith('garbage'), 'is no time stamp'],
    ['rejects (T24, status 2)', answerWith(rejected('no')), 'status 2'],
    ['stamps with another nonce (T24)', async (request, response) => {
      const { hashedMessage } = TimeStampReq.fromBER(request).messageImprint
      const said = { imprint: Buffer.from(hashedMessage.valueBlock.valueHexView), nonce: '0badcafe', genTime: new Date() }
      await answerWith(await forgeReply(authority, said))(request, response)
    }, 'the nonce in the time stamp is not the one'],
    ['never answers', () => undefined, 'no whole answer within 300 ms'],
    ['begins to answer', (_request, response) => void response.writeHead(200).write('0'), 'no whole answer within 300 ms'],
    ['answers without end', answerWith(Buffer.alloc(10 * 1024 * 1024)), 'more than 1048576 bytes'],
    ['hangs up', (_request, response) => void response.destroy(), 'socket hang up'],
  ] // prettier-ignore
  it.each(failing)('an authority that %s keeps nobody waiting, and is seen', async (_note, behave, because) => {
    await writtenTrail(folder, 2)
    const [broken, good] = [await startAuthority(authority, behave), await startAuthority(authority)]
    const store = await startStore()
    const settings = anchorConfig(folder, { tsas: [broken, good], store })
    const config = { ...settings, time_stamps: settings.time_stamps.map((one, n) => (n === 0 ? { ...one, timeout_ms: 300 } : one)) } // prettier-ignore
    const begun = performance.now()
    expect((await anchorOnce(config)).isAll).toBe(false)
    expect(performance.now() - begun).toBeLessThan(8_000)
    const status = readStatus(folder)
    expect(status?.targets).toMatchObject([
      { name: 'tsa-1', failures: 1, last: null, last_error: { message: expect.stringContaining(because) as string } },
      { name: 'tsa-2', failures: 0, last: { size: 7 }, unanchored_since: null },
      { name: 'vault', failures: 0, last: { size: 7 }, unanchored_since: null },
    ])
    expect(status?.targets[0]?.unanchored_since).toMatch(/^\d{4}-/)
    expect(anchorLines(folder).map(({ name }) => name)).toEqual(['tsa-2', 'vault'])
  })

  it('is not taken where it was made under another policy than the one that was asked for', async () => {
    await writtenTrail(folder, 1)
    const tsa = await startAuthority(authority, async (request, response) => {
      const { hashedMessage } = TimeStampReq.fromBER(request).messageImprint
      const imprint = Buffer.from(hashedMessage.valueBlock.valueHexView)
      await answerWith(await forgeReply(authority, { imprint, nonce: nonceIn(request), genTime: new Date() }))(request, response) // prettier-ignore
    })
    const settings = anchorConfig(folder, { tsas: [tsa] })
    const under = (policy: string) => ({ ...settings, time_stamps: settings.time_stamps.map((one) => ({ ...one, policy })) }) // prettier-ignore
    const { isAll, said } = await anchorOnce(under('1.2.3.4.9'))
    expect(isAll).toBe(false)
    expect(said.join()).toContain('made under policy 1.2.3.4.1, and not under 1.2.3.4.9')
    expect((await anchorOnce(under('1.2.3.4.1'))).isAll).toBe(true)
  })

  it('T30 is asked for with a password that is nowhere, also where the authority sends it back', async () => {
    await writtenTrail(folder, 1)
    const secret = process.env.KMCP_SPEC_COLLECTOR_TOKEN ?? ''
    const tsa = await startAuthority(authority, answerWith(rejected(`\u001b[31m who is ${secret}?`)))
    const settings = anchorConfig(folder, { tsas: [tsa] })
    const authorization = { env: 'KMCP_SPEC_COLLECTOR_TOKEN' }
    const config = { ...settings, time_stamps: settings.time_stamps.map((one) => ({ ...one, authorization })) }
    const { said } = await anchorOnce(config)
    expect(said.join()).toContain('the authority refused it: status 2 (\\u001b[31m who is ***?)')
    expect(JSON.stringify(readStatus(folder)) + said.join()).not.toContain(secret)
  })

  it('is taken later when the authority was away, and the gap shows until then', async () => {
    const tsa = await startAuthority(authority, answerWith('no', 503))
    const trail = trailIn(folder, { checkpointMs: 100 })
    await trail.append({ type: 'admission', call: 'one' })
    await sleep(700)
    const config = join(folder, 'anchors.yaml')
    await writeFile(config, JSON.stringify(anchorSettings(folder, { tsas: [tsa] })))
    const anchoring = startAnchorProcess(config)
    await eventually(() => Promise.resolve(readStatus(folder)?.targets[0]), (seen) => seen?.overdue === true && seen.failures > 1, 20_000) // prettier-ignore
    expect(anchoring.stderr()).toContain('unanchored since')
    // Nothing waits for it.
    await trail.append({ type: 'outcome', call: 'one' })
    tsa.behave = async (request, response) => answerWith(await replyOf(authority, request))(request, response)
    await eventually(() => Promise.resolve(readStatus(folder)?.targets[0]), (seen) => seen?.failures === 0 && seen.last !== null, 20_000) // prettier-ignore
    // The last checkpoint is taken without waiting for the next turn.
    await trail.close()
    await eventually(
      () => Promise.resolve(anchorLines(folder)),
      (lines) => lines.at(-1)?.size === 5,
      10_000,
    )
    expect(await anchoring.kill('SIGTERM')).toBe(0)
    expect(readStatus(folder)).toMatchObject({ is_running: false, alarms: [] })
    const verified = await verifyWith(folder, { rootFile: authority.rootFile, maxUnstampedS: 600 })
    expect(verified).toMatchObject({ faults: [], warnings: [] })
  }, 60_000)
})

describe.skipIf(absent !== undefined)('what a thief does to a trail', () => {
  it('T22 rewriting and having it stamped anew does not go with whoever says how soon records are stamped', async () => {
    const keys = { node: makeKey(), epochs: [makeKey()] }
    await writeSignedLog(folder, keys, [[{ type: 'denial', tool: 'read' }]])
    const tsa = await startAuthority(authority)
    expect((await anchorOnce(anchorConfig(folder, { tsas: [tsa] }))).isAll).toBe(true)
    // Nothing beside the trail tells the difference: it is all signed, and all stamped.
    expect(await verifyWith(folder, { rootFile: authority.rootFile })).toMatchObject({ faults: [], timeStamps: 1 })
    const { faults } = await verifyWith(folder, { rootFile: authority.rootFile, maxUnstampedS: 900 })
    expect(faults).toEqual([
      expect.stringMatching(
        /record 1 was stamped by tsa-1 at \S+ for the first time, \d{6,} s after it says it was written/,
      ),
    ])
  })

  it('T22 nor does a log before the newest, which that one’s stamps cover', async () => {
    const hour = 3_600_000
    const earlier = trailIn(folder, {}, { nowMs: () => Date.now() - hour, monoMs: () => systemClock.monoMs() })
    await earlier.append({ type: 'heartbeat' })
    await earlier.close()
    await writtenTrail(folder, 1)
    const tsa = await startAuthority(authority)
    await anchorOnce(anchorConfig(folder, { tsas: [tsa] }))
    const late = await verifyWith(folder, { rootFile: authority.rootFile, maxUnstampedS: 900 })
    expect(late.faults).toEqual([
      expect.stringMatching(
        /00000001-[0-9a-f]{8} \(node-1\): record 1 was stamped by tsa-1 at \S+ for the first time, 3[56]\d\d s after/,
      ),
    ])
    const content = await verifyWith(folder, { rootFile: authority.rootFile, maxUnstampedS: 2 * 3_600 })
    expect(content.faults).toEqual([])
  })

  it('T26 records of a clock that was ahead of the authority’s are named', async () => {
    const ahead = trailIn(folder, {}, { nowMs: () => Date.now() + 3_600_000, monoMs: () => systemClock.monoMs() })
    await ahead.append({ type: 'heartbeat' })
    await ahead.close()
    const tsa = await startAuthority(authority)
    await anchorOnce(anchorConfig(folder, { tsas: [tsa] }))
    const { warnings } = await verifyWith(folder, { rootFile: authority.rootFile })
    expect(warnings).toEqual([
      expect.stringMatching(/record \d was stamped .* says it was written after that: a clock/),
    ])
  })

  it('T18 cutting off the end, with checkpoints and anchors, does not go with the auditor’s copy', async () => {
    const store = await startStore()
    await writtenTrail(folder, 6)
    const tsa = await startAuthority(authority)
    expect((await anchorOnce(anchorConfig(folder, { tsas: [tsa], store }))).isAll).toBe(true)
    const fetched = await store.fetchAll(await trailFolder())
    const whole = await verifyWith(folder, { given: [fetched], rootFile: authority.rootFile })
    expect(whole).toMatchObject({ faults: [], warnings: [], copies: 2 })
    expect(whole.limits[0]).toMatch(
      /the 0 records after record 15, stamped by tsa-1 at .* could be cut off or rewritten/,
    )
    await cutOff(folder, 10)
    expect((await verifyWith(folder)).faults).toEqual([])
    const { faults } = await verifyWith(folder, { given: [fetched], rootFile: authority.rootFile })
    expect(faults).toEqual([
      expect.stringMatching(/was anchored with 15 records .* and there are 10: the end is missing/),
    ])
  })

  it('T18 shows at the command line, with exit codes', async () => {
    const store = await startStore()
    await writtenTrail(folder, 3)
    const tsa = await startAuthority(authority)
    const config = join(folder, 'anchors.yaml')
    const settings = anchorSettings(folder, { tsas: [{ url: tsa.url, trust_file: authority.rootFile }], store })
    await writeFile(config, JSON.stringify(settings))
    expect(await kmcp('audit', 'anchor', '--config', config, '--once')).toMatchObject({ code: 0 })
    const status = await kmcp('audit', 'anchor', '--config', config, '--status')
    expect(status.code).toBe(0)
    expect(status.stdout).toMatch(/tsa-1 +timestamp +- +00000001-[0-9a-f]{8} record 9/)
    // One that is named since, and that nobody gives anything to.
    const more = join(folder, 'more.yaml')
    const { url } = await startCollector()
    await writeFile(more, JSON.stringify({ ...settings, collectors: [{ name: 'siem-2', url }] }))
    const behind = await kmcp('audit', 'anchor', '--config', more, '--status')
    expect(behind).toMatchObject({ code: 1, stdout: expect.stringContaining('nothing is given to siem-2') as string })
    const fetched = await store.fetchAll(await trailFolder())
    const outside = ['--dir', folder, '--tsa-ca', authority.rootFile, '--anchors', fetched]
    const good = await kmcp('audit', 'verify', ...outside)
    expect(good).toMatchObject({ code: 0, stdout: expect.stringContaining('1 good time stamps, and 2 anchors from outside') as string }) // prettier-ignore
    await cutOff(folder, 6)
    expect(await kmcp('audit', 'verify', '--dir', folder)).toMatchObject({ code: 0 })
    const bad = await kmcp('audit', 'verify', ...outside)
    expect(bad).toMatchObject({ code: 1, stdout: expect.stringContaining('the end is missing') as string })
    expect(await kmcp('audit', 'verify', '--dir', folder, '--tsa-ca', config)).toMatchObject({ code: 2 })
    expect(await kmcp('audit', 'verify', '--dir', folder, '--anchors', `${fetched}-none`)).toMatchObject({ code: 2 })
    // What a tool has packed, or a SIEM has put into lines of its own: nothing was compared with it.
    await writeFile(join(folder, 'export.json'), '{"_raw":"{}"}\n')
    const packed = await kmcp('audit', 'verify', '--dir', folder, '--anchors', join(folder, 'export.json'))
    expect(packed).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('export.json has no anchor in it') as string,
    })
  }, 60_000)

  it('T18 limits name what is after the last anchor, and since when', async () => {
    const trail = trailIn(folder, { checkpointMs: 50 })
    await trail.append({ type: 'admission', call: 'one' })
    await sleep(400)
    const tsa = await startAuthority(authority)
    const store = await startStore()
    await anchorOnce(anchorConfig(folder, { tsas: [tsa], store }))
    await trail.append({ type: 'outcome', call: 'one' })
    await trail.close()
    const fetched = await store.fetchAll(await trailFolder())
    const { limits } = await verifyWith(folder, { given: [fetched], rootFile: authority.rootFile })
    expect(limits[0]).toMatch(/the 2 records after record 3, stamped by tsa-1 at \S+Z, could be cut off/)
    expect(limits.at(-1)).toMatch(
      /the 2 records after record 3, stamped by tsa-1 at \S+Z, have no time stamp: unanchored since \S+Z/,
    )
    // The file beside the trail goes where the trail goes.
    expect((await verifyWith(folder, { rootFile: authority.rootFile })).limits[0]).toContain('up to all 5 records')
  })
})

describe('anchors in a store and at a collector', () => {
  it('are not taken for given by a store without versions, nor by whoever answers with a web page', async () => {
    const [store, collector] = [await startStore(), await startCollector()]
    store.ignoresLocks = true
    collector.status = 200
    collector.type = 'text/html'
    await writtenTrail(folder, 2)
    const config = anchorConfig(folder, { store, collector: `${collector.url}?key=hunter2` })
    const { isAll, said } = await anchorOnce(config)
    expect(isAll).toBe(false)
    expect(said.join()).toContain('vault: not anchored: the store kept it without a version, so without a lock')
    expect(said.join()).toContain('siem-2: not anchored: a web page came back, with status 200')
    expect(anchorFilesOf(folder)).toEqual([])
    store.ignoresLocks = false
    collector.type = 'application/json'
    expect((await anchorOnce(config)).isAll).toBe(true)
    // Auditors get these lines.
    expect(JSON.stringify(anchorLines(folder))).not.toContain('hunter2')
  })

  it('T20 a node rolled back to a snapshot is missed by whoever has the copies', async () => {
    const [store, collector] = [await startStore(), await startCollector()]
    const config = anchorConfig(folder, { store, collector: collector.url })
    await writtenTrail(folder, 2)
    await anchorOnce(config)
    const snapshot = join(await trailFolder(), 'snapshot')
    await cp(folder, snapshot, { recursive: true })
    await writtenTrail(folder, 2)
    expect((await anchorOnce(config)).isAll).toBe(true)
    await rm(folder, { recursive: true })
    await cp(snapshot, folder, { recursive: true })
    expect((await verifyWith(folder)).faults).toEqual([])
    const fetched = await store.fetchAll(await trailFolder())
    expect((await verifyWith(folder, { given: [fetched] })).faults).toEqual([
      expect.stringMatching(/and that log is missing: the node was rolled back/),
    ])
    const lines = join(await trailFolder(), 'siem.jsonl')
    await writeFile(lines, collector.lines.join(''))
    expect((await verifyWith(folder, { given: [lines] })).faults.join()).toContain('rolled back')
    // A later log does not mend it, and pruning explains only what is before.
    await writtenTrail(folder, 1)
    expect((await verifyWith(folder, { given: [lines], isPruned: true })).faults.join()).toContain('rolled back')
  })

  it('T20 the anchoring process itself says when the trail went back under it', async () => {
    const store = await startStore()
    const config = anchorConfig(folder, { store })
    await writtenTrail(folder, 2)
    await writtenTrail(folder, 2)
    expect((await anchorOnce(config)).isAll).toBe(true)
    for (const file of (await readdir(folder)).filter((name) => /^(trail|checkpoints)-00000002/.test(name)))
      await rm(join(folder, file))
    const { isAll, said } = await anchorOnce(config)
    expect(isAll).toBe(false)
    expect(said.join()).toContain('the trail was rolled back')
    expect(readStatus(folder)?.alarms.join()).toContain('rolled back')
  })

  it('T20 a log begun anew under another node key is not taken for the old one', async () => {
    const store = await startStore()
    await writtenTrail(folder, 2)
    await anchorOnce(anchorConfig(folder, { store }))
    const fetched = await store.fetchAll(await trailFolder())
    await rm(folder, { recursive: true })
    await writtenTrail(folder, 2)
    expect((await verifyWith(folder)).faults).toEqual([])
    expect((await verifyWith(folder, { given: [fetched] })).faults.join()).toContain('no trusted key of it has signed')
  })

  it('T18 an anchor of a node whose directory was not given is no proof of anything, and is named', async () => {
    const [store, other] = [await startStore(), await trailFolder()]
    await writtenTrail(other, 1, { node: 'node-2' })
    await anchorOnce(anchorConfig(other, { store }))
    await writtenTrail(folder, 1)
    const { faults, warnings } = await verifyWith(folder, { given: [await store.fetchAll(await trailFolder())] })
    expect(faults).toEqual([])
    expect(warnings.join()).toContain('anchors of node-2 were not compared')
  })

  it('are given up by the store to nobody before their time', async () => {
    let nowMs = Date.now()
    const store = await startStore(() => nowMs)
    await writtenTrail(folder, 2)
    await anchorOnce(anchorConfig(folder, { store }))
    const [{ key, version } = { key: '', version: '' }] = store.versions
    expect(key).toMatch(/^acme\/node-1\/00000001-[0-9a-f]{8}\/000000000007-[0-9a-f]{64}\.jsonl$/)
    const body = createHash('sha256')
      .update(store.versions[0]?.body ?? '')
      .digest('hex')
    expect(key).toContain(body)
    expect(anchorLines(folder)).toMatchObject([{ kind: 'object', bucket: 'audit-anchors', key, version_id: version }])
    expect(await ask(store, 'DELETE', `${key}?versionId=${version}`)).toBe(403)
    expect(await ask(store, 'DELETE', key)).toBe(204)
    const overwritten = { 'if-none-match': '*', 'x-amz-object-lock-mode': 'COMPLIANCE', 'x-amz-object-lock-retain-until-date': new Date(nowMs + 1e9).toISOString() } // prettier-ignore
    expect(await ask(store, 'PUT', key, 'another', overwritten)).toBe(412)
    const sooner = `<Retention><RetainUntilDate>${new Date(nowMs + 1_000).toISOString()}</RetainUntilDate></Retention>`
    expect(await ask(store, 'PUT', `${key}?retention&versionId=${version}`, sooner)).toBe(403)
    expect(store.versions).toHaveLength(1)
    nowMs += 31 * 86_400_000
    expect(await ask(store, 'DELETE', `${key}?versionId=${version}`)).toBe(204)
    expect(store.versions).toHaveLength(0)
  })

  it('are not taken for given where the key is wrong, the store away, or the collector refuses', async () => {
    const [store, collector] = [await startStore(), await startCollector()]
    await writtenTrail(folder, 2)
    const config = anchorConfig(folder, { store, collector: collector.url })
    process.env.KMCP_SPEC_WRONG = 'wrong'
    const wrong = { ...config, stores: config.stores.map((one) => ({ ...one, secret_access_key: { env: 'KMCP_SPEC_WRONG' } })) } // prettier-ignore
    collector.status = 429
    const { isAll, said } = await anchorOnce(wrong)
    expect(isAll).toBe(false)
    expect(said.join()).toContain('the store answered 403 SignatureDoesNotMatch')
    expect(said.join()).toContain('the collector answered 429')
    store.refuse = 503
    expect((await anchorOnce(config)).said.join()).toContain('the store answered 503')
    expect(anchorFilesOf(folder)).toEqual([])
    store.refuse = undefined
    collector.status = 204
    expect((await anchorOnce(config)).isAll).toBe(true)
    expect(
      anchorLines(folder)
        .map(({ kind }) => kind)
        .sort(),
    ).toEqual(['collector', 'object'])
    // All is there, and nothing is given twice.
    await anchorOnce(config)
    expect([store.versions.length, collector.lines.length, anchorLines(folder).length]).toEqual([1, 1, 2])
  })

  it('go on after kill -9 at any moment: whatever was signed is there in the end, and nothing that harms', async () => {
    const [store, collector] = [await startStore(), await startCollector()]
    const config = join(folder, 'anchors.yaml')
    await writeFile(config, JSON.stringify(anchorSettings(folder, { store, collector: collector.url })))
    const trail = trailIn(folder, { checkpointMs: 20 })
    let given = 0
    for (let kill = 0; kill < 4; kill++) {
      const before = store.versions.length
      const anchoring = startAnchorProcess(config)
      const killed = new Promise<void>((resolve) => {
        store.onStored = () => {
          given++
          // Half of them the moment the store has it: the process never learns of it. The others anywhere.
          if (given % 2 === 1) void anchoring.kill('SIGKILL').then(() => resolve())
          else setTimeout(() => void anchoring.kill('SIGKILL').then(() => resolve()), Math.random() * 150)
          store.onStored = undefined
        }
      })
      for (let n = 0; n < 200 && store.versions.length <= before; n++) {
        await trail.append({ type: 'admission', call: `${kill}-${n}` })
        await sleep(50)
      }
      await killed
    }
    expect(given).toBe(4)
    const recorded = anchorLines(folder).filter(({ kind }) => kind === 'object')
    expect(recorded.length).toBeLessThan(store.versions.length)
    // As a crash of the machine could leave it.
    const [file = ''] = anchorFilesOf(folder)
    await appendFile(join(folder, file), '{"kind":"object","na')
    await trail.close()
    expect((await anchorOnce(anchorConfig(folder, { store, collector: collector.url }))).isAll).toBe(true)
    const fetched = await store.fetchAll(await trailFolder())
    const { faults, warnings, records } = await verifyWith(folder, { given: [fetched] })
    expect({ faults, warnings }).toEqual({ faults: [], warnings: [] })
    const sizes = anchorLines(folder)
      .filter(({ kind }) => kind === 'object')
      .map(({ size }) => size)
    expect(sizes.at(-1)).toBe(records)
    expect(store.versions.length).toBeGreaterThanOrEqual(4)
  }, 60_000)

  it('are made every so often, at once when a log begins a segment or has ended, and not before', async () => {
    const collector = await startCollector()
    const settings = anchorConfig(folder, { collector: collector.url })
    const config = { ...settings, collectors: settings.collectors.map((one) => ({ ...one, every_s: 3_600 })) }
    let hours = 0
    const clock = { nowMs: () => Date.now(), monoMs: () => systemClock.monoMs() + hours * 3_600_000 }
    const anchorer = new Anchorer(config, targetsOf(config), clock, () => undefined)
    const trail = trailIn(folder, { checkpointMs: 10, maxSegmentBytes: 10_000 })
    const write = async (filler = ''): Promise<number> => {
      await trail.append({ type: 'denial', filler })
      await sleep(500)
      await anchorer.round()
      return collector.lines.length
    }
    expect(await write()).toBe(1)
    expect(await write()).toBe(1)
    expect(await write('x'.repeat(9_500))).toBe(2)
    expect(await write()).toBe(2)
    hours = 1
    expect(await write()).toBe(3)
    expect(await write()).toBe(3)
    await trail.close()
    await anchorer.round()
    expect(collector.lines.map((line) => (JSON.parse(line) as { size: number }).size)).toEqual([3, 5, 7, 9])
    expect(await anchorer.round()).toBe(true)
    expect(collector.lines).toHaveLength(4)
  })

  it('are made by one process for a directory', async () => {
    const store = await startStore()
    await writtenTrail(folder, 1)
    const config = join(folder, 'anchors.yaml')
    await writeFile(config, JSON.stringify(anchorSettings(folder, { store })))
    const anchoring = startAnchorProcess(config)
    await eventually(
      () => Promise.resolve(store.versions.length),
      (many) => many === 1,
      20_000,
    )
    await expect(anchorOnce(anchorConfig(folder, { store }))).rejects.toThrow(/another process anchors/)
    expect(await anchoring.kill('SIGTERM')).toBe(0)
    // One whose place another has taken goes.
    const stopping = new AbortController()
    const one = runAnchors(anchorConfig(folder, { store }), false, stopping.signal, () => undefined)
    await eventually(
      () => Promise.resolve(readStatus(folder)?.is_running),
      (is) => is === true,
    )
    for (const file of await readdir(folder)) if (file.endsWith('.sock')) await rm(join(folder, file))
    await expect(one).rejects.toThrow(/another process has taken over/)
  })
})

/** The tool in a process of its own; the servers it speaks to are in this one. */
function kmcp(...args: string[]): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const main = join(import.meta.dirname, '..', '..', 'cli', 'main.ts')
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    )
  })
}

/** A request for the line's checkpoint with its nonce, as the product makes it. */
const requestOf = (line: Record<string, unknown>): Promise<Buffer> =>
  Promise.resolve(timeStampRequest(imprintOf(noteOf(line)), Buffer.from(String(line.nonce), 'hex'), undefined))

/** The nonce in a request, in hex. */
const nonceIn = (request: Buffer): string =>
  Buffer.from(TimeStampReq.fromBER(request).nonce?.valueBlock.valueHexView ?? []).toString('hex')

/** A time stamp under a certificate of another purpose; nothing else is wrong with it. */
async function byPurpose(line: Record<string, unknown>, purpose: string): Promise<[Buffer, string]> {
  const by = await makeAuthority(join(shelf, purpose.replaceAll(',', '-')), { purpose })
  const said = { imprint: imprintOf(noteOf(line)), nonce: String(line.nonce), genTime: new Date() }
  return [await forgeReply(by, said), by.rootFile]
}

function flipped(bytes: Buffer, at: number): Buffer {
  bytes[at] = (bytes[at] ?? 0) ^ 1
  return bytes
}

/** The same answer with another certificate of the same name, number and key in the place of the authority's. */
async function otherCertificate(response: Buffer): Promise<Buffer> {
  await reissue(authority)
  const answer = TimeStampResp.fromBER(response)
  const token = answer.timeStampToken
  if (!token) throw new Error('there is no token')
  const signed = new SignedData({ schema: token.content as unknown })
  const pem = await readFile(join(authority.folder, 'reissued.pem'), 'utf8')
  signed.certificates = [Certificate.fromBER(new X509Certificate(pem).raw)]
  return granted(
    Buffer.from(new ContentInfo({ contentType: token.contentType, content: signed.toSchema() }).toSchema().toBER()),
  )
}

/** A request to the store with the node's own credentials. */
async function ask(
  store: LockingStore,
  method: string,
  path: string,
  body = '',
  headers: Record<string, string> = {},
): Promise<number> {
  const url = new URL(`${store.endpoint}/audit-anchors/${path}`)
  const signed = signRequest(
    {
      method,
      url,
      headers: { ...headers, 'content-md5': createHash('md5').update(body).digest('base64') },
      bodySha256: createHash('sha256').update(body).digest('hex'),
    },
    { accessKeyId: storeKeys.id, secretAccessKey: storeKeys.secret },
    { region: 'eu-central-1', service: 's3' },
    Date.now(),
  )
  const { host: _host, ...sent } = signed
  return (await fetch(url, { method, headers: sent, ...(method === 'PUT' ? { body } : {}) })).status
}
