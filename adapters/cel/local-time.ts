/** The calendar of a time zone. */

/** One formatter per zone: zones are literals of policies, so there are few. */
const formatters = new Map<string, Intl.DateTimeFormat>()

/** A time zone: `UTC`, an offset such as `+02:00`, or a name of the IANA database. */
export function isZone(zone: string): boolean {
  return offsetOf(zone) !== undefined || formatterOf(zone) !== undefined
}

/**
 * A date whose UTC fields are the local fields of an instant.
 *
 * @param ms   since the Unix epoch
 * @param zone one that `isZone`; default: UTC
 * @throws RangeError for anything else
 */
export function localDate(ms: number, zone = 'UTC'): Date {
  const offset = offsetOf(zone)
  if (offset !== undefined) return new Date(ms + offset)
  const formatter = formatterOf(zone)
  if (formatter === undefined) throw new RangeError(`no time zone \`${zone}\``)
  const read: Record<string, number> = {}
  for (const { type, value } of formatter.formatToParts(ms)) read[type] = Number(value)
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = read
  return new Date(Date.UTC(year, month - 1, day, hour, minute, second, ((ms % 1000) + 1000) % 1000))
}

/** What CEL's methods of a timestamp read of it (language definition, "Timestamp"): months and days of the year from 0. */
export const calendar: Readonly<Record<string, (local: Date) => number>> = {
  getFullYear: (local) => local.getUTCFullYear(),
  getMonth: (local) => local.getUTCMonth(),
  getDate: (local) => local.getUTCDate(),
  getDayOfMonth: (local) => local.getUTCDate() - 1,
  getDayOfWeek: (local) => local.getUTCDay(),
  getDayOfYear: (local) => Math.floor((local.getTime() - Date.UTC(local.getUTCFullYear(), 0, 1)) / 86_400_000),
  getHours: (local) => local.getUTCHours(),
  getMinutes: (local) => local.getUTCMinutes(),
  getSeconds: (local) => local.getUTCSeconds(),
  getMilliseconds: (local) => local.getUTCMilliseconds(),
}

/** Milliseconds east of Greenwich, where the zone is a fixed offset. */
function offsetOf(zone: string): number | undefined {
  if (zone === 'UTC') return 0
  const [, sign, hours, minutes] = /^([+-]?)([01]\d|2[0-3]):([0-5]\d)$/.exec(zone) ?? []
  if (sign === undefined) return undefined
  return (Number(hours) * 60 + Number(minutes)) * 60_000 * (sign === '-' ? -1 : 1)
}

function formatterOf(zone: string): Intl.DateTimeFormat | undefined {
  const known = formatters.get(zone)
  if (known) return known
  try {
    const formatter = new Intl.DateTimeFormat('en-US', {
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      timeZone: zone,
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
    formatters.set(zone, formatter)
    return formatter
  } catch {
    return undefined
  }
}
