/** Nodes that tell each other, through a real Redis, how long their trails are. */
import { generateKeyPairSync } from 'node:crypto'
import { cp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { PeerWatch } from '../../adapters/audit-sink/peer-watch.ts'
import type { TrailSettings } from '../../adapters/audit-sink/trail.ts'
import { systemClock } from '../../adapters/clock.ts'
import { SharedRedis } from '../../adapters/redis/shared-redis.ts'
import { TrailHeads } from '../../adapters/redis/trail-heads.ts'
import { verifyTrails } from '../../cli/verify-trails.ts'
import { readVerifierKey } from '../../lib/audit/signed-note.ts'
import { isOwnRecord, readAllRecords } from '../support/audit-trail.ts'
import { schemaFaults } from '../support/record-schema.ts'
import { RedisServer, redisMissing, skipWithoutRedis, stopIfStarted } from '../support/redis-server.ts'
import { linesOf, segmentsOf, type TrailUnderTest, trailFolder, trailIn, writeLines } from '../support/trails.ts'

describe('trails of nodes that share a Redis', () => {
  let redis: RedisServer | undefined
  let client: SharedRedis
  const said: string[] = []
  const watches: PeerWatch[] = []
  beforeAll(async () => {
    if (redisMissing !== undefined) return
    redis = await RedisServer.start()
    client = new SharedRedis({ url: redis.url, cluster: false, key_prefix: 'kmcp' }, systemClock, () => undefined)
  })
  afterAll(async () => {
    if (redis) client.close()
    await stopIfStarted(redis)
  })

  let [one, two] = ['', '']
  beforeEach(async (context) => {
    skipWithoutRedis(context)
    ;[one, two] = [await trailFolder(), await trailFolder()]
    await client.command('DEL', client.key('audit', 'heads'))
    said.length = 0
  })
  afterEach(async () => {
    for (const watch of watches.splice(0)) watch.close()
    const records = (await Promise.all([one, two].map(readAllRecords))).flat()
    expect(records.filter(isOwnRecord).flatMap(schemaFaults)).toEqual([])
  })

  const node = (directory: string, name: string, more: Partial<TrailSettings> = {}): TrailUnderTest => {
    const trail = trailIn(directory, { ...more, node: name, checkpointMs: 1 })
    watches.push(new PeerWatch(trail, new TrailHeads(client), name, (_level, message) => said.push(message), 200))
    return trail
  }

  /** Two nodes with a few records each, who have seen each other. */
  async function seenByEachOther(): Promise<void> {
    const [a, b] = [node(one, 'node-a'), node(two, 'node-b')]
    for (let n = 0; n < 10; n++) {
      await a.append({ type: 'admission', call: `a-${n}` })
      await a.append({ type: 'outcome', call: `a-${n}` })
      await b.append({ type: 'heartbeat' })
    }
    await sleep(1_000)
    for (const watch of watches.splice(0)) watch.close()
    await a.close()
    await b.close()
  }

  it('are whole', async () => {
    await seenByEachOther()
    const { faults, warnings, limits } = verifyTrails([one, two])
    expect([faults, warnings]).toEqual([[], []])
    expect(limits[0]).toMatch(/the \d+ records after record \d+, the last another node has seen/)
  })

  it('T18 show that the end of one is missing, with every checkpoint over it', async () => {
    await seenByEachOther()
    const [file = ''] = await segmentsOf(one)
    await writeLines(one, file, (await linesOf(one, file)).slice(0, 8))
    const [checkpoints = ''] = (await readdir(one)).filter((name) => name.startsWith('checkpoints'))
    await writeFile(join(one, checkpoints), '')
    // By itself it passes: that is what the others are for.
    expect(verifyTrails([one]).faults).toEqual([])
    expect(verifyTrails([one, two]).faults.join()).toMatch(/node-b has seen it with \d+ records, and there are 8/)
  })

  it('T20 say so when a node’s directory is put back to an earlier state', async () => {
    const a = node(one, 'node-a')
    await a.append({ type: 'heartbeat' })
    await a.close()
    const snapshot = await trailFolder()
    await cp(one, snapshot, { recursive: true })
    await seenByEachOther()
    await rm(one, { recursive: true })
    await cp(snapshot, one, { recursive: true })
    const again = node(one, 'node-a')
    await again.append({ type: 'heartbeat' })
    await sleep(500)
    await again.close()
    expect(said.join()).toContain('was put back to an earlier state')
    // The node itself has noticed, and so has the other.
    expect(verifyTrails([one]).faults.join()).toContain('the trail was put back to an earlier state')
    expect(verifyTrails([one, two]).faults.join()).toContain('and that log is missing: the node was rolled back')
  })

  it('T20 say so when a node’s directory is emptied, and its key is not in it', async () => {
    const nodeKey = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    const a = node(one, 'node-a', { nodeKey })
    await a.append({ type: 'heartbeat' })
    await sleep(500)
    await a.close()
    await rm(one, { recursive: true })
    const again = node(one, 'node-a', { nodeKey })
    await again.append({ type: 'heartbeat' })
    await sleep(500)
    await again.close()
    expect(verifyTrails([one]).faults.join()).toContain('the trail was put back to an earlier state')
  })

  it('T20 keep what was told of a directory that is gone with its key', async () => {
    const a = node(one, 'node-a')
    await a.append({ type: 'heartbeat' })
    await sleep(500)
    await a.close()
    const key = await readFile(join(one, 'node.vkey'), 'utf8')
    await rm(one, { recursive: true })
    // Nothing is told while Redis cannot be asked what was told before.
    const all = vi.spyOn(TrailHeads.prototype, 'all').mockRejectedValueOnce(new Error('away'))
    const again = node(one, 'node-a')
    await again.append({ type: 'heartbeat' })
    await sleep(500)
    await again.append({ type: 'heartbeat' })
    await sleep(500)
    await again.close()
    all.mockRestore()
    expect(said.join()).toContain('was its directory replaced?')
    const kept = readVerifierKey(key.trim())
    const now = readVerifierKey((await readFile(join(one, 'node.vkey'), 'utf8')).trim())
    expect(verifyTrails([one], { nodeKeys: [kept, now] }).faults.join()).toContain('that log is missing')
  })

  it('do not listen to names that are none', async () => {
    const head = JSON.stringify({ note: 'n', certificate: 'c' })
    await client.command('HSET', client.key('audit', 'heads'), 'n'.repeat(257), head, 'node-c', head)
    expect([...(await new TrailHeads(client).all()).keys()]).toEqual(['node-c'])
  })

  it('are not put back when the others were told of an earlier start last', async () => {
    const told = node(one, 'node-a')
    await told.append({ type: 'heartbeat' })
    await sleep(500)
    await told.close()
    // Redis is away all the while, or the process is killed before its first checkpoint.
    const untold = trailIn(one, { node: 'node-a' })
    await untold.append({ type: 'heartbeat' })
    await untold.close()
    const again = node(one, 'node-a')
    await again.append({ type: 'heartbeat' })
    await sleep(500)
    await again.close()
    expect(said).toEqual([])
    expect(verifyTrails([one]).faults).toEqual([])
  })

  it('are not told apart by what somebody else writes into Redis', async () => {
    await seenByEachOther()
    await client.command(
      'HSET',
      client.key('audit', 'heads'),
      'node-a',
      JSON.stringify({ note: 'kong-mcp-suite/node-a/x\n9999\nAAAA\n\n— x AAAAAAAA\n', certificate: 'none' }),
    )
    const b = node(two, 'node-b')
    await b.append({ type: 'heartbeat' })
    await sleep(500)
    await b.close()
    const { faults, warnings } = verifyTrails([one, two])
    expect(faults).toEqual([])
    expect(warnings.join()).toContain('that no trusted key has signed')
  })

  it('go on when Redis is away, and say so once', async () => {
    const a = node(one, 'node-a')
    await a.append({ type: 'heartbeat' })
    await redis?.kill()
    for (let n = 0; n < 5; n++) {
      await a.append({ type: 'heartbeat' })
      await sleep(220)
    }
    await a.close()
    expect(said.filter((message) => message.includes('not told to other nodes'))).toHaveLength(1)
    expect(verifyTrails([one]).faults).toEqual([])
  })
})
