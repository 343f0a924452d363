import { describe, expect, it } from 'vitest'
import { networkOf } from '../../../../adapters/cel/network.ts'

describe('an address', () => {
  it.each([
    { network: '10.0.0.0/8', inside: '10.255.255.255', outside: '11.0.0.0' },
    { network: '192.0.2.7/32', inside: '192.0.2.7', outside: '192.0.2.8' },
    { network: '0.0.0.0/0', inside: '203.0.113.1', outside: '2001:db8::1' },
    { network: '2001:db8::/32', inside: '2001:db8:ffff::1', outside: '2001:db9::1' },
    { network: '::/0', inside: 'fe80::1', outside: '10.0.0.1' },
    { network: '10.0.0.0/8', inside: '::ffff:10.1.2.3', outside: '::ffff:11.1.2.3' },
  ])('$inside is in $network, and $outside is not', ({ network, inside, outside }) => {
    const contains = networkOf(network)
    expect(contains?.(inside)).toBe(true)
    expect(contains?.(outside)).toBe(false)
  })

  it.each([
    '10.0.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0/8',
    '::/129',
    '::ffff:10.0.0.0/104',
    'ten/8',
    '10.0.0.0/8 ',
    '010.0.0.0/8',
  ])('%s is no network', (text) => {
    expect(networkOf(text)).toBeUndefined()
  })
})
