/** Syslog over TLS: nobody confirms a message, so a connection that broke may have eaten some, and they are sent again. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { makeAuthority } from '../../support/siem/certificates.ts'
import { quick, shipHere, shipOnce, Workplace } from '../../support/siem/shipper.ts'
import { readMessage, SyslogServer } from '../../support/siem/syslog-server.ts'
import { arrived, idsOf, TrailOnDisk } from '../../support/siem/trail-on-disk.ts'

const authority = makeAuthority('127.0.0.1')
let place: Workplace
let server: SyslogServer
let sink: Record<string, unknown>
beforeEach(async () => {
  place = new Workplace()
  server = await new SyslogServer(authority.server).start()
  writeFileSync(join(place.folder, 'ca.pem'), authority.ca)
  sink = {
    name: 'syslog',
    type: 'syslog_tls',
    host: '127.0.0.1',
    port: server.port,
    ca_file: join(place.folder, 'ca.pem'),
    confirm_ms: 50,
    ...quick,
  }
})
afterEach(async () => {
  await server.stop()
  place.remove()
})

const records = (): any[] => server.messages.map((message) => JSON.parse(readMessage(message).message ?? ''))
const ids = (lines: readonly string[]): string[] => idsOf(lines.map((line) => JSON.parse(line)))

describe('what arrives', () => {
  it('is a message of RFC 5424 for each record, the line as it is in it', async () => {
    const trail = new TrailOnDisk(place.trail)
    const lines = trail.append(2, (seq) => ({ type: seq === 1 ? 'admission' : 'denial', target: 'tool "é]\\' }))
    const { of } = await shipOnce(place, [sink])
    expect(of('syslog')).toMatchObject({ ended: 'done', status: { records_behind: 0 } })
    expect(server.messages.map(readMessage)).toMatchObject(
      lines.map((line, index) => ({
        // Log audit, informational and warning.
        priority: String(13 * 8 + (index === 0 ? 6 : 4)),
        time: JSON.parse(line).time,
        host: 'node-1',
        app: 'kong-mcp-suite',
        procid: trail.boot,
        msgid: JSON.parse(line).type,
        sd: `[origin software="kong-mcp-suite"][meta sequenceId="${index + 1}"]`,
        message: line,
      })),
    )
    expect(server.faults).toEqual([])
  })

  it('T31 keeps a record in its frame, whatever is in it', async () => {
    const evil = 'a\r\n<13>1 - evil\u001b[31m "}\n{ \u0000 \u{1f600} |=\\'
    const trail = new TrailOnDisk(place.trail, Date.now(), 'node one\n')
    const lines = trail.append(3, { tool: evil, type: 'denial' })
    for (const format of ['native', 'cef', 'ocsf', 'ecs']) {
      server.messages.length = 0
      await shipOnce(place, [{ ...sink, name: format, format }])
      expect(server.messages.map((message) => readMessage(message).host)).toEqual(Array(3).fill('node_one_'))
      for (const message of server.messages) expect(message).not.toMatch(/[\u0000-\u001f]/)
    }
    expect(lines).toHaveLength(3)
    expect(server.faults).toEqual([])
  })
})

describe('what a connection that broke may have eaten', () => {
  it('is sent again, over and over, until a connection ended in order', async () => {
    const trail = new TrailOnDisk(place.trail)
    const lines = trail.append(60)
    server.breakAfter = 7
    const shipper = shipHere(place, [{ ...sink, batch: { records: 20, linger_ms: 0 } }])
    await eventually(
      () => Promise.resolve(server.connections),
      (count) => count >= 3,
    )
    expect(place.jsonl('syslog.cursor.json')).toEqual([])
    server.breakAfter = Infinity
    await eventually(
      () => Promise.resolve(place.jsonl('syslog.cursor.json')),
      ([cursor]) => cursor?.seq === 60,
      10_000,
    )
    await shipper.stop()
    expect(arrived(records()).first).toEqual(ids(lines))
    expect(arrived(records()).repeated).toBeGreaterThan(0)
  })

  it('a receiver that dies with messages unread, and comes back', async () => {
    const trail = new TrailOnDisk(place.trail)
    const lines = trail.append(50)
    server.isDeaf = true
    const shipper = shipHere(place, [{ ...sink, timeout_ms: 400 }])
    await eventually(
      () => Promise.resolve(server.connections),
      (count) => count >= 1,
    )
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(place.jsonl('syslog.cursor.json')).toEqual([])
    await server.stop()
    server.isDeaf = false
    lines.push(...trail.append(5))
    await server.start()
    await eventually(
      () => Promise.resolve(place.jsonl('syslog.cursor.json')),
      ([cursor]) => cursor?.seq === 55,
      10_000,
    )
    await shipper.stop()
    expect(arrived(records()).first).toEqual(ids(lines))
  })

  it('a receiver that never reads is never taken for one that has', async () => {
    server.isDeaf = true
    new TrailOnDisk(place.trail).append(5)
    const { of } = await shipOnce(place, [{ ...sink, timeout_ms: 200 }], { giveUpMs: 1_000 })
    expect(of('syslog')).toMatchObject({ ended: 'gave_up', status: { records_behind: 5, counts: { confirmed: 0 } } })
  })

  it('nor is one that talks on waited for', async () => {
    server.isTalker = true
    new TrailOnDisk(place.trail).append(5)
    const { of, logged } = await shipOnce(place, [{ ...sink, timeout_ms: 200 }], { giveUpMs: 1_000 })
    expect(of('syslog')).toMatchObject({ ended: 'gave_up', status: { state: 'retrying', counts: { confirmed: 0 } } })
    expect(logged[0]?.message).toMatch(/not confirmed, and are sent again: nothing was read for 200 ms/)
  })

  it('while nothing breaks, one connection carries many batches', async () => {
    new TrailOnDisk(place.trail).append(300)
    await shipOnce(place, [{ ...sink, confirm_ms: 5_000, batch: { records: 10, linger_ms: 0 } }])
    expect(server.connections).toBe(1)
    expect(arrived(records())).toMatchObject({ repeated: 0 })
  })
})

describe('a connection that ended in order', () => {
  it.each(['TLSv1.2', 'TLSv1.3'] as const)('is one whose close_notify was answered: %s', async (version) => {
    await server.stop()
    server.maxVersion = version
    await server.start()
    new TrailOnDisk(place.trail).append(5)
    const { of } = await shipOnce(place, [sink])
    expect(of('syslog')).toMatchObject({ ended: 'done', status: { counts: { confirmed: 5 } } })
    await server.stop()
    server.isRude = true
    await server.start()
    new TrailOnDisk(place.trail, Date.now() + 1_000).append(2)
    const again = await shipOnce(place, [sink], { giveUpMs: 400 })
    expect(again.of('syslog')).toMatchObject({ ended: 'gave_up', status: { records_behind: 2 } })
    expect(again.of('syslog').status.last_error?.message).toMatch(/closed without close_notify/)
    // Taken and never confirmed is a failure like any other: it is tried less and less often.
    expect(server.connections).toBeLessThan(20)
    await shipOnce(place, [{ ...sink, require_close_notify: false }])
    expect(JSON.parse(place.read('syslog.json'))).toMatchObject({ records_behind: 0 })
  })
})

describe('the certificate', () => {
  it.each([
    { note: 'of an authority nobody trusts', change: { ca_file: undefined } },
    { note: 'for another name', change: { server_name: 'siem.example' } },
  ])('$note: nothing is sent', async ({ change }) => {
    new TrailOnDisk(place.trail).append(1)
    const { of } = await shipOnce(place, [{ ...sink, ...change }], { giveUpMs: 400 })
    expect(of('syslog').ended).toBe('gave_up')
    expect(of('syslog').status.last_error?.message).toMatch(/certificate|altnames/i)
    expect(server.messages).toEqual([])
  })
})
