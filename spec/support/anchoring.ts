/** Anchoring as specs do it: once in this process, or in one of its own that can be killed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { type AnchorConfig, readConfig } from '../../adapters/anchors/config.ts'
import { runAnchors } from '../../adapters/anchors/run.ts'
import { readCertificates } from '../../adapters/anchors/verify-time-stamp.ts'
import { type AnchoredVerification, type AnchorOptions, verifyAnchors } from '../../cli/verify-anchors.ts'
import { verifyTrails } from '../../cli/verify-trails.ts'
import type { LockingStore } from './locking-store.ts'
import { storeKeys } from './locking-store.ts'
// Its directories go away after what runs in them: the hooks of what is imported first run last.
import './trails.ts'

process.env.KMCP_SPEC_STORE_SECRET = storeKeys.secret
process.env.KMCP_SPEC_COLLECTOR_TOKEN = 'collector-token'

/** A configuration as it stands in a file. */
export function anchorSettings(
  directory: string,
  to: {
    readonly tsas?: readonly { readonly url: string; readonly trust_file?: string }[]
    readonly store?: LockingStore
    readonly collector?: string
  },
): object {
  return {
    directory,
    look_ms: 50,
    alarm_after_s: 1,
    time_stamps: (to.tsas ?? []).map(({ url, trust_file }, n) => ({
      name: `tsa-${n + 1}`,
      every_s: 0.2,
      timeout_ms: 2_000,
      url,
      ...(trust_file === undefined ? {} : { trust_file }),
    })),
    stores: to.store
      ? [
          {
            name: 'vault',
            every_s: 0.2,
            endpoint: to.store.endpoint,
            region: 'eu-central-1',
            bucket: 'audit-anchors',
            prefix: 'acme/',
            retain_days: 30,
            access_key_id: storeKeys.id,
            secret_access_key_env: 'KMCP_SPEC_STORE_SECRET',
          },
        ]
      : [],
    collectors: to.collector === undefined ? [] : [{ name: 'siem-2', every_s: 0.2, url: to.collector, token_env: 'KMCP_SPEC_COLLECTOR_TOKEN' }], // prettier-ignore
  }
}

export function anchorConfig(...args: Parameters<typeof anchorSettings>): AnchorConfig {
  const read = readConfig(structuredClone(anchorSettings(...args)))
  if (!read.ok) throw new Error(read.faults.join('; '))
  return read.config
}

/** @property said what it logged */
export async function anchorOnce(config: AnchorConfig): Promise<{ readonly isAll: boolean; readonly said: string[] }> {
  const said: string[] = []
  const isAll = await runAnchors(config, true, new AbortController().signal, (_level, message) => said.push(message))
  return { isAll, said }
}

/** `kmcp audit verify`, as a program calls it. @param rootFile of the authority one trusts */
export function verifyWith(
  directory: string,
  { rootFile, ...options }: Omit<AnchorOptions, 'roots'> & { readonly rootFile?: string } = {},
): Promise<AnchoredVerification> {
  return verifyAnchors([directory], verifyTrails([directory], options), {
    ...options,
    ...(rootFile === undefined ? {} : { roots: readCertificates(readFileSync(rootFile, 'utf8'), rootFile) }),
  })
}

export const anchorFilesOf = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => /^anchors-.*\.jsonl$/.test(name))
    .sort()

export const anchorLines = (directory: string): Record<string, unknown>[] =>
  anchorFilesOf(directory).flatMap((file) =>
    readFileSync(join(directory, file), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>),
  )

export interface AnchorProcess {
  kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null>
  stderr(): string
}

const processes: { kill(): Promise<unknown> }[] = []
const servers: Server[] = []
afterEach(async () => {
  await Promise.all(processes.splice(0).map((one) => one.kill()))
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

export function startAnchorProcess(configFile: string): AnchorProcess {
  const main = join(import.meta.dirname, '..', '..', 'cli', 'main.ts')
  const child = spawn(process.execPath, [main, 'audit', 'anchor', '--config', configFile], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const ended = once(child, 'exit') as Promise<[number | null]>
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')))
  const running: AnchorProcess = {
    stderr: () => said,
    async kill(signal) {
      child.kill(signal)
      return (await ended)[0]
    },
  }
  processes.push({ kill: () => running.kill('SIGKILL') })
  return running
}

/** A collector that keeps what it is sent. */
export async function startCollector(): Promise<{
  readonly url: string
  readonly lines: string[]
  status: number
  type: string
}> {
  const collector = { url: '', lines: [] as string[], status: 204, type: 'application/json' }
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')))
    request.on('end', () => {
      const isKnown = request.headers.authorization === 'Bearer collector-token'
      if (isKnown && collector.status === 204) collector.lines.push(body)
      response.writeHead(isKnown ? collector.status : 401, { 'content-type': collector.type }).end()
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  collector.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/anchors`
  return collector
}
