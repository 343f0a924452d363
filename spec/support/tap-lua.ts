/** The response tap of kong.yml, run by itself: parts of an answer in, what it leaves for mcp-audit out. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { HeaderLines } from '../../embedded/gateway/header-lines.ts'
import { LuaSandbox } from '../../embedded/gateway/lua/lua-sandbox.ts'
import type { RequestState } from '../../embedded/gateway/request-state.ts'
import { tapKey, withPieces } from '../../lib/audit/tapped-response.ts'
import { type KongPlugin, type KongYaml } from './gateway-under-test.ts'

const root = join(import.meta.dirname, '..', '..')

/** The tap as a file of the project has it, on its first route that has one. */
export function tapOf(...path: string[]): KongPlugin {
  const { services } = parse(readFileSync(join(root, ...path), 'utf8')) as KongYaml
  const found = services
    .flatMap(({ routes }) => routes)
    .flatMap(({ plugins = [] }) => plugins)
    .find(({ name }) => name === 'pre-function')
  if (!found) throw new Error(`there is no tap in ${path.join('/')}`)
  return found
}

const lua = new LuaSandbox()
const [watch, handOn] = ['body_filter', 'log'].map((phase) =>
  lua.compile((tapOf('kong', 'kong.yml').config?.[phase] as string[])[0] ?? ''),
)

/** @param hasEnded false: it broke off. @returns the log, as `responseOf` takes it */
export function tap(parts: readonly Uint8Array[], headers: Record<string, string>, hasEnded = true): any {
  const state = {
    sentLines: new HeaderLines(Object.entries(headers).flat()),
    shared: new Map<string, unknown>(),
    serializeValues: [] as [string, unknown][],
  }
  const run = { state: state as unknown as RequestState }
  for (const part of parts) watch?.({ ...run, chunk: Buffer.from(part), isLast: false })
  if (hasEnded) watch?.({ ...run, chunk: Buffer.alloc(0), isLast: true })
  handOn?.(run)
  const log = { mcp: { response: state.serializeValues[0]?.[1] } }
  return state.shared.has(tapKey) ? withPieces(log, state.shared.get(tapKey)) : log
}
