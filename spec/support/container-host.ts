/** Kong in a container in the embedded gateway's place, where a Docker engine answers and no `kong` is on the PATH. */
import { execFile } from 'node:child_process'
import { chmod, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Host, HostOptions } from '../../embedded/host.ts'
import { root } from '../../embedded/world.ts'

/** Does a Docker engine answer here? */
export const hasDocker = async (): Promise<boolean> =>
  promisify(execFile)('docker', ['info', '--format', '{{.ServerVersion}}'], { timeout: 5_000 }).then(
    ({ stdout }) => stdout.trim() !== '',
    () => false,
  )

let image: Promise<{ start(options: HostOptions): Promise<{ stop(): Promise<unknown> }> }> | undefined

/** Builds kong/Dockerfile once, and starts it on the host's network: upstreams and identity provider are on loopback. */
export async function startContainerHost(options: HostOptions): Promise<Host> {
  image ??= build()
  const container = await (await image).start(options)
  return {
    name: 'kong',
    socket: '/usr/local/kong/mcp-suite.socket',
    // The process belongs to the container: a spec that wants to kill it cannot from here.
    pluginServerPid: () => undefined,
    close: async () => {
      await container.stop()
    },
  }
}

async function build(): Promise<{ start(options: HostOptions): Promise<{ stop(): Promise<unknown> }> }> {
  const { GenericContainer, Wait } = await import('testcontainers')
  const built = await GenericContainer.fromDockerfile(root, 'kong/Dockerfile')
    .withTarget('gateway')
    .build('kong-mcp-suite-spec')
  return {
    async start({ configFile, port, runDir, hostsFile, env }) {
      const auditDir = env.KMCP_AUDIT_DIR ?? join(runDir, 'audit')
      await mkdir(auditDir, { recursive: true })
      // Kong's user in the container is another one than ours.
      await chmod(auditDir, 0o777)
      const [address = '127.0.0.1', ...names] = (await readFile(hostsFile, 'utf8')).trim().split(/\s+/)
      return built
        .withNetworkMode('host')
        .withExtraHosts(names.map((host) => ({ host, ipAddress: address })))
        .withBindMounts([
          { source: configFile, target: '/opt/kong-mcp-suite/kong/kong.yml', mode: 'ro' },
          { source: auditDir, target: auditDir },
        ])
        .withEnvironment({
          ...env,
          KONG_PROXY_LISTEN: `127.0.0.1:${port}`,
          KONG_ADMIN_LISTEN: 'off',
          KONG_STATUS_LISTEN: 'off',
        })
        .withWaitStrategy(Wait.forLogMessage(/serving/))
        .start()
    },
  }
}
