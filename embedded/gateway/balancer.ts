/** Where a request is sent: targets of Upstream entities in turn, names to addresses. */
import { lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { isIP } from 'node:net'
import { readFileSync } from 'node:fs'
import type { Upstream } from './entities.ts'

export interface Peer {
  readonly host: string
  readonly port: number
  /** what the Host header says, without port */
  readonly hostHeader: string
}

/** The targets of one Upstream, each as often as its weight says, in an order of chance. */
class Wheel {
  readonly #peers: readonly Peer[]
  #at = 0

  constructor(upstream: Upstream) {
    const divisor = upstream.targets.reduce((sofar, { weight }) => greatestCommonDivisor(sofar, weight), 0) || 1
    this.#peers = shuffle(
      upstream.targets.flatMap(({ target, weight }) => {
        const [host, port] = splitTarget(target)
        return Array.from({ length: weight / divisor }, () => ({
          host,
          port,
          hostHeader: upstream.host_header ?? host,
        }))
      }),
    )
  }

  next(): Peer | undefined {
    return this.#peers[this.#at++ % this.#peers.length]
  }
}

/**
 * Finds peers: an Upstream's targets in turn, or a name or address itself.
 *
 * Source: Kong 3.9.3 `kong/runloop/balancer/init.lua` (execute) and `round_robin.lua`.
 */
export class Balancer {
  readonly #wheels: ReadonlyMap<string, Wheel>

  constructor(upstreams: readonly Upstream[]) {
    this.#wheels = new Map(upstreams.map((upstream) => [upstream.name, new Wheel(upstream)]))
  }

  hasUpstream(name: string): boolean {
    return this.#wheels.has(name)
  }

  /** @returns undefined when the Upstream has no target to give */
  next(host: string, port: number): Peer | undefined {
    const wheel = this.#wheels.get(host)
    return wheel ? wheel.next() : { host: host.replace(/^\[(.*)\]$/, '$1'), port, hostHeader: host }
  }
}

/**
 * Names to addresses, in the form node:net asks for: the hosts file first, then the system's resolver.
 *
 * @param hostsFile as Kong's `dns_hostsfile`: an address and its names on each line
 */
export function makeLookup(hostsFile: string | undefined): LookupFunction {
  const known = new Map<string, string>()
  for (const line of hostsFile === undefined ? [] : readFileSync(hostsFile, 'utf8').split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    for (const name of names) if (!known.has(name.toLowerCase())) known.set(name.toLowerCase(), address)
  }
  return (name, options, callback) => {
    const address = known.get(name.toLowerCase())
    if (address === undefined) lookup(name, options, callback)
    else if (options.all) callback(null, [{ address, family: isIP(address) }])
    else callback(null, address, isIP(address))
  }
}

function splitTarget(target: string): [host: string, port: number] {
  const parts = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(target)
  return parts ? [(parts[1] ?? parts[2]) as string, Number(parts[3] ?? 8000)] : [target, 8000]
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}

function shuffle<T>(list: T[]): T[] {
  for (let at = list.length - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1))
    ;[list[at], list[other]] = [list[other] as T, list[at] as T]
  }
  return list
}
