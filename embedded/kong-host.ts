/** A real Kong from the PATH in the embedded gateway's place: the project's own kong.conf on a prefix of its own. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import type { Host, HostOptions } from './host.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..')
const startTimeoutMs = 30_000

/** Is there a `kong` on the PATH? */
export const hasKong = (): boolean =>
  (process.env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, 'kong')))

/**
 * Starts Kong and waits until it and the plugin server answer.
 *
 * @throws Error with what Kong printed and the end of its error log
 */
export async function startKongHost(options: HostOptions): Promise<Host> {
  // A unix socket's path may have 107 bytes, and this prefix holds several.
  const prefix = await mkdtemp(join(tmpdir(), 'kmcp-'))
  const socket = join(prefix, 'mcp-suite.socket')
  const env = kongEnvironment(options, prefix, socket)
  const kong = (...args: string[]): Promise<unknown> =>
    run('kong', [...args, '-p', prefix], { env, timeout: startTimeoutMs })
  const stop = async (): Promise<void> => {
    await kong('quit', '--timeout', '3').catch(() => kong('stop').catch(() => undefined))
    await rm(prefix, { recursive: true, force: true })
  }
  try {
    await mkdir(join(prefix, 'logs'), { recursive: true })
    const conf = join(prefix, 'suite.conf')
    const lines = [await readFile(join(root, 'kong', 'kong.conf'), 'utf8'), ...(options.kongConf ?? [])]
    await writeFile(conf, `${lines.join('\n')}\n`)
    await run('kong', ['start', '-c', conf], { env, timeout: startTimeoutMs })
    await untilAnswers(options.port, socket)
  } catch (error) {
    const log = await readFile(join(prefix, 'logs', 'error.log'), 'utf8').catch(() => '')
    await stop()
    throw new Error(`kong did not start: ${String(error)}\n${log.split('\n').slice(-30).join('\n')}`)
  }
  let pid: number | undefined
  const findPid = async (): Promise<void> => {
    pid = await run('pgrep', ['-f', `[ /](main|counting-plugin-server).ts --socket ${socket}$`]).then(
      ({ stdout }) => Number(stdout.trim().split('\n')[0]),
      () => undefined,
    )
  }
  await findPid()
  const watch = setInterval(() => void findPid(), 100)
  watch.unref()
  return {
    name: 'kong',
    pluginServerPid: () => pid,
    prefix,
    socket,
    close: async () => {
      clearInterval(watch)
      if (process.env.KMCP_SPEC_LOG) console.error(await readFile(join(prefix, 'logs', 'error.log'), 'utf8'))
      await stop()
    },
  }
}

const pluginNames = ['oauth', 'jsonrpc', 'rbac', 'audit', 'tools-filter', 'upstream', 'gateway'].map(
  (name) => `mcp-${name}`,
)

/** What differs from kong.conf on this machine: the prefix, ports and paths. */
function kongEnvironment(options: HostOptions, prefix: string, socket: string): NodeJS.ProcessEnv {
  const main = options.pluginServerMain ?? join(root, 'pluginserver', 'main.ts')
  // Kong strips the environment of what it starts.
  const { NODE_COMPILE_CACHE: compiled } = process.env
  const node = compiled === undefined ? process.execPath : `env NODE_COMPILE_CACHE=${compiled} ${process.execPath}`
  const server = `${node} ${main} --socket ${socket}`
  const pluginServers = pluginNames.flatMap((name, index) => {
    const variable = `KONG_PLUGINSERVER_${name.toUpperCase().replaceAll('-', '_')}`
    return [
      [`${variable}_SOCKET`, socket],
      [`${variable}_QUERY_CMD`, `${server} --dump ${name}`],
      ...(index === 0 ? [[`${variable}_START_CMD`, server]] : []),
    ]
  })
  return {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    ...options.env,
    ...Object.fromEntries(pluginServers as [string, string][]),
    KONG_PREFIX: prefix,
    KONG_DECLARATIVE_CONFIG: options.configFile,
    KONG_PROXY_LISTEN: `127.0.0.1:${options.port}${options.tls ? ' ssl' : ''}`,
    ...(options.tls
      ? {
          KONG_SSL_CERT: options.tls.certFile,
          KONG_SSL_CERT_KEY: options.tls.keyFile,
          KONG_NGINX_PROXY_SSL_VERIFY_CLIENT: 'optional_no_ca',
        }
      : {}),
    KONG_ADMIN_LISTEN: 'off',
    KONG_STATUS_LISTEN: 'off',
    KONG_NGINX_WORKER_PROCESSES: '1',
    KONG_DNS_HOSTSFILE: options.hostsFile,
    ...(process.getuid?.() === 0 ? { KONG_NGINX_USER: 'root root' } : {}),
  }
}

async function untilAnswers(port: number, socket: string): Promise<void> {
  const deadline = Date.now() + startTimeoutMs
  for (;;) {
    // Over plain HTTP for TLS too: nginx says 400 to that, which is an answer.
    const answers =
      existsSync(socket) && (await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined)) !== undefined
    if (answers) return
    if (Date.now() > deadline) throw new Error(`no answer on port ${port} within ${startTimeoutMs / 1000} s`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
