/** Nodes that tell each other, through a real Redis, how long their trails are. */
import { generateKeyPairSync } from 'node:crypto'
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { PeerWatch } from '../../adapters/audit-sink/peer-watch.ts'
import type { TrailSettings } from '../../adapters/audit-sink/trail.ts'
import { type Clock, systemClock } from '../../adapters/clock.ts'
import { SharedRedis } from '../../adapters/redis/shared-redis.ts'
import { type TrailHead, TrailHeads } from '../../adapters/redis/trail-heads.ts'
import { beginning, recordsOf } from '../../cli/audit-files.ts'
import { verifyTrails } from '../../cli/verify-trails.ts'
import { readVerifierKey } from '../../lib/audit/signed-note.ts'
import { isOwnRecord, readAllRecords } from '../support/audit-trail.ts'
import { eventually } from '../support/eventually.ts'
import { schemaFaults } from '../support/record-schema.ts'
import { RedisServer, redisMissing, skipWithoutRedis, stopIfStarted } from '../support/redis-server.ts'
import { kmcp } from '../unit/cli/run-kmcp.ts'
import { linesOf, segmentsOf, type TrailUnderTest, trailFolder, trailIn, writeLines } from '../support/trails.ts'

/** An answer of Redis, which may take longer on a busy machine than a call would wait for it. */
async function asked<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await ask()
    } catch (error) {
      if (tries === 50) throw error
      await sleep(100)
    }
  }
}

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

  const told = (): Promise<Map<string, TrailHead>> => asked(() => new TrailHeads(client).all())

  let [one, two] = ['', '']
  beforeEach(async (context) => {
    skipWithoutRedis(context)
    ;[one, two] = [await trailFolder(), await trailFolder()]
    await asked(() => client.command('DEL', client.key('audit', 'heads')))
    said.length = 0
  })
  afterEach(async () => {
    for (const watch of watches.splice(0)) watch.close()
    const records = (await Promise.all([one, two].map(readAllRecords))).flat()
    expect(records.filter(isOwnRecord).flatMap(schemaFaults)).toEqual([])
  })

  const node = (
    directory: string,
    name: string,
    more: Partial<TrailSettings> = {},
    clock = systemClock,
  ): TrailUnderTest => {
    const trail = trailIn(directory, { ...more, node: name, checkpointMs: 1 }, clock)
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
    expect([...(await told()).keys()]).toEqual(['node-c'])
  })

  describe('and whose clocks differ', () => {
    const by = (offsetS: () => number): Clock => ({
      nowMs: () => Date.now() + offsetS() * 1_000,
      monoMs: () => systemClock.monoMs(),
    })

    /** All have told the others of a checkpoint that is new, and one has written down whose logs these are. */
    async function seenIn(
      witness: string,
      names: readonly string[],
      before: ReadonlyMap<string, TrailHead>,
    ): Promise<void> {
      const originIn = (note: unknown): string => String(note).split('\n', 1)[0] ?? ''
      const heads = await eventually(
        told,
        (seen) => names.every((name) => (seen.get(name)?.note ?? '') !== (before.get(name)?.note ?? '')),
        20_000,
      )
      await eventually(
        async () =>
          new Set(
            (await readAllRecords(witness))
              .filter(({ type }) => type === 'peer_head')
              .map(({ note }) => originIn(note)),
          ),
        (seen) => names.every((name) => seen.has(originIn(heads.get(name)?.note))),
        20_000,
      )
    }

    it('T26 merge: each node’s order is kept, the difference is reported, and there is no gap', async () => {
      const offsetS = [-600, -300, 0, 300, 600]
      const names = ['node-a', 'node-b', 'node-c', 'node-d', 'node-e']
      const directories = await Promise.all(names.map(() => trailFolder()))
      // The clock of the one in the middle is set back besides, while it writes.
      let setBackS = 0
      const trails = names.map((name, at) =>
        node(
          directories[at] ?? '',
          name,
          {},
          by(() => (offsetS[at] ?? 0) - (name === 'node-c' ? setBackS : 0)),
        ),
      )
      for (let round = 0; round < 6; round++) {
        setBackS = round > 3 ? 60 : 0
        for (const [at, trail] of trails.entries()) {
          await trail.append({
            type: 'admission',
            call: `${names[at] ?? ''}-${round}`,
            tool: 'search',
            decision: { effect: 'allow', high_risk: true },
          })
          await trail.append({ type: 'outcome', call: `${names[at] ?? ''}-${round}`, http_status: 200 })
        }
        if (round === 3) await seenIn(directories[0] ?? '', names.slice(1), new Map())
      }
      await seenIn(directories[0] ?? '', names.slice(1), await told())
      for (const watch of watches.splice(0)) watch.close()
      for (const trail of trails) await trail.close()
      const dirs = directories.flatMap((directory) => ['--dir', directory])

      const verified = await kmcp(['audit', 'verify', ...dirs, '--json'])
      expect(verified.code, verified.out).toBe(0)
      const { faults, warnings, notes } = JSON.parse(verified.out) as Record<string, string[]>
      expect(faults).toEqual([])
      // Each is named, with how much it is ahead of the slowest: less the moment it took to be seen, and never more.
      const differences = warnings?.filter((warning) => warning.startsWith('the clock of ')) ?? []
      const said = differences.map((text) =>
        /^the clock of (\S+) was ahead of that of (\S+) by ([\d.]+) s or more: record \d+ of /.exec(text)?.slice(1),
      )
      expect(said.map((parts) => parts?.slice(0, 2))).toEqual(
        ['node-e', 'node-d', 'node-c', 'node-b'].map((name) => [name, 'node-a']),
      )
      for (const [at, [, , ahead]] of (said as string[][]).entries()) {
        expect(Number(ahead)).toBeLessThanOrEqual(1_200 - at * 300)
        expect(Number(ahead)).toBeGreaterThan(1_200 - at * 300 - 60)
      }
      const others = warnings?.filter((warning) => !differences.includes(warning))
      expect(others).toEqual([expect.stringMatching(/the clock was set by -60\.\d s before record \d+$/)])
      expect(notes).toEqual([])

      const merged = (await kmcp(['audit', 'query', ...dirs, '--json'])).out.trimEnd().split('\n')
      const all = merged.map((line) => JSON.parse(line) as Record<string, unknown>)
      for (const [at, name] of names.entries()) {
        const own = all.filter((record) => record.node === name).map(({ seq }) => seq)
        const written = [...recordsOf(beginning(directories[at] ?? ''))].map(({ record }) => record.seq)
        expect(own).toEqual(written)
      }
      // By time, where a record counts as no earlier than those its node wrote before it.
      const latest = new Map<unknown, number>()
      const times = all.map(({ node: name, time }) => {
        latest.set(name, Math.max(latest.get(name) ?? 0, Date.parse(String(time))))
        return latest.get(name) ?? 0
      })
      expect(times).toEqual(times.toSorted((a, b) => a - b))

      const [heading = '', , ...rows] = (await kmcp(['audit', 'show', ...dirs])).out.trimEnd().split('\n')
      expect(heading).toMatch(/^time +node +person/)
      expect(rows.map((row) => row.split(/ +/)[2])).toEqual(
        all.filter(({ type }) => type === 'admission').map((record) => record.node),
      )

      const out = join(await trailFolder(), 'evidence')
      const period = ['--from', new Date(Date.now() - 3_600_000).toISOString(), '--to', new Date(Date.now() + 3_600_000).toISOString()] // prettier-ignore
      const evidence = await kmcp(['audit', 'evidence', ...period, '--out', out, ...dirs])
      expect(evidence).toMatchObject({ code: 0, out: expect.stringContaining('no exceptions') as string })
      const listed = await readFile(join(out, 'high-risk-calls.csv'), 'utf8')
      expect(listed.match(/node-.-\d/g)).toEqual(names.flatMap((name) => [0, 1, 2, 3, 4, 5].map((n) => `${name}-${n}`)))
    })

    it('T26 miss no log that was removed on purpose, and each that was not', async () => {
      const [witness, slow, fast] = [node(one, 'node-a'), await trailFolder(), await trailFolder()]
      await witness.append({ type: 'heartbeat' })
      for (let start = 0; start < 2; start++) {
        const before = await told()
        const both = [node(slow, 'node-slow', {}, by(() => -600)), node(fast, 'node-fast', {}, by(() => 600))] // prettier-ignore
        for (const trail of both) await trail.append({ type: 'heartbeat' })
        await seenIn(one, ['node-slow', 'node-fast'], before)
        for (const trail of both) await trail.close()
      }
      await witness.close()
      const remove = async (directory: string, ordinal: string): Promise<void> => {
        for (const file of await readdir(directory)) if (file.includes(`-${ordinal}-`)) await rm(join(directory, file))
      }
      await remove(slow, '00000001')
      expect(verifyTrails([one, slow], { isPruned: true }).faults).toEqual([])
      await remove(fast, '00000002')
      expect(verifyTrails([one, fast], { isPruned: true }).faults).toEqual([
        expect.stringMatching(/has seen \S+node-fast\S+ with \d+ records, and that log is missing/),
      ])
    })
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
