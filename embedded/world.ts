/**
 * Everything around the gateway, and the gateway: identity provider, two MCP servers, host. What `npm start`, the demo,
 * the bench and the suite all start.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { generateKeyPairSync, randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type Host, type HostOptions } from './host.ts'
import { type Idp, startIdp } from './idp/start-idp.ts'
import { clientCredentials, logIn } from './idp/log-in.ts'
import { startEverything } from './upstreams/everything/start-everything.ts'
import { startJira } from './upstreams/jira/start-jira.ts'

export const people = ['alice', 'bob', 'carol'] as const
export type Person = (typeof people)[number]

/** The ports kong.yml names for the two servers. */
const jiraPort = 9101
const everythingPort = 9102

/**
 * @property port       the gateway's; 0 picks a free one, and addresses of its own for everything else
 * @property runDir     state: keys, audit trail, socket
 * @property startHost  what stands in Kong's place: the embedded gateway, or a real Kong
 * @property configFile default kong/kong.yml
 */
export interface WorldOptions {
  readonly port: number
  readonly runDir: string
  readonly startHost: (options: HostOptions) => Promise<Host>
  readonly configFile?: string
  readonly env?: Readonly<Record<string, string>>
  readonly log?: (line: string) => void
}

export interface World {
  readonly gateway: string
  readonly issuer: string
  readonly routes: readonly { readonly name: string; readonly url: string }[]
  /** The audience both routes accept, for one token that serves them all. */
  readonly resource: string
  readonly auditDir: string
  readonly upstreams: { readonly jira: string; readonly everything: string }
  readonly host: Host
  /** A real login: authorization code, PKCE, the login page. */
  readonly token: (person: Person, resource?: string) => Promise<string>
  readonly agentToken: () => Promise<string>
  readonly close: () => Promise<void>
}

export const root = join(import.meta.dirname, '..')

/** Starts everything, in order, and stops what it started when something does not come up. */
export async function startWorld(options: WorldOptions): Promise<World> {
  const { runDir, port } = options
  const auditDir = join(runDir, 'audit')
  await mkdir(auditDir, { recursive: true })
  const started: { close(): Promise<unknown> }[] = []
  const close = async (): Promise<void> => {
    for (const part of started.splice(0).reverse()) await part.close()
  }
  try {
    const upstreamHost = await freeAddress(port, [jiraPort, everythingPort])
    const gatewayPort = port === 0 ? await freePort() : port
    const gateway = `http://127.0.0.1:${gatewayPort}`
    const resource = `${gateway}/mcp`
    const routes = ['jira', 'everything'].map((name) => ({ name, url: `${resource}/${name}` }))

    const idp: Idp = await startIdp({
      host: '127.0.0.1',
      port: port === 0 || !(await isFree('127.0.0.1', 9100)) ? 0 : 9100,
      resources: [resource, ...routes.map(({ url }) => url)],
      stateDir: join(runDir, 'idp'),
    })
    started.push(idp)
    const keysUrl = `${gateway}/.well-known/mcp-gateway/jwks.json`
    const jira = await startJira({
      host: upstreamHost,
      port: jiraPort,
      requireGatewayToken: { jwksUrl: keysUrl, issuer: gateway, audience: 'jira-mcp' },
    })
    started.push(jira)
    const everything = await startEverything({ host: upstreamHost, port: everythingPort })
    started.push(everything)

    const hostsFile = join(runDir, 'hosts')
    await writeFile(hostsFile, `${upstreamHost} jira-mcp-server everything-mcp-server\n`)
    const host = await options.startHost({
      configFile: options.configFile ?? join(root, 'kong', 'kong.yml'),
      port: gatewayPort,
      runDir,
      hostsFile,
      env: {
        KMCP_ISSUER: idp.issuer,
        KMCP_JWKS_URI: `${idp.issuer}/jwks`,
        KMCP_JIRA_RESOURCE: `${resource}/jira`,
        KMCP_EVERYTHING_RESOURCE: `${resource}/everything`,
        KMCP_GATEWAY_RESOURCE: resource,
        KMCP_GATEWAY_ISSUER: gateway,
        KMCP_AUDIT_DIR: auditDir,
        KMCP_SIGNING_KEY: await signingKey(join(runDir, 'signing-key.pem')),
        ...options.env,
      },
      ...(options.log ? { log: options.log } : {}),
    })
    started.push(host)

    const { issuer } = idp
    return {
      gateway,
      issuer,
      routes,
      resource,
      auditDir,
      host,
      upstreams: { jira: jira.url, everything: everything.url },
      close,
      token: async (person, audience = resource) =>
        (
          await logIn({
            issuer,
            person,
            password: 'demo',
            resource: audience,
            clientId: 'kmcp-cli',
            scope: 'openid mcp:tools',
          })
        ).accessToken,
      agentToken: async () =>
        (
          await clientCredentials({
            issuer,
            clientId: 'build-agent',
            clientSecret: 'build-agent-secret',
            resource,
            scope: 'mcp:tools',
          })
        ).accessToken,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** A key that survives a restart of the plugin server: upstreams keep the public one for a while. */
async function signingKey(file: string): Promise<string> {
  const known = await readFile(file, 'utf8').catch(() => undefined)
  if (known !== undefined) return known
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  await writeFile(file, pem, { mode: 0o600 })
  return pem
}

/** A loopback address where these ports are free: kong.yml names the ports, so a second world needs another address. */
async function freeAddress(port: number, ports: readonly number[]): Promise<string> {
  const areFree = async (host: string): Promise<boolean> =>
    (await Promise.all(ports.map((candidate) => isFree(host, candidate)))).every((free) => free)
  if (port !== 0 && (await areFree('127.0.0.1'))) return '127.0.0.1'
  // Only Linux answers on all of 127.0.0.0/8 without being told to.
  for (let tries = 0; tries < 20 && process.platform === 'linux'; tries++) {
    const host = `127.${randomInt(1, 255)}.${randomInt(0, 255)}.${randomInt(2, 255)}`
    if (await areFree(host)) return host
  }
  throw new Error(`ports ${ports.join(' and ')} of 127.0.0.1 are taken: stop what uses them, and start again`)
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, host, () => probe.close(() => resolve(true)))
  })
}

/** A port nobody uses now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => (typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port'))))
    })
  })
}
