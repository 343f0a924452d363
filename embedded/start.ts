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
  const tokens = await Promise.all(people.map(async (person) => [person, { token: await world.token(person) }] as const))
  const { gateway, issuer, routes, auditDir, upstreams, resource } = world
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
