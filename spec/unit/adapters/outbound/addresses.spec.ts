import { describe, expect, it } from 'vitest'
import { isPublicAddress } from '../../../../adapters/outbound/addresses.ts'

describe('T59 an address is public', () => {
  it.each([
    '1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.0',
    '168.63.129.15', '168.63.129.17', '169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0', '192.0.1.0',
    '192.167.255.255', '192.169.0.0', '198.17.255.255', '198.20.0.0', '203.0.112.255', '223.255.255.255',
    '2001:4860:4860::8888', '2606:4700::1111', '2a00:1450:4001::200e', '2001:200::1', '3ffe::1',
  ])('%s', (address) => {
    expect(isPublicAddress(address)).toBe(true)
  }) // prettier-ignore
})

describe('T59 an address is not public', () => {
  it.each<[note: string, ...addresses: string[]]>([
    ['this network', '0.0.0.0', '0.255.255.255'],
    ['private', '10.0.0.0', '10.255.255.255', '172.16.0.0', '172.31.255.255', '192.168.0.0', '192.168.255.255'],
    ['carrier-grade NAT, and Alibaba’s metadata', '100.64.0.0', '100.100.100.200', '100.127.255.255'],
    ['this machine', '127.0.0.1', '127.0.0.0', '127.255.255.255'],
    ['link-local, and the clouds’ metadata', '169.254.0.0', '169.254.169.254', '169.254.255.255'],
    ['Azure’s platform', '168.63.129.16'],
    ['Oracle’s metadata', '192.0.0.192'],
    ['documentation', '192.0.2.1', '198.51.100.1', '203.0.113.255'],
    ['benchmarks', '198.18.0.0', '198.19.255.255'],
    ['6to4 relays', '192.88.99.1'],
    ['multicast', '224.0.0.1', '239.255.255.255'],
    ['reserved, and broadcast', '240.0.0.1', '255.255.255.255'],
    ['IPv6’s this machine and nowhere', '::1', '::'],
    ['IPv4 in IPv6', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:169.254.169.254', '::ffff:8.8.8.8', '::127.0.0.1'],
    ['IPv4 in IPv6, spelled out', '0:0:0:0:0:ffff:127.0.0.1', '0000:0000:0000:0000:0000:FFFF:7F00:0001'],
    ['IPv4 translated', '::ffff:0:127.0.0.1', '64:ff9b::7f00:1', '64:ff9b::808:808', '64:ff9b:1::1'],
    ['Teredo, and what else IETF has there', '2001::1', '2001:0:7f00:1::', '2001:1ff:ffff::1'],
    ['6to4', '2002:7f00:1::', '2002:808:808::1'],
    ['IPv6 link-local', 'fe80::1', 'fe80::1%eth0', 'febf::1'],
    ['IPv6 site-local', 'fec0::1'],
    ['IPv6 unique local, and Amazon’s metadata', 'fc00::1', 'fd00:ec2::254', 'fdff::1'],
    ['IPv6 multicast', 'ff02::1'],
    ['IPv6 documentation', '2001:db8::1', '3fff::1', '3fff:fff::1'],
    ['IPv6 discarded, and nobody’s', '100::1', '4000::1', '5f00::1', '1fff::1'],
    ['a public address of one interface', '2606:4700::1111%eth0'],
    [
      'no address',
      '',
      'localhost',
      'example.com',
      '8.8.8',
      '8.8.8.8.',
      '0x8.8.8.8',
      '010.8.8.8',
      '134744072',
      ' 8.8.8.8',
    ],
    ['an address in brackets', '[2606:4700::1111]'],
  ])('%s', (_note, ...addresses) => {
    expect(addresses.filter(isPublicAddress)).toEqual([])
  })
})
