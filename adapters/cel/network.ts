/** Is an address in a network? */
import { BlockList, isIP } from 'node:net'

/** The network a CIDR text names, as a question to addresses; undefined where it names none. IPv4 is written as IPv4. */
export function networkOf(cidr: string): ((address: string) => boolean) | undefined {
  const [, base, bits] = /^([0-9A-Fa-f.:]+)\/(\d{1,3})$/.exec(cidr) ?? []
  if (base === undefined || bits === undefined) return undefined
  const family = isIP(base)
  if (family === 0 || Number(bits) > (family === 4 ? 32 : 128) || /^::ffff:/i.test(base)) return undefined
  const list = new BlockList()
  list.addSubnet(base, Number(bits), family === 4 ? 'ipv4' : 'ipv6')
  // An IPv4 address in IPv6 clothes (RFC 4291 2.5.5.2) is asked about as what it is.
  return (address) => {
    const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
    const asked = mapped !== undefined && isIP(mapped) === 4 ? mapped : address
    return isIP(asked) === family && list.check(asked, family === 4 ? 'ipv4' : 'ipv6')
  }
}

export const isAddress = (text: string): boolean => isIP(text) !== 0
