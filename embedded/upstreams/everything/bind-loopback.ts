/**
 * Loaded before `@modelcontextprotocol/server-everything` into its process (`node --import`), so that the package can stay as
 * it is, although it listens on every interface of the machine and says nothing about what reached it.
 *
 * Its HTTP server is made to listen on the host in KMCP_EVERYTHING_HOST, a loopback address. Its traffic is counted, and
 * served at `/stats`. The parent process is told the port over the channel it was started with; when that channel closes, the
 * parent is gone and this process ends too.
 */
import { Server } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isLoopback } from '../listen-on-loopback.ts'
import { answerStats, createTraffic } from '../traffic.ts'

/** What this process tells its parent once it listens. */
export interface ListeningReport {
  readonly listeningOnPort: number
}

const host = process.env['KMCP_EVERYTHING_HOST'] ?? ''
if (!isLoopback(host)) throw new Error(`KMCP_EVERYTHING_HOST must be an address in 127.0.0.0/8, not \`${host}\``)

type Method = (this: Server, ...args: unknown[]) => unknown

const listen = Reflect.get(Server.prototype, 'listen') as Method
const emit = Reflect.get(Server.prototype, 'emit') as Method
const traffic = createTraffic()

/** As the package calls it: `listen(port, callback)`. Anything else would be a release this was not written for. */
function listenOnHost(this: Server, port: unknown, callback: unknown): unknown {
  if (!/^\d+$/.test(String(port)) || typeof callback !== 'function') {
    throw new Error('the package listens in a way that cannot be bound to the loopback')
  }
  this.once('listening', () => {
    const report: ListeningReport = { listeningOnPort: (this.address() as AddressInfo).port }
    process.send?.(report)
  })
  return listen.call(this, { host, port: Number(port) }, callback)
}

/** Every request passes here on its way to the package's handlers. */
function emitCounted(this: Server, event: unknown, ...args: unknown[]): unknown {
  if (event === 'request') {
    const [request, response] = args as [IncomingMessage, ServerResponse]
    if (answerStats(traffic, request, response)) return true
    traffic.observe(request)
  }
  return emit.call(this, event, ...args)
}

Object.assign(Server.prototype, { listen: listenOnHost, emit: emitCounted })

process.on('disconnect', () => process.exit(0))
