import type { AddressInfo } from 'node:net'
import type { Server } from 'node:http'
import { isIPv4 } from 'node:net'

/**
 * Starts listening, and only on this machine's own loopback network.
 *
 * The identity provider hands out tokens for a published password, and the example upstreams serve whoever asks: none of
 * them may ever be reachable from another machine.
 *
 * @param at.host an address in 127.0.0.0/8, written out; names such as `localhost` are refused, they may resolve to more
 * @param at.port 0 picks a free one
 * @returns the port that is listened on
 * @throws Error when the host is not such an address, or the port is taken (`EADDRINUSE`)
 */
export async function listenOnLoopback(
  server: Server,
  at: { readonly host: string; readonly port: number },
): Promise<number> {
  if (!isLoopback(at.host)) throw new Error(`host must be an address in 127.0.0.0/8, not \`${at.host}\``)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(at.port, at.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return (server.address() as AddressInfo).port
}

/**
 * Is this text an IPv4 address in 127.0.0.0/8?
 *
 * Inside a container the loopback is nobody else's: there, and only where KMCP_IN_CONTAINER says so (docker-compose.yml),
 * 0.0.0.0 will do; what is published is up to the container's owner.
 */
export function isLoopback(host: string): boolean {
  return (isIPv4(host) && host.startsWith('127.')) || (host === '0.0.0.0' && process.env.KMCP_IN_CONTAINER === '1')
}

/** Stops listening and drops the connections that are still open; event streams would otherwise hold it up forever. */
export async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      resolve()
    })
  })
  server.closeAllConnections()
  await closed
}
