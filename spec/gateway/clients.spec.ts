/** MCP's own clients work through the gateway unmodified, on both shapes of the suite. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { everyKind, legacyKinds, openClient } from '../support/open-client.ts'
import { type GatewayUnderTest, eventually, skipReason, startGatewayUnderTest } from '../support/gateway-under-test.ts'

describe.skipIf(skipReason)('official clients', () => {
  let gateway: GatewayUnderTest
  const open = async (
    kind: (typeof everyKind)[number],
    route: 'jira' | 'everything',
    person: 'alice' | 'bob',
    more: Omit<NonNullable<Parameters<typeof openClient>[2]>, 'headers'> = {},
  ): ReturnType<typeof openClient> =>
    openClient(kind, `${gateway.resource}/${route}`, {
      headers: { authorization: `Bearer ${await gateway.tokenOf(person)}` },
      ...more,
    })

  beforeAll(async () => {
    gateway = await startGatewayUnderTest()
  })
  afterAll(() => gateway.close())

  describe.each(everyKind)('%s through the six plugins', (kind) => {
    it('connects, lists what the caller may use, and calls it', async () => {
      const bob = await open(kind, 'jira', 'bob')
      const tools = await bob.tools()
      expect(tools).toContain('get_issue')
      expect(tools).not.toContain('delete_issue')
      expect((await bob.call('get_issue', { key: 'OPS-1' })).text).toContain('OPS-1')
      await bob.close()
    })

    it('learns of a denial as a JSON-RPC error, and the server does not', async () => {
      const bob = await open(kind, 'jira', 'bob')
      await expect(bob.call('delete_issue', { key: 'OPS-1' })).rejects.toMatchObject({ code: -31403 })
      expect((await gateway.upstreamStats()).byTool.delete_issue ?? 0).toBe(0)
      // The client's connection has survived it.
      expect((await bob.call('get_issue', { key: 'OPS-1' })).isError).toBe(false)
      await bob.close()
    })

    it('gets progress one by one while the call is under way', async () => {
      const alice = await open(kind, 'jira', 'alice')
      const seen: { progress: number; atMs: number }[] = []
      const started = performance.now()
      await alice.call(
        'bulk_export',
        { project: 'OPS' },
        { onProgress: (progress) => seen.push({ progress, atMs: performance.now() - started }) },
      )
      const endedMs = performance.now() - started
      expect(seen.length).toBeGreaterThanOrEqual(4)
      // Buffered, they would all arrive at the end.
      expect(seen[0]?.atMs).toBeLessThan(endedMs / 2)
      await alice.close()
    })

    it('reads a resource it may read', async () => {
      const bob = await open(kind, 'jira', 'bob')
      expect(await bob.read('jira://issue/OPS-1')).toContain('OPS-1')
      await bob.close()
    })
  })

  describe.each(everyKind)('%s, while a call is under way,', (kind) => {
    it('answers an elicitation in the middle of a call', async () => {
      const asked: string[] = []
      const alice = await open(kind, 'jira', 'alice', {
        onAsked: (message) => {
          asked.push(message)
          return { action: 'accept', content: { confirm: false } }
        },
      })
      await alice.call('delete_issue', { key: 'OPS-1' })
      expect(asked).toHaveLength(1)
      await alice.close()
    })

    it('cancels a call, and the work itself stops', async () => {
      const alice = await open(kind, 'jira', 'alice')
      const abort = new AbortController()
      const stats = async (): Promise<{ exports: { cancelled: number } }> => (await gateway.upstreamStats()) as never
      const before = (await stats()).exports.cancelled
      const running = alice.call(
        'bulk_export',
        { project: 'OPS' },
        { signal: abort.signal, onProgress: () => abort.abort() },
      )
      await expect(running).rejects.toThrow()
      await eventually(stats, ({ exports }) => exports.cancelled > before)
      await alice.close()
    })

    it('gets news on the GET stream', async () => {
      const alice = await open(kind, 'jira', 'alice')
      const news: string[] = []
      await alice.watch('jira://issue/OPS-3', (item) => news.push(item))
      await alice.call('add_comment', { key: 'OPS-3', body: 'hello' })
      await eventually(
        () => Promise.resolve(news),
        (seen) => seen.length > 0,
      )
      await alice.close()
    })
  })

  describe.each(legacyKinds)('%s', (kind) => {
    it('works with server-everything behind the bundle', async () => {
      const bob = await open(kind, 'everything', 'bob')
      const tools = await bob.tools()
      expect(tools).toContain('echo')
      expect(tools).not.toContain('get-env')
      expect((await bob.call('echo', { message: 'hello' })).text).toContain('hello')
      await expect(bob.call('get-env')).rejects.toMatchObject({ code: -31403 })
      const progress: number[] = []
      await bob.call(
        'trigger-long-running-operation',
        { duration: 1, steps: 4 },
        { onProgress: (step) => progress.push(step) },
      )
      expect(progress.length).toBeGreaterThanOrEqual(3)
      expect((await gateway.upstreamStats('everything')).byTool['get-env'] ?? 0).toBe(0)
      await bob.close()
    })
  })
})
