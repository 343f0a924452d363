/** What stands in front of the MCP servers: the embedded gateway here; a real Kong offers the same (spec/support). */
import { join } from 'node:path'
import { readKongConf, startGateway } from './gateway/start-gateway.ts'

/**
 * @property port      where the proxy listens on 127.0.0.1
 * @property hostsFile names of targets, as in /etc/hosts
 * @property env       what `{vault://env/…}` references read
 * @property tls       files of PEM; clients come over TLS then, and are asked for a certificate they need not have. Default: no TLS
 * @property kongConf  lines after those of the project's kong.conf, such as `lua_max_req_headers = 50`; default none
 */
export interface HostOptions {
  readonly configFile: string
  readonly port: number
  readonly runDir: string
  readonly hostsFile: string
  readonly env: Readonly<Record<string, string>>
  readonly tls?: { readonly certFile: string; readonly keyFile: string }
  readonly kongConf?: readonly string[]
  readonly log?: (line: string) => void
  /** Default pluginserver/main.ts; a spec may put something in front of it. */
  readonly pluginServerMain?: string
}

/** @property pluginServerPid of the process that serves the plugins now; a new one after each restart */
export interface Host {
  readonly name: 'embedded gateway' | 'kong'
  pluginServerPid(): number | undefined
  /** The plugin server's. */
  readonly socket: string
  /** Where a real Kong keeps its logs. */
  readonly prefix?: string
  close(): Promise<void>
}

const root = join(import.meta.dirname, '..')

export async function startEmbeddedHost(options: HostOptions): Promise<Host> {
  const socket = join(options.runDir, 'plugins.sock')
  const gateway = await startGateway({
    configFile: options.configFile,
    proxyListen: { host: '127.0.0.1', port: options.port },
    pluginServer: {
      socket,
      start: [process.execPath, options.pluginServerMain ?? join(root, 'pluginserver', 'main.ts'), '--socket', socket],
    },
    env: { ...options.env },
    hostsFile: options.hostsFile,
    conf: readKongConf(join(root, 'kong', 'kong.conf'), options.kongConf),
    ...(options.tls ? { tls: options.tls } : {}),
    ...(options.log ? { log: options.log } : {}),
  })
  return {
    name: 'embedded gateway',
    socket,
    pluginServerPid: () => gateway.pluginServerPid(),
    close: () => gateway.close(),
  }
}
