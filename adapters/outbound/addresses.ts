/** Which addresses the gateway may be sent to by a name it was given: the public ones (SSRF, OWASP API7:2023). */
import { BlockList, isIPv4, isIPv6 } from 'node:net'

/** IPv4 that is somebody's own network, this machine, or nobody's (IANA special-purpose registry). */
const special = new BlockList()
for (const [network, bits] of [
  ['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12],
  ['192.0.0.0', 24], ['192.0.2.0', 24], ['192.88.99.0', 24], ['192.168.0.0', 16], ['198.18.0.0', 15],
  ['198.51.100.0', 24], ['203.0.113.0', 24], ['224.0.0.0', 4], ['240.0.0.0', 4],
  // Azure's platform address, seen from its virtual machines only.
  ['168.63.129.16', 32],
] as const) special.addSubnet(network, bits, 'ipv4') // prettier-ignore

/** IPv6 is the other way round: only global unicast is public, and of it not what stands for something else. */
const global = new BlockList()
global.addSubnet('2000::', 3, 'ipv6')
for (const [network, bits] of [
  ['2001::', 23], ['2001:db8::', 32], ['2002::', 16], ['3fff::', 20],
] as const) special.addSubnet(network, bits, 'ipv6') // prettier-ignore

/**
 * Is this an address on the public internet?
 *
 * IPv4 inside IPv6 (mapped, 6to4, NAT64, Teredo) is not taken for public, whatever it stands for: no provider needs it.
 *
 * @param address as a resolver gives it; anything else is not public
 */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !special.check(address, 'ipv4')
  if (!isIPv6(address) || address.includes('%')) return false
  return global.check(address, 'ipv6') && !special.check(address, 'ipv6')
}
