/** Kong's `rate-limiting`, counting in this process. Source: Kong 3.9.3 `kong/plugins/rate-limiting` (handler, policies `local`). */
import { errorAnswer } from '../answers.ts'
import { normalizePath } from '../request-path.ts'
import { pathOf } from '../request-state.ts'
import type { RequestState } from '../request-state.ts'
import type { BundledPlugin } from './index.ts'

/** Windows in seconds, as Kong counts them; each begins with the calendar's period in UTC. */
const windows = { second: 1, minute: 60, hour: 3600, day: 86400, month: 2592000, year: 31536000 } as const
type Period = keyof typeof windows
const periods = Object.keys(windows) as Period[]

type Config = Readonly<Record<string, unknown>>

/** @param now milliseconds since the Unix epoch */
export function rateLimiting(now: () => number = Date.now): BundledPlugin {
  const counters = new Counters(now)
  return {
    name: 'rate-limiting',
    priority: 910,
    schema: {
      config: [
        ...periods.map((period) => ({ [period]: { type: 'number', gt: 0 } as const })),
        {
          limit_by: {
            type: 'string',
            default: 'consumer',
            one_of: ['consumer', 'credential', 'ip', 'service', 'header', 'path'],
          },
        },
        { header_name: { type: 'string' } },
        { path: { type: 'string', starts_with: '/' } },
        { policy: { type: 'string', default: 'local' } },
        { fault_tolerant: { type: 'boolean', required: true, default: true } },
        { hide_client_headers: { type: 'boolean', required: true, default: false } },
        { error_code: { type: 'number', default: 429, gt: 0 } },
        { error_message: { type: 'string', default: 'API rate limit exceeded' } },
        { sync_rate: { type: 'number', required: true, default: -1 } },
      ],
      check,
    },
    access(state, { config }) {
      const nowMs = Math.floor(now() / 1000) * 1000
      const keyOf = (period: Period): string =>
        `${String(config['route_id'])}:${String(config['service_id'])}:${identifierOf(state, config)}:${startOf(period, nowMs)}:${period}`
      const used = periods.flatMap((period) => {
        const limit = config[period]
        if (typeof limit !== 'number') return []
        const key = keyOf(period)
        return [{ period, limit, key, remaining: limit - counters.get(key) }]
      })
      const stop = used.findLast(({ remaining }) => remaining <= 0)?.period
      const isShown = config['hide_client_headers'] !== true
      const resetS = isShown ? showLimits(state, used, stop, nowMs) : 0
      if (stop !== undefined) {
        if (isShown) state.responseLines.set('Retry-After', String(resetS))
        state.isExited = true
        state.answer = errorAnswer(state, Number(config['error_code']), String(config['error_message']))
        return
      }
      // Kong checks first and counts in a timer, later.
      setImmediate(() => used.forEach(({ key, period }) => counters.increment(key, windows[period])))
    },
  }
}

interface Used {
  readonly period: Period
  readonly limit: number
  readonly remaining: number
}

/** Sets the headers that tell the client where it stands; returns the seconds until the narrowest limit is reset. */
function showLimits(state: RequestState, used: readonly Used[], stop: Period | undefined, nowMs: number): number {
  const lines = state.responseLines
  let narrowest: { limit: number; remaining: number; window: number; resetS: number } | undefined
  for (const { period, limit, remaining: before } of used) {
    const window = windows[period]
    const remaining = Math.max(0, stop === undefined || stop === period ? before - 1 : before)
    const resetS = Math.max(1, window - Math.floor((nowMs - startOf(period, nowMs)) / 1000))
    if (
      !narrowest ||
      remaining < narrowest.remaining ||
      (remaining === narrowest.remaining && window > narrowest.window)
    ) {
      narrowest = { limit, remaining, window, resetS }
    }
    const name = period.charAt(0).toUpperCase() + period.slice(1)
    lines.set(`X-RateLimit-Limit-${name}`, String(limit))
    lines.set(`X-RateLimit-Remaining-${name}`, String(remaining))
  }
  if (!narrowest) return 0
  lines.set('RateLimit-Limit', String(narrowest.limit))
  lines.set('RateLimit-Remaining', String(narrowest.remaining))
  lines.set('RateLimit-Reset', String(narrowest.resetS))
  return narrowest.resetS
}

/** Who or what is counted; the client's address when there is no such thing. */
function identifierOf(state: RequestState, config: Config): string {
  return identify(state, config) ?? state.clientIp
}

function identify(state: RequestState, config: Config): string | undefined {
  switch (config['limit_by']) {
    case 'service':
      return state.service?.id
    case 'consumer':
      return (state.consumer?.['id'] as string | undefined) ?? state.credential?.id
    case 'credential':
      return state.credential?.id
    case 'header':
      return state.headers.get(String(config['header_name']).toLowerCase())
    case 'path': {
      const path = normalizePath(pathOf(state.requestUri))
      return path === config['path'] ? path : undefined
    }
    default:
      return undefined
  }
}

function startOf(period: Period, nowMs: number): number {
  const at = new Date(nowMs)
  if (period === 'month') return Date.UTC(at.getUTCFullYear(), at.getUTCMonth())
  if (period === 'year') return Date.UTC(at.getUTCFullYear(), 0)
  return nowMs - (nowMs % (windows[period] * 1000))
}

function check(config: Record<string, unknown>): string[] {
  const limits = periods.filter((period) => config[period] !== undefined)
  const faults: string[] = []
  if (limits.length === 0) faults.push(`at least one of these fields must be set: ${periods.join(', ')}`)
  for (const [at, upper] of limits.entries()) {
    const lower = limits.slice(0, at).find((each) => Number(config[each]) > Number(config[upper]))
    if (lower) faults.push(`the limit for ${upper} cannot be lower than the limit for ${lower}`)
  }
  if (config['policy'] !== 'local') {
    faults.push('policy: the embedded gateway counts locally only: use `local`, or run this file on a real Kong')
  }
  if (config['sync_rate'] !== -1) faults.push('sync_rate can only be used with the redis policy: remove it')
  if (config['limit_by'] === 'header' && config['header_name'] === undefined)
    faults.push('header_name: required field missing; add it')
  if (config['limit_by'] === 'path' && config['path'] === undefined) faults.push('path: required field missing; add it')
  return faults
}

class Counters {
  readonly #counts = new Map<string, { count: number; endsAtMs: number }>()
  readonly #now: () => number
  #sweepAtMs = 0

  constructor(now: () => number) {
    this.#now = now
  }

  get(key: string): number {
    return this.#counts.get(key)?.count ?? 0
  }

  increment(key: string, windowS: number): void {
    const nowMs = this.#now()
    const counter = this.#counts.get(key)
    if (counter) counter.count++
    else this.#counts.set(key, { count: 1, endsAtMs: nowMs + windowS * 1000 })
    if (nowMs < this.#sweepAtMs) return
    this.#sweepAtMs = nowMs + 60_000
    for (const [each, { endsAtMs }] of this.#counts) if (endsAtMs < nowMs) this.#counts.delete(each)
  }
}
