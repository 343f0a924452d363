/**
 * Records in ArcSight's Common Event Format, version 0 (Micro Focus, "Implementing ArcSight Common Event Format", rev. 25).
 *
 * In the head a bar and a backslash are escaped, in the extension an equals sign, a backslash and a line's end. Every
 * other character that could steer something is written as `\u001b` would be in JSON, so one record is one line.
 */
import type { Json } from '../../mcp/message.ts'
import { type Ending, failureOf, judgeRecord, type Severity, summaryOf, whoActed } from './judge-record.ts'
import { numberAt, type ReadRecord, recordId, textAt, valueAt } from './read-line.ts'
import { beginningOf, visible } from './visible-text.ts'

export function toCef(record: ReadRecord): string {
  const { members, type } = record
  const { ending, severity } = judgeRecord(record)
  const who = whoActed(record)
  const ip = textAt(members, 'client_ip')
  const head = ['CEF:0', 'kong-mcp-suite', 'kong-mcp-suite', versionOf(valueAt(members, 'v')), type, summaryOf(record)]
  const extension: readonly (readonly [key: string, value: string | number | undefined])[] = [
    ['rt', record.timeMs],
    ['externalId', recordId(record)],
    ['dvchost', record.node],
    ['act', actions[ending]],
    ['outcome', outcomes[ending]],
    ['reason', failureOf(record)],
    // `src` is for IPv4 only.
    ...(ip?.includes(':') === true ? labelled('c6a2', 'Source IPv6 Address', ip) : [['src', ip] as const]),
    ['suid', who.id],
    ['suser', who.name ?? who.id],
    ['app', 'MCP'],
    ['requestMethod', textAt(members, 'verb')],
    ['request', textAt(members, 'path')],
    ['destinationServiceName', textAt(members, 'route')],
    ['in', numberAt(members, 'request_bytes')],
    ['out', numberAt(members, 'response_bytes')],
    ...labelled('cs1', 'method', textAt(members, 'method')),
    ...labelled('cs2', 'target', textAt(members, 'tool') ?? textAt(members, 'target')),
    ...labelled('cs3', 'agent', textAt(members, 'agent')),
    ...labelled('cs4', 'rule', textAt(members, 'decision', 'rule') ?? textAt(members, 'decision', 'reason')),
    ...labelled('cs5', 'call', textAt(members, 'call')),
    ...labelled('cs6', 'policySha256', textAt(members, 'decision', 'policy_sha256')),
    ...labelled('cn1', 'httpStatus', numberAt(members, 'http_status')),
    ...labelled('cn2', 'latencyMs', whole(numberAt(members, 'latency_ms'))),
    ...labelled('cn3', 'seq', record.seq),
  ]
  const said = extension.filter(([, value]) => value !== undefined)
  return `${head.map(inHead).join('|')}|${severities[severity]}|${said.map(([key, value]) => `${key}=${inExtension(String(value))}`).join(' ')}`
}

const labelled = (
  key: string,
  label: string,
  value: string | number | undefined,
): (readonly [string, string | number])[] =>
  value === undefined
    ? []
    : [
        [key, value],
        [`${key}Label`, label],
      ]

const inHead = (text: string): string => escapeText(cut(text, maxHead)).replace(/\|/g, '\\|')

const inExtension = (text: string): string => escapeText(cut(text, maxValue)).replace(/=/g, '\\=')

/** Line ends have an escape of their own in CEF; what else steers is made visible, and its backslash is a plain one. */
const escapeText = (text: string): string =>
  text
    .split(/(\r|\n)/)
    .map((part) => (part === '\n' ? '\\n' : part === '\r' ? '\\r' : visible(part.replace(/\\/g, '\\\\'), '\\\\')))
    .join('')

/** The dictionary's bound of cs1 to cs6. */
const maxValue = 4000
const maxHead = 512
const cut = (text: string, max: number): string => (text.length > max ? `${beginningOf(text, max)}…` : text)

const versionOf = (v: Json | undefined): string => (typeof v === 'number' ? String(v) : '0')
const whole = (value: number | undefined): number | undefined => (value === undefined ? undefined : Math.round(value))

/** CEF counts from 0 to 10: 0-3 low, 4-6 medium, 7-8 high. */
const severities: Readonly<Record<Severity, number>> = { info: 1, low: 3, medium: 5, high: 8 }

const actions: Readonly<Record<Ending, string | undefined>> = {
  allowed: 'allowed',
  succeeded: 'allowed',
  failed: 'allowed',
  unknown: 'allowed',
  denied: 'denied',
  unauthenticated: 'denied',
  refused: 'denied',
  none: undefined,
}

const outcomes: Readonly<Record<Ending, string | undefined>> = {
  allowed: undefined,
  succeeded: 'success',
  failed: 'failure',
  unknown: 'unknown',
  denied: 'failure',
  unauthenticated: 'failure',
  refused: 'failure',
  none: undefined,
}
