/** Kong's `cors`. Source: Kong 3.9.3 `kong/plugins/cors`. */
import { exitAnswer } from '../answers.ts'
import type { HeaderLines } from '../header-lines.ts'
import type { RequestState } from '../request-state.ts'
import type { BundledPlugin } from './index.ts'

const methods = ['GET', 'HEAD', 'PUT', 'PATCH', 'POST', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT']
const list = { type: 'array', elements: { type: 'string' } } as const
const flag = { type: 'boolean', required: true, default: false } as const

type Config = Readonly<Record<string, unknown>>

export function cors(): BundledPlugin {
  const preflights = new WeakSet<RequestState>()
  return {
    name: 'cors',
    priority: 2000,
    schema: {
      noConsumer: true,
      config: [
        { origins: list },
        { headers: list },
        { exposed_headers: list },
        { methods: { type: 'array', default: methods, elements: { type: 'string', one_of: methods } } },
        { max_age: { type: 'number' } },
        { credentials: flag },
        { private_network: flag },
        { preflight_continue: flag },
      ],
      check: (config) =>
        strings(config['origins'])
          .filter((origin) => origin !== '*' && !isRegex(origin))
          .map((origin) => `origins: \`${origin}\` is not a valid regex`),
    },
    access(state, { config }) {
      const { headers, request } = state
      const isPreflight =
        request.method === 'OPTIONS' &&
        headers.get('origin') !== undefined &&
        headers.get('access-control-request-method') !== undefined
      if (!isPreflight) return
      preflights.add(state)
      if (config['preflight_continue'] === true) return
      const lines = state.responseLines
      allowOrigin(state, config, lines, (name, value) => lines.set(name, value))
      const allowed = strings(config['headers'])
      const wanted = headers.get('access-control-request-headers')
      if (allowed.length > 0) lines.set('Access-Control-Allow-Headers', allowed.join(','))
      else if (wanted !== undefined) lines.set('Access-Control-Allow-Headers', wanted)
      lines.set('Access-Control-Allow-Methods', strings(config['methods']).join(','))
      if (typeof config['max_age'] === 'number') lines.set('Access-Control-Max-Age', String(config['max_age']))
      if (config['private_network'] === true && headers.get('access-control-request-private-network') === 'true') {
        lines.set('Access-Control-Allow-Private-Network', 'true')
      }
      state.isExited = true
      state.answer = exitAnswer(200, {}, Buffer.alloc(0))
    },
    headerFilter(state, { config }, lines) {
      if (preflights.has(state)) return
      allowOrigin(state, config, lines, (name, value) => lines.add(name, value))
      const exposed = strings(config['exposed_headers'])
      if (exposed.length > 0) lines.set('Access-Control-Expose-Headers', exposed.join(','))
    },
  }
}

/** @param vary how the Vary header is written: set before there is an answer, added to one that is there */
function allowOrigin(
  state: RequestState,
  config: Config,
  lines: HeaderLines,
  vary: (name: string, value: string) => void,
): void {
  const origins = strings(config['origins'])
  const origin = state.headers.get('origin')
  const [first] = origins
  let allowsAll = origins.length === 0 || (origins.length === 1 && first === '*')
  if (allowsAll) {
    lines.set('Access-Control-Allow-Origin', '*')
  } else {
    vary('vary', 'Origin')
    const allowed =
      origins.length === 1 && first !== undefined && isPlain(first) ? first : origin && matching(origins, origin)
    if (allowed === undefined || allowed === '') lines.clear('Access-Control-Allow-Origin')
    else lines.set('Access-Control-Allow-Origin', allowed)
    allowsAll = allowed === '*'
  }
  if (config['credentials'] !== true) return
  if (!allowsAll) {
    lines.set('Access-Control-Allow-Credentials', 'true')
  } else if (origin !== undefined) {
    vary('vary', 'Origin')
    lines.set('Access-Control-Allow-Origin', origin)
    lines.set('Access-Control-Allow-Credentials', 'true')
  }
}

/** What is answered to this origin: itself, `*` when any is allowed, or undefined. */
function matching(origins: readonly string[], origin: string): string | undefined {
  if (origins.includes('*')) return '*'
  const asked = normalize(origin)
  const isAllowed = origins.some((allowed) => {
    if (isPlain(allowed)) return normalize(allowed).domain === asked.domain
    const expression = new RegExp(`^(?:${allowed.replace(/^\^/, '').replace(/\$$/, '')})$`)
    return expression.test(allowed.includes(':') ? asked.domain : asked.host)
  })
  return isAllowed ? asked.domain : undefined
}

function normalize(origin: string): { domain: string; host: string } {
  const parts = /^(?:([a-z][a-z0-9+.-]*):)?\/\/(\[[^\]]*\]|[^:/?#]*)(?::(\d+))?/i.exec(origin)
  const [, scheme, host, port] = parts ?? []
  if (!host) return { domain: origin, host: origin }
  const isUsual = (scheme === 'http' && port === '80') || (scheme === 'https' && port === '443')
  return { domain: `${scheme ? `${scheme}://` : ''}${host}${port && !isUsual ? `:${port}` : ''}`, host }
}

function isPlain(origin: string): boolean {
  return /^[A-Za-z0-9.:/-]+$/.test(origin)
}

function isRegex(text: string): boolean {
  try {
    return Boolean(new RegExp(text))
  } catch {
    return false
  }
}

function strings(value: unknown): string[] {
  return (value ?? []) as string[]
}
