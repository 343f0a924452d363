/** The sinks' figures for Prometheus (text format 0.0.4). */
import { createServer } from 'node:http'
import type { Status } from './status.ts'

/** @throws Error where the address cannot be listened on */
export async function serveMetrics(
  { host, port }: { readonly host: string; readonly port: number },
  read: () => readonly Status[],
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(metricsText(read(), Date.now()))
  })
  // Whoever asks for more at once could take the descriptors that the trail is read with.
  server.maxConnections = 32
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  server.unref()
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : port,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

/** @property value null where it is not known: then it is not there at all */
interface Metric {
  readonly name: string
  readonly type: 'gauge' | 'counter'
  readonly help: string
  readonly value: (status: Status, nowMs: number) => number | null
}

export const metrics: readonly Metric[] = [
  { name: 'kmcp_ship_records_behind', type: 'gauge', help: 'Records that the sink has not confirmed.', value: ({ records_behind }) => records_behind },
  { name: 'kmcp_ship_bytes_behind', type: 'gauge', help: 'Bytes of those records.', value: ({ bytes_behind }) => bytes_behind },
  {
    name: 'kmcp_ship_oldest_unsent_seconds',
    type: 'gauge',
    help: 'Age of the oldest record that the sink has not confirmed; 0 where there is none.',
    value: ({ oldest_unsent, bytes_behind }, nowMs) =>
      oldest_unsent === null ? (bytes_behind === 0 ? 0 : null) : Math.max(0, (nowMs - Date.parse(oldest_unsent)) / 1000),
  },
  { name: 'kmcp_ship_blocked', type: 'gauge', help: '1 where nothing is sent until somebody looked.', value: ({ state }) => (state === 'blocked' ? 1 : 0) },
  { name: 'kmcp_ship_retrying', type: 'gauge', help: '1 where the receiver does not take records.', value: ({ state }) => (state === 'retrying' ? 1 : 0) },
  { name: 'kmcp_ship_confirmed_records_total', type: 'counter', help: 'Records that were confirmed.', value: ({ counts }) => counts.confirmed },
  { name: 'kmcp_ship_resent_records_total', type: 'counter', help: 'Records that were sent again: nobody confirmed them, or it could not be kept that somebody did.', value: ({ counts }) => counts.resent },
  { name: 'kmcp_ship_dead_letters_total', type: 'counter', help: 'Records that were refused for good.', value: ({ counts }) => counts.dead_letters },
  { name: 'kmcp_ship_faults_total', type: 'counter', help: 'Places where the numbers of records do not follow each other inside of a file.', value: ({ counts }) => counts.faults },
  { name: 'kmcp_ship_dead_letters', type: 'gauge', help: 'Records in the dead letters, until somebody takes the file away.', value: ({ dead_letters }) => dead_letters },
  { name: 'kmcp_ship_truncated_total', type: 'counter', help: 'Records that were cut to what the sink takes.', value: ({ counts }) => counts.truncated },
  { name: 'kmcp_ship_older_than_18h_total', type: 'counter', help: 'Records that were too old for the sink, and archived.', value: ({ counts }) => counts.older_than_18h },
  { name: 'kmcp_ship_failures_total', type: 'counter', help: 'Requests that did not succeed.', value: ({ counts }) => counts.failures },
] // prettier-ignore

export function metricsText(statuses: readonly Status[], nowMs: number): string {
  return metrics
    .flatMap(({ name, type, help, value }) => [
      `# HELP ${name} ${help}`,
      `# TYPE ${name} ${type}`,
      // Names are checked: nothing in them has to be escaped.
      ...statuses.flatMap((status) => {
        const is = value(status, nowMs)
        return is === null ? [] : [`${name}{sink="${status.sink}",type="${status.type}"} ${is}`]
      }),
    ])
    .join('\n')
    .concat('\n')
}
