/** Does a route's response tap work? Without one outcomes say status, size and latency, not how a request was answered. */

/** A plugin as far as the tap is concerned. */
export interface TapPlugin {
  readonly name?: string
  readonly enabled?: boolean
  readonly config?: Readonly<Record<string, unknown>>
}

const marker = '-- kong-mcp-suite: response tap v1'
const phases = ['body_filter', 'log'] as const
const copy = 'copy it from kong/examples/03-what-came-back.yml'

/**
 * What keeps the answers of a route off the record: sentences that follow the route's name.
 *
 * @param places the plugins of the route, of its service, and of all: of one kind Kong runs the first that is enabled
 */
export function tapFaults(places: readonly (readonly TapPlugin[])[]): string[] {
  const inForce = (name: string): TapPlugin | undefined =>
    places.flat().find((plugin) => plugin.name === name && plugin.enabled !== false)
  if (!inForce('mcp-audit') && !inForce('mcp-gateway')) return []
  const pre = inForce('pre-function')
  const missing = phases.filter((phase) => !hasTap(pre, phase))
  if (missing.length === 0) return []
  const post = inForce('post-function')
  if (phases.some((phase) => hasTap(post, phase))) {
    return [
      'the response tap is in post-function, which hands it on after mcp-audit has written: move it to pre-function',
    ]
  }
  if (missing.length === phases.length)
    return [`has mcp-audit and no response tap, so outcomes cannot say how a request was answered: ${copy}`]
  return [`the response tap is not in pre-function's \`${missing.join('`, `')}\`: ${copy}`]
}

function hasTap(plugin: TapPlugin | undefined, phase: (typeof phases)[number]): boolean {
  const texts: unknown = plugin?.config?.[phase]
  return Array.isArray(texts) && texts.some((text) => typeof text === 'string' && firstLine(text) === marker)
}

const firstLine = (text: string): string => text.trimStart().split('\n', 1)[0]?.trimEnd() ?? ''
