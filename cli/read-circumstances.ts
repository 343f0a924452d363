/** What else a decision may ask about: the request a call came with. */
import { isIP } from 'node:net'
import type { Principal } from '../lib/identity/principal.ts'
import type { Json } from '../lib/mcp/message.ts'
import { sessionDigest } from '../lib/mcp/session-id.ts'
import { conditionCaller, type ConditionContext } from '../lib/policy/condition.ts'
import type { Circumstances } from '../lib/policy/decide.ts'

/**
 * A request, as a case or the command line says it.
 *
 * @property timeMs            since the Unix epoch; undefined where none was given
 * @property headers           names in lower case
 * @property revocationsStale nobody has been able to say for a minute who is revoked
 */
export interface GivenRequest {
  readonly ip: string
  readonly timeMs: number | undefined
  readonly upstream: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly revocationsStale: boolean
}

const members = ['ip', 'time', 'headers', 'upstream', 'revocations_stale']

/** Reads `{ ip, time, headers, upstream, revocations_stale }`, each of them optional. */
export function readRequest(
  value: unknown,
): { readonly ok: true; readonly request: GivenRequest } | { readonly ok: false; readonly fault: string } {
  const fault = (text: string): { ok: false; fault: string } => ({ ok: false, fault: text })
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fault('`request` must be a map')
  const given = value as Readonly<Record<string, unknown>>
  const unknown = Object.keys(given).find((name) => !members.includes(name))
  if (unknown !== undefined) return fault(`\`request.${unknown}\` is not known here; there are ${members.join(', ')}`)
  const { ip = '', time, headers = {}, upstream, revocations_stale: stale = false } = given
  if (typeof ip !== 'string' || (ip !== '' && isIP(ip) === 0)) return fault('`request.ip` must be an IP address')
  const timeMs = time === undefined ? undefined : timeOf(time)
  if (timeMs === null) return fault('`request.time` must be a time with its zone, such as `2026-11-25T09:30:00Z`')
  if (
    typeof headers !== 'object' ||
    headers === null ||
    Object.values(headers).some((one) => typeof one !== 'string')
  ) {
    return fault('`request.headers` must be a map of texts')
  }
  if (upstream !== undefined && typeof upstream !== 'string') return fault('`request.upstream` must be a text')
  if (typeof stale !== 'boolean') return fault('`request.revocations_stale` must be true or false')
  return {
    ok: true,
    request: {
      ip,
      timeMs,
      upstream,
      headers: Object.fromEntries(
        Object.entries(headers as Readonly<Record<string, string>>).map(([name, text]) => [name.toLowerCase(), text]),
      ),
      revocationsStale: stale,
    },
  }
}

/** Null for what is no time with a zone. */
function timeOf(time: unknown): number | null {
  if (typeof time !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(time))
    return null
  const ms = Date.parse(time)
  return Number.isNaN(ms) ? null : ms
}

/**
 * What conditions are asked about, put together as the gateway does.
 *
 * @param args    the call's arguments; undefined: any
 * @param route   the headers its conditions may read (undefined: all) and the name of its upstream
 * @param nowMs   what the time is where the request says none
 */
export function circumstancesOf(
  principal: Principal,
  args: Json | undefined,
  request: GivenRequest,
  route: { readonly headers: readonly string[] | undefined; readonly upstream: string | undefined },
  nowMs: number,
): Circumstances & { readonly conditions: ConditionContext } {
  const { headers } = request
  const session = headers['mcp-session-id']
  return {
    areRevocationsStale: request.revocationsStale,
    conditions: {
      ...conditionCaller(principal),
      tool: { name: '', kind: 'tool' },
      args,
      request: {
        ip: request.ip,
        timeMs: request.timeMs ?? nowMs,
        upstream: request.upstream ?? route.upstream ?? '',
        headers: Object.fromEntries(
          Object.entries(headers).filter(([name]) => route.headers === undefined || route.headers.includes(name)),
        ),
      },
      session: { id: session === undefined ? '' : sessionDigest(session) },
    },
  }
}
