/** Nodes that tell each other, through a real Redis, how long their trails are. */
import { cp, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { PeerWatch } from '../../adapters/audit-sink/peer-watch.ts'
import { systemClock } from '../../adapters/clock.ts'
import { SharedRedis } from '../../adapters/redis/shared-redis.ts'
import { TrailHeads } from '../../adapters/redis/trail-heads.ts'
import { verifyTrails } from '../../cli/verify-trails.ts'
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
  afterEach(() => {
    for (const watch of watches.splice(0)) watch.close()
  })

  const node = (directory: string, name: string): TrailUnderTest => {
    const trail = trailIn(directory, { node: name, checkpointMs: 1 })
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
