/**
 * `npm start`: the embedded gateway on kong/kong.yml with everything around it, on loopback.
 *
 *   --port N      the gateway's port, default 8000; 0 picks a free one
 *   --run-dir D   state, default .run
 *   --kong        a real Kong from the PATH instead of the embedded gateway
 */
import { join, relative, resolve } from 'node:path'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { startEmbeddedHost } from './host.ts'
import { startKongHost } from './kong-host.ts'
import { page } from './page.ts'
import { people, root, startWorld } from './world.ts'

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '8000' },
    'run-dir': { type: 'string', default: join(root, '.run') },
    kong: { type: 'boolean', default: false },
  },
})
const port = Number(values.port)
if (!Number.isInteger(port) || port < 0 || port > 65_535) {
  console.error(`--port must be a number from 0 to 65535, not \`${values.port}\``)
  process.exit(2)
}
const runDir = resolve(values['run-dir'])
await mkdir(runDir, { recursive: true })
const readyFile = join(runDir, 'ready.json')
await rm(readyFile, { force: true })

try {
  const world = await startWorld({ port, runDir, startHost: values.kong ? startKongHost : startEmbeddedHost })
  const tokens = await Promise.all(
    people.map(async (person) => [person, { token: await world.token(person) }] as const),
  )
  const { gateway, issuer, routes, auditDir, upstreams, resource } = world
  await untilEverythingAnswers(routes, tokens[0]?.[1].token ?? '')
  const ready = {
    gateway,
    issuer,
    resource,
    routes,
    people: Object.fromEntries(tokens),
    agents: { 'build-agent': { token: await world.agentToken() } },
    upstreams,
    audit: { dir: auditDir },
    host: world.host.name,
    pid: process.pid,
  }
  await writeFile(readyFile, `${JSON.stringify(ready, null, 2)}\n`, { mode: 0o600 })
  console.log(page({ ...ready, runDir: relative(process.cwd(), runDir) || '.' }))

  let isStopping = false
  const stop = (): void => {
    if (isStopping) return
    isStopping = true
    void rm(readyFile, { force: true })
      .then(() => world.close())
      .finally(() => process.exit(0))
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
} catch (error) {
  console.error(`could not start: ${error instanceof Error ? error.message : String(error)}`)
  process.exit(1)
}

/** Ready means: a real session of the admin opens on every route, through every stage, on the server behind it. */
async function untilEverythingAnswers(routes: readonly { url: string }[], token: string): Promise<void> {
  const initialize = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'npm start', version: '1' },
  }
  for (const { url } of routes) {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: initialize }),
    })
    const answer = await response.text()
    if (response.status !== 200) throw new Error(`${url} answered ${response.status}: ${answer.slice(0, 200)}`)
    const session = response.headers.get('mcp-session-id')
    const ends = { authorization: `Bearer ${token}`, ...(session === null ? {} : { 'mcp-session-id': session }) }
    await (await fetch(url, { method: 'DELETE', headers: ends })).body?.cancel()
  }
}
