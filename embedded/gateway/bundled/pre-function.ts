/**
 * Kong's `pre-function`, as far as a response tap needs it: Lua in `body_filter` and `log`.
 *
 * Source: Kong 3.9.3 `kong/plugins/pre-function`.
 */
import { unknownNames } from '../lua/environment.ts'
import { LuaSandbox } from '../lua/lua-sandbox.ts'
import type { Snippet } from '../lua/lua-sandbox.ts'
import type { BundledPlugin } from './index.ts'

const phases = ['certificate', 'rewrite', 'access', 'header_filter', 'body_filter', 'log']
const run = new Set(['body_filter', 'log'])
const elsewhere = 'remove it, or run this file on a real Kong'

export function preFunction(): BundledPlugin {
  // Made for the first Lua there is: none, and nothing is loaded.
  let made: LuaSandbox | undefined
  const sandbox = (): LuaSandbox => (made ??= new LuaSandbox())
  const compiled = new WeakMap<object, Snippet[]>()
  /** One list of texts of one configuration; compiled once, its local variables stay. */
  const snippets = (texts: readonly string[]): readonly Snippet[] => {
    let known = compiled.get(texts)
    if (!known) compiled.set(texts, (known = texts.map((text) => sandbox().compile(text))))
    return known
  }
  return {
    name: 'pre-function',
    priority: 1000000,
    schema: {
      noConsumer: true,
      config: phases.map((phase) => ({
        [phase]: { type: 'array', required: true, default: [], elements: { type: 'string' } } as const,
      })),
      check(config) {
        const texts = phases.flatMap((phase) => (config[phase] as string[]).map((text) => ({ phase, text })))
        if (texts.length === 0) return [`at least one of these fields must be non-empty: ${phases.join(', ')}`]
        return texts.flatMap(({ phase, text }) => faultsOf(phase, text, sandbox))
      },
    },
    bodyFilter(state, { config }, chunk, isLast) {
      for (const snippet of snippets(config['body_filter'] as string[])) snippet({ state, chunk, isLast })
    },
    log(state, { config }) {
      for (const snippet of snippets(config['log'] as string[])) snippet({ state })
    },
  }
}

function faultsOf(phase: string, text: string, sandbox: () => LuaSandbox): string[] {
  if (!run.has(phase)) return [`${phase}: the embedded gateway runs Lua in body_filter and log only: ${elsewhere}`]
  const unknown = unknownNames(text)
  if (unknown.length > 0) {
    return unknown.map((name) => `${phase}: the embedded gateway has no \`${name}\` for Lua: ${elsewhere}`)
  }
  try {
    sandbox().compile(text)
    return []
  } catch (error) {
    return [`${phase}: error parsing pre-function: ${error instanceof Error ? error.message : String(error)}`]
  }
}
