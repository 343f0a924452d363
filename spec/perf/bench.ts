/**
 * `npm run bench`: what the suite adds to a call, in one run on this machine: both shapes, 1 and 32 connections, on the
 * embedded gateway and on Kong where there is one; the memory of the plugin server; what verifying a token costs it, and
 * what writing and verifying the audit trail does.
 *
 *   --seconds N   how long each measurement lasts, default 2
 *   --rounds N    bare host, six plugins and bundle in turn, so often; medians are shown; default 3
 *   --records N   how many records of the trail are written and verified, default 1,000,000
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { stringify } from 'yaml'
import { type Host, type HostOptions, startEmbeddedHost } from '../../embedded/host.ts'
import { hasKong, startKongHost } from '../../embedded/kong-host.ts'
import { freePort } from '../../embedded/world.ts'
import { benchAudit } from './audit.ts'
import { benchDecisions } from './decisions.ts'
import { benchVerification } from './verification.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    records: { type: 'string', default: '1000000' },
  },
})
const durationMs = Number(values.seconds) * 1000
const rounds = Number(values.rounds)
/** `disk` is the bundle where a call waits until its admission is on the disk. */
const shapes = ['bare', 'six', 'bundle', 'disk'] as const
type Shape = (typeof shapes)[number]
/** Rules of the policies that whole calls are measured under. */
const ruleCounts = [10, 100, 1_000, 10_000] as const

interface Measured {
  readonly count: number
  readonly errors: number
  readonly p50: number
  readonly p99: number
  readonly perSecond: number
}

const folder = await mkdtemp(join(tmpdir(), 'kmcp-bench-'))
const upstream = spawn(process.execPath, [join(import.meta.dirname, 'upstream.ts')], {
  stdio: ['ignore', 'pipe', 'inherit'],
})
const [printed] = (await once(upstream.stdout, 'data')) as [Buffer]
const idp = await startIssuer()
try {
  console.log(
    `\n${cpus().length} cores (${cpus()[0]?.model ?? '?'}), load generator, upstream and gateway share them; ${rounds} rounds of ${values.seconds} s\n`,
  )
  await benchVerification()
  benchDecisions()
  await benchAudit(Number(values.records))
  await bench('embedded gateway', startEmbeddedHost, Number(printed.toString()))
  if (hasKong()) await bench('kong', startKongHost, Number(printed.toString()))
  else console.log('kong: skipped, there is no kong on the PATH')
} finally {
  upstream.kill()
  idp.close()
  await rm(folder, { recursive: true, force: true })
}
process.exit(0)

async function bench(
  name: string,
  startHost: (options: HostOptions) => Promise<Host>,
  upstreamPort: number,
): Promise<void> {
  const configFile = join(folder, 'kong.yml')
  const hostsFile = join(folder, 'hosts')
  await writeFile(configFile, configuration(upstreamPort))
  await writeFile(hostsFile, '127.0.0.1 localhost\n')
  const port = await freePort()
  const host = await startHost({ configFile, port, runDir: folder, hostsFile, env: {} })
  try {
    console.log(
      `${name}\n  ${'connections'.padEnd(12)}${'shape'.padEnd(9)}${'req/s'.padStart(8)}${'p50 ms'.padStart(9)}${'p99 ms'.padStart(9)}${'+p50'.padStart(9)}${'+p99'.padStart(9)}   not 200`,
    )
    for (const connections of [1, 32]) {
      const runs: Record<Shape, Measured[]> = { bare: [], six: [], bundle: [], disk: [] }
      for (let round = 0; round < rounds; round++) {
        for (const shape of shapes) runs[shape].push(await load(`http://127.0.0.1:${port}/${shape}`, connections))
      }
      for (const shape of shapes) show(connections, shape, runs)
    }
    await benchRules(`http://127.0.0.1:${port}`)
    console.log(`  plugin server: ${await memoryOf(host.pluginServerPid())}\n`)
  } finally {
    await host.close()
  }
}

/** Does a whole call take longer the more rules there are? In turn, so that the machine's drift meets all alike. */
async function benchRules(base: string): Promise<void> {
  const runs = ruleCounts.map((): Measured[] => [])
  for (let round = 0; round < rounds; round++) {
    for (const [index, count] of ruleCounts.entries()) runs[index]?.push(await load(`${base}/rules-${count}`, 1))
  }
  const cells = ruleCounts.map((count, index) => {
    const of = (key: 'p50' | 'p99'): string => median((runs[index] ?? []).map((run) => run[key])).toFixed(2)
    return `${count}: ${of('p50')} / ${of('p99')}`
  })
  console.log(`  bundle by rules of the policy, one connection, p50 / p99 ms: ${cells.join(', ')}`)
}

function median(numbers: number[]): number {
  return numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN
}

function show(connections: number, shape: Shape, runs: Record<Shape, Measured[]>): void {
  const of = (key: keyof Measured): number => median(runs[shape].map((run) => run[key]))
  // Round by round: the machine's speed drifts, and a difference within one round does not.
  const added = (key: 'p50' | 'p99'): string =>
    shape === 'bare'
      ? ''
      : median(runs[shape].map((run, round) => run[key] - (runs.bare[round]?.[key] ?? 0))).toFixed(2)
  const errors = runs[shape].reduce((sum, run) => sum + run.errors, 0)
  console.log(
    `  ${String(connections).padEnd(12)}${shape.padEnd(9)}${of('perSecond').toFixed(0).padStart(8)}${of('p50').toFixed(2).padStart(9)}${of('p99').toFixed(2).padStart(9)}${added('p50').padStart(9)}${added('p99').padStart(9)}   ${errors}`,
  )
}

async function load(url: string, connections: number): Promise<Measured> {
  const body =
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_issue","arguments":{"key":"OPS-1"}}}'
  const argument = JSON.stringify({ url, token: idp.token, connections, durationMs, body })
  const { stdout } = await promisify(execFile)(process.execPath, [join(import.meta.dirname, 'load.ts'), argument])
  return JSON.parse(stdout) as Measured
}

async function memoryOf(pid: number | undefined): Promise<string> {
  const status = await readFile(`/proc/${pid ?? 'self'}/status`, 'utf8').catch(() => '')
  const kib = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? Number.NaN)
  return `${(kib('VmRSS') / 1024).toFixed(0)} MiB resident, ${(kib('VmHWM') / 1024).toFixed(0)} MiB at most`
}

/** An issuer of one token. */
async function startIssuer(): Promise<{ issuer: string; token: string; close(): void }> {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256', use: 'sig' }] })
  const server = createServer((_request, response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(jwks),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const token = await new SignJWT({ client_id: 'bench', groups: ['developers'] })
    .setProtectedHeader({ alg: 'ES256', kid: 'k', typ: 'at+jwt' })
    .setIssuer(issuer)
    .setAudience('http://bench/mcp')
    .setSubject('bench')
    .setIssuedAt()
    .setExpirationTime('2h')
    .sign(privateKey)
  return { issuer, token, close: () => server.close() }
}

function configuration(upstreamPort: number): string {
  const oauth = {
    resource: 'http://bench/mcp',
    issuers: [
      {
        issuer: idp.issuer,
        jwks_uri: `${idp.issuer}/jwks`,
        algorithms: ['ES256'],
        private_hosts: ['127.0.0.1'],
      },
    ],
  }
  const rbac = {
    permissions: { 'bench:read': { tools: ['get_*', 'list_*'] }, 'bench:write': { tools: ['create_issue'] } },
    roles: { developer: ['bench:*'] },
    bindings: [{ claim: 'groups', value: 'developers', role: 'developer' }],
  }
  const audit = { directory: join(folder, 'audit'), route_name: 'bench' }
  const onDisk = { directory: join(folder, 'audit-on-disk'), route_name: 'bench', durability: 'disk' }
  const opens = { upstream: 'bench-mcp', token_issuer: 'http://bench' }
  const service = (name: string, host: string, plugins: object[]): object => ({
    name,
    host,
    port: 80,
    protocol: 'http',
    path: '/mcp',
    retries: 0,
    routes: [{ name, paths: [`~/${name}$`], response_buffering: false, plugins }],
  })
  return stringify(
    {
      _format_version: '3.0',
      upstreams: [{ name: 'mcp-closed' }, { name: 'bench-mcp', targets: [{ target: `127.0.0.1:${upstreamPort}` }] }],
      services: [
        service('bare', 'bench-mcp', []),
        service('six', 'mcp-closed', [
          { name: 'mcp-oauth', config: oauth },
          { name: 'mcp-jsonrpc' },
          { name: 'mcp-rbac', config: rbac },
          { name: 'mcp-audit', config: audit },
          { name: 'mcp-tools-filter' },
          { name: 'mcp-upstream', config: opens },
        ]),
        service('bundle', 'mcp-closed', [{ name: 'mcp-gateway', config: { oauth, rbac, audit, upstream: opens } }]),
        service('disk', 'mcp-closed', [
          { name: 'mcp-gateway', config: { oauth, rbac, audit: onDisk, upstream: opens } },
        ]),
        ...ruleCounts.map((count) =>
          service(`rules-${count}`, 'mcp-closed', [
            {
              name: 'mcp-gateway',
              config: { oauth, rbac: { policy_file: policyFile(rbac, count) }, audit, upstream: opens },
            },
          ]),
        ),
      ],
    },
    { aliasDuplicateObjects: false },
  )
}

/**
 * The same policy with so many permissions, which the caller holds all of, in a file of its own: that is where large ones
 * belong. In the plugin's configuration Kong itself handles all of it with every request (10,000 rules: some 5 ms).
 */
function policyFile(policy: { readonly permissions: object }, count: number): string {
  const more = Array.from({ length: count - 2 }, (_, n) => [`bench:rule-${n}`, { tools: [`tool_${n}`, `set_${n}_*`] }])
  const path = join(folder, `rules-${count}.json`)
  const permissions = { ...policy.permissions, ...(Object.fromEntries(more) as object) }
  writeFileSync(path, JSON.stringify({ ...policy, permissions }))
  return path
}
