import { describe, expect, it } from 'vitest'
import { isZone, localDate } from '../../../../adapters/cel/local-time.ts'

describe('the local date of an instant', () => {
  it.each([
    { note: 'UTC', at: '2026-03-29T02:30:00Z', zone: 'UTC', local: '2026-03-29T02:30:00.000Z' },
    {
      note: 'before the clocks go forward',
      at: '2026-03-29T00:59:59.999Z',
      zone: 'Europe/Berlin',
      local: '2026-03-29T01:59:59.999Z',
    },
    { note: 'after', at: '2026-03-29T01:00:00Z', zone: 'Europe/Berlin', local: '2026-03-29T03:00:00.000Z' },
    {
      note: 'the hour the clocks do not have',
      at: '2026-03-29T02:30:00Z',
      zone: '+00:00',
      local: '2026-03-29T02:30:00.000Z',
    },
    { note: 'midnight', at: '2026-06-03T22:00:00Z', zone: 'Europe/Berlin', local: '2026-06-04T00:00:00.000Z' },
    {
      note: 'a zone west of it',
      at: '2026-01-01T03:00:00Z',
      zone: 'America/New_York',
      local: '2025-12-31T22:00:00.000Z',
    },
    { note: 'an offset', at: '2026-01-01T03:00:00Z', zone: '+05:30', local: '2026-01-01T08:30:00.000Z' },
    { note: 'an offset west', at: '2026-01-01T03:00:00Z', zone: '-05:30', local: '2025-12-31T21:30:00.000Z' },
    { note: 'before 1970', at: '1969-12-31T23:59:59.500Z', zone: 'Asia/Tokyo', local: '1970-01-01T08:59:59.500Z' },
  ])('$note', ({ at, zone, local }) => {
    expect(localDate(Date.parse(at), zone).toISOString()).toBe(local)
  })

  it.each(['Mars/Olympus', '+25:00', '02:60', '', 'local'])('%s is no zone', (zone) => {
    expect(isZone(zone)).toBe(false)
    expect(() => localDate(0, zone)).toThrow(RangeError)
  })
})
