import { describe, expect, it, vi } from 'vitest'
import { openClient } from '../../support/open-client.ts'
import { runProcess } from './run-process.ts'

const programs = [
  { main: 'upstreams/jira/main.ts', name: 'jira example', tool: 'list_projects' },
  { main: 'upstreams/everything/main.ts', name: 'everything example', tool: 'get-tiny-image' },
]

describe.each(programs)('$name as a process', ({ main, name, tool }) => {
  it('says where it listens and nothing else, serves, and stops cleanly on SIGTERM', async () => {
    const running = await runProcess(main, ['--port', '0'])
    const client = await openClient('sdk 1.x', running.url)
    expect((await client.call(tool)).isError).toBe(false)
    await client.close()
    expect(await running.stop()).toEqual({ code: 0, signal: null })
    expect(running.printed).toEqual({ out: `${name} listening at ${running.url}\n`, err: '' })
    await expect(fetch(running.url)).rejects.toThrow()
  })

  it('stops although a client’s event stream is open', async () => {
    const running = await runProcess(main, ['--port', '0'])
    const client = await openClient('client 2.x, legacy', running.url)
    await vi.waitFor(async () => {
      const stats = (await (await fetch(new URL('/stats', running.url))).json()) as { byVerb: Record<string, number> }
      expect(stats.byVerb['GET']).toBe(1)
    })
    expect(await running.stop('SIGINT')).toEqual({ code: 0, signal: null })
    await client.close()
  })

  it.each([
    { args: ['--host', '0.0.0.0'], says: 'host must be an address in 127.0.0.0/8, not `0.0.0.0`' },
    { args: ['--port', '70000'], says: 'port must be a number from 0 to 65535, not `70000`' },
    { args: ['--nonsense'], says: '--nonsense' },
  ])('does not start with $args, and says why in one line', async ({ args, says }) => {
    await expect(runProcess(main, args)).rejects.toThrow(says)
    await expect(runProcess(main, args)).rejects.toThrow(new RegExp(`^ended with 1: ${name}: .*\\n$`))
  })
})

it('reads the address from the environment, which a flag overrides', async () => {
  const env = { KMCP_JIRA_PORT: '70000' }
  await expect(runProcess('upstreams/jira/main.ts', [], env)).rejects.toThrow('`70000`')
  const running = await runProcess('upstreams/jira/main.ts', ['--port', '0'], env)
  expect((await running.stop()).code).toBe(0)
})

it('does not start the jira example with half of the rules for the gateway’s token', async () => {
  const half = ['--port', '0', '--gateway-issuer', 'https://gateway.example']
  await expect(runProcess('upstreams/jira/main.ts', half)).rejects.toThrow('go together')
})

it('takes the reference server along when it is killed without warning', async () => {
  const running = await runProcess('upstreams/everything/main.ts', ['--port', '0'])
  expect((await fetch(new URL('/stats', running.url))).status).toBe(200)
  expect((await running.stop('SIGKILL')).signal).toBe('SIGKILL')
  await vi.waitFor(() => expect(fetch(new URL('/stats', running.url))).rejects.toThrow(), { timeout: 5000 })
})
