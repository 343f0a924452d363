/** Which request headers reach the upstream: what MCP and HTTP need, and what the gateway says of the caller. */
import { isModernRevision } from '../mcp/revisions.ts'
import type { Call, Headers } from './call.ts'

/** A session of another caller's is refused; a message that can have none may name any, so its is not passed on. */
const hasSession = ({ 'mcp-protocol-version': revision }: Headers): boolean =>
  typeof revision !== 'string' || !isModernRevision(revision)

/** A header that repeats an argument would say what the client sent, not what is sent on. */
const hasEdits = ({ decision }: Call): boolean =>
  decision?.verdict.allow === true && decision.verdict.edits !== undefined

/** Sets a header, or removes it: an empty list. */
export type HeaderChange = readonly [name: string, value: string | readonly string[]]

/** Forwarded as the client sent them. Anything else is removed: nobody can list every header that names a user. */
const forwarded = new Set([
  'accept', 'accept-encoding', 'accept-language', 'cache-control', 'connection', 'content-length', 'content-type',
  'expect', 'host', 'keep-alive', 'mcp-method', 'mcp-name', 'mcp-protocol-version', 'mcp-session-id', 'te',
  'traceparent', 'tracestate', 'transfer-encoding', 'user-agent',
]) // prettier-ignore
const forwardedPrefixes = ['mcp-param-', 'sec-fetch-', 'sec-ch-']

/** Never forwarded, whatever the configuration says. */
const neverForwarded = new Set(['authorization', 'proxy-authorization', 'cookie', 'dpop', 'x-mcp-exchange'])

/**
 * Kong sets these itself after the plugins have run. To X-Forwarded-For it appends, so what a client put there stays in
 * front: an upstream may rely on X-Real-IP, not on the rest (docs/operations.md).
 */
const setByKong = new Set([
  'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-path', 'x-forwarded-port', 'x-forwarded-prefix',
  'x-forwarded-proto', 'x-real-ip', 'x-kong-request-id',
]) // prettier-ignore

/**
 * What to change in the request's headers before the upstream sees them.
 *
 * @param token the gateway's own token for this call
 * @param extra lower-case names an administrator lets pass
 * @param keepRateKey Kong's rate limiting still has to see the stamped key: then it stays, an opaque one
 */
export function upstreamHeaders(
  call: Call,
  token: string,
  extra: ReadonlySet<string>,
  keepRateKey: boolean,
): HeaderChange[] {
  const said = [...identityHeaders(call, token), ...(keepRateKey ? [] : [['x-mcp-rate-key', []] as const])]
  const names = new Set(said.map(([name]) => name))
  const removed = Object.keys(call.request.headers)
    .filter((name) => !names.has(name) && !(keepRateKey && name === 'x-mcp-rate-key'))
    .filter(
      (name) =>
        !mayPass(name, extra) ||
        (name.startsWith('mcp-param-') && hasEdits(call)) ||
        (name === 'mcp-session-id' && !hasSession(call.request.headers)),
    )
    .map((name): HeaderChange => [name, []])
  return [...said, ...removed]
}

/** Are none of the client's credentials left once these changes are made? Asked again, in other words, before the door. */
export function removesCredentials(headers: Headers, changes: readonly HeaderChange[]): boolean {
  const changed = new Set(changes.map(([name]) => name))
  return (
    Object.keys(headers).every((name) => changed.has(name) || !neverForwarded.has(name)) && changed.has('authorization')
  )
}

function mayPass(name: string, extra: ReadonlySet<string>): boolean {
  if (neverForwarded.has(name) || name.startsWith('x-mcp-')) return false
  if (forwarded.has(name) || setByKong.has(name) || extra.has(name)) return true
  return forwardedPrefixes.some((prefix) => name.startsWith(prefix))
}

function identityHeaders(call: Call, token: string): HeaderChange[] {
  const { principal, target, decision } = call
  return [
    ['authorization', `Bearer ${token}`],
    ['x-mcp-principal', visible(principal?.id ?? '')],
    ['x-mcp-subject', visible(principal?.subject ?? '')],
    ['x-mcp-agent', visible(principal?.client ?? '')],
    ['x-mcp-tool', target?.kind === 'tool' ? visible(target.name) : []],
    ['x-mcp-request-id', call.id],
    ['x-mcp-decision-id', decision?.id ?? ''],
  ]
}

/** Visible ASCII as it is, everything else (and `%`) percent-encoded as UTF-8: nothing can begin a line of its own. */
const visible = (text: string): string =>
  text.toWellFormed().replace(/[^\x21-\x24\x26-\x7e]/gu, (character) => encodeURIComponent(character))
