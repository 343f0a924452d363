/** Whom a shipper speaks to: a certificate is verified, whatever the environment says. */
import { writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { makeAuthority } from '../../support/siem/certificates.ts'
import { eventually } from '../../support/eventually.ts'
import { quick, shipHere, shipOnce, Workplace } from '../../support/siem/shipper.ts'
import { TrailOnDisk } from '../../support/siem/trail-on-disk.ts'

let place: Workplace
let server: Server
let got = 0
let port: number
let ca: string
beforeAll(async () => {
  const authority = makeAuthority('127.0.0.1')
  ca = authority.ca
  server = createServer(authority.server, (_request, response) => {
    got++
    response.end()
  })
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as AddressInfo).port
  // What somebody has set who did not get a certificate to work, for another program.
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
})
afterAll(async () => {
  delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})
beforeEach(() => {
  got = 0
  place = new Workplace()
  new TrailOnDisk(place.trail).append(1)
})
afterEach(() => place.remove())

describe('a receiver whose certificate no trusted authority has signed', () => {
  it.each([
    { note: 'over HTTPS', sink: () => ({ type: 'https', url: `https://127.0.0.1:${port}/` }) },
    { note: 'of syslog', sink: () => ({ type: 'syslog_tls', host: '127.0.0.1', port, confirm_ms: 10 }) },
  ])('is sent nothing, $note, also with NODE_TLS_REJECT_UNAUTHORIZED=0', async ({ sink }) => {
    const { of } = await shipOnce(place, [{ name: 'one', ...sink(), ...quick }], { giveUpMs: 300 })
    expect(of('one')).toMatchObject({ ended: 'gave_up', status: { records_behind: 1 } })
    expect(of('one').status.last_error?.message).toMatch(/UNABLE_TO_(GET_ISSUER|VERIFY_LEAF)|unable to (get|verify)/)
    expect(got).toBe(0)
  })

  it('is sent everything once its authority is in ca_file', async () => {
    const caFile = join(place.folder, 'ca.pem')
    writeFileSync(caFile, ca)
    const sink = { name: 'one', type: 'https', url: `https://127.0.0.1:${port}/`, ca_file: caFile, ...quick }
    expect((await shipOnce(place, [sink])).of('one').ended).toBe('done')
    expect(got).toBe(1)
  })

  it('also where it is put there while the shipper runs', async () => {
    const caFile = join(place.folder, 'ca.pem')
    writeFileSync(caFile, makeAuthority('127.0.0.1').ca)
    const sink = { name: 'one', type: 'https', url: `https://127.0.0.1:${port}/`, ca_file: caFile, ...quick }
    const shipper = shipHere(place, [sink])
    await eventually(
      () => Promise.resolve(shipper.logged),
      (logged) => logged.length > 0,
    )
    expect(got).toBe(0)
    writeFileSync(caFile, ca)
    await eventually(
      () => Promise.resolve(got),
      (count) => count === 1,
    )
    await shipper.stop()
  })
})
