/** Lists of tools in files: what a server answers to tools/list, or the definitions that were approved of it. */
import { readFile } from 'node:fs/promises'
import { readPinsFile, readSeen } from '../adapters/policy/pin-files.ts'
import { isRecord } from '../lib/is-record.ts'
import type { JsonSchema } from '../lib/policy/condition.ts'
import { UsageError } from './command.ts'

/** @property inputSchema undefined where the list has none: then nothing is known of its arguments */
export interface ListedTool {
  readonly name: string
  readonly inputSchema: JsonSchema | undefined
}

/** @property isWhole false where the list goes on: there are tools that are not in it */
export interface ToolsReading {
  readonly tools: readonly ListedTool[]
  readonly isWhole: boolean
}

/**
 * Reads an answer to tools/list (the message, its result, or the bare list), or a pins file, of which the approved
 * definitions are taken from what was seen beside it.
 *
 * @throws UsageError for a file that cannot be read, or that is neither
 */
export async function readTools(file: string): Promise<ToolsReading> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new UsageError(`\`${file}\` cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  })
  const value = jsonOf(text)
  const tools = value === undefined ? undefined : toolsIn(value)
  if (tools) return { tools, isWhole: !goesOn(value) }
  const pinned = pinnedTools(file)
  if (pinned) return { tools: pinned, isWhole: true }
  throw new UsageError(`\`${file}\` is no answer to tools/list (JSON), and no pins file with what was seen beside it`)
}

/** Tools in an answer to tools/list, its result, or a bare list of tools or of names; undefined for anything else. */
export function toolsIn(value: unknown): readonly ListedTool[] | undefined {
  const list = [value, member(value, 'tools'), member(member(value, 'result'), 'tools')].find(Array.isArray) as
    readonly unknown[] | undefined
  const tools = list?.map((one): ListedTool | undefined => {
    const name = typeof one === 'string' ? one : member(one, 'name')
    const schema = member(one, 'inputSchema')
    return typeof name === 'string' ? { name, inputSchema: isRecord(schema) ? schema : undefined } : undefined
  })
  return tools?.every((tool) => tool !== undefined) ? tools : undefined
}

const goesOn = (value: unknown): boolean =>
  [member(value, 'nextCursor'), member(member(value, 'result'), 'nextCursor')].some((one) => typeof one === 'string')

const member = (of: unknown, name: string): unknown => (isRecord(of) && Object.hasOwn(of, name) ? of[name] : undefined)

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** Undefined where it is no pins file. A definition too long to have been kept is a tool of which nothing is known. */
function pinnedTools(file: string): readonly ListedTool[] | undefined {
  try {
    const pins = readPinsFile(file)
    const { texts } = readSeen(file)
    return [...pins].map(([name, { sha256 }]) => {
      const schema = member(texts.get(sha256), 'inputSchema')
      return { name, inputSchema: isRecord(schema) ? schema : undefined }
    })
  } catch {
    return undefined
  }
}
