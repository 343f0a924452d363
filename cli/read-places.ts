/** Where in a YAML or JSON file something is written, so that what is wrong with it can be said with its line. */
import { readFile, stat } from 'node:fs/promises'
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { UsageError } from './command.ts'

/** @property line from 1 */
export interface Fault {
  readonly file: string
  readonly line: number
  readonly message: string
}

/**
 * A file that has been read.
 *
 * @property value  what it says; undefined where its syntax is broken
 * @property faults of its syntax, keys that are there twice included
 */
export interface PlacedDocument {
  readonly file: string
  readonly value: unknown
  readonly faults: readonly Fault[]
  /** The line of the first of these places that is there, such as `cases[2].who`; 1 where none is. */
  lineOf(...places: readonly string[]): number
  /** The place a message begins with, as the readers of documents write them, within another place. */
  placeIn(within: string, message: string): string
}

/** What the gateway would not read either (adapters/policy). */
const maxBytes = 8 * 1024 * 1024
const maxAliasCount = 100

/** @throws UsageError for a file that cannot be read or is too large */
export async function readPlaces(file: string): Promise<PlacedDocument> {
  const text = await textOf(file)
  const lines = new LineCounter()
  const document = parseDocument(text, { uniqueKeys: true, lineCounter: lines, prettyErrors: false })
  const faults: Fault[] = document.errors.map(({ message, pos }) => ({
    file,
    line: lines.linePos(pos[0]).line,
    message: oneLine(message),
  }))
  // A key that is there twice hides nothing else; broken syntax makes guesses of everything after it.
  const isReadable = document.errors.every(({ code }) => code === 'DUPLICATE_KEY')
  const places = new Map<string, number>()
  if (isReadable) walk(document.contents, '', places, lines)
  let value: unknown
  if (isReadable) {
    try {
      value = document.toJS({ maxAliasCount })
    } catch (error) {
      faults.push({ file, line: 1, message: oneLine(error instanceof Error ? error.message : String(error)) })
    }
  }
  return {
    file,
    value,
    faults,
    lineOf: (...wanted) => places.get(wanted.find((place) => places.has(place)) ?? '') ?? 1,
    placeIn(within, message) {
      let longest = within
      for (const place of places.keys()) {
        if (place.length <= longest.length || !place.startsWith(within)) continue
        const inside = place.slice(within.length).replace(/^\./, '')
        if (message.startsWith(inside) && /^($|[ .[:])/.test(message.slice(inside.length))) longest = place
      }
      return longest
    },
  }
}

async function textOf(file: string): Promise<string> {
  try {
    if ((await stat(file)).size > maxBytes) throw new Error(`it is larger than ${maxBytes} bytes`)
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new UsageError(`\`${file}\` cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** What an alias stands for is at the line of the alias: only there is it part of this place. */
function walk(node: Node | null, at: string, places: Map<string, number>, lines: LineCounter): void {
  if (isMap(node)) {
    for (const { key, value } of node.items) {
      if (!isScalar(key)) continue
      const place = at === '' ? String(key.value) : `${at}.${String(key.value)}`
      places.set(place, lines.linePos(key.range?.[0] ?? 0).line)
      walk(value as Node | null, place, places, lines)
    }
  } else if (isSeq(node)) {
    for (const [index, item] of (node.items as (Node | null)[]).entries()) {
      places.set(`${at}[${index}]`, lines.linePos(item?.range?.[0] ?? 0).line)
      walk(item, `${at}[${index}]`, places, lines)
    }
  }
}

const oneLine = (message: string): string => message.replace(/\s+/g, ' ').trim()
