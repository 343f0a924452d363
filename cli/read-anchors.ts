/** Anchors as they lie beside a trail, and as an auditor has fetched them from elsewhere. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { anchoredLogs, anchorOf } from '../adapters/anchors/anchor-file.ts'
import { readLines } from '../adapters/audit-sink/trail-files.ts'
import { type Anchor, anchorsFile, readAnchors } from '../lib/audit/anchor.ts'
import { UsageError } from './command.ts'

/**
 * @property isOutside fetched by the auditor: nobody on the node had a hand in it
 * @property at        where it stands, as messages name it
 */
export interface FoundAnchor {
  readonly anchor: Anchor
  readonly isOutside: boolean
  readonly at: string
}

/** @property unread where something stands that is no anchor */
export interface FoundAnchors {
  readonly anchors: readonly FoundAnchor[]
  readonly unread: readonly string[]
}

/**
 * @param directories of trails: their anchors-*.jsonl
 * @param given       files, or directories with files at any depth, from a store or a collector: one JSON object, or one on
 *                    each line
 * @throws UsageError for one that is not there, and for one with no anchor in it
 */
export function findAnchors(directories: readonly string[], given: readonly string[]): FoundAnchors {
  const anchors: FoundAnchor[] = []
  const unread: string[] = []
  for (const directory of directories)
    for (const log of anchoredLogs(directory)) readFile(join(directory, anchorsFile(log)), false)
  for (const path of given) {
    if (!existsSync(path)) throw new UsageError(`--anchors: there is no ${path}`)
    const files = statSync(path).isDirectory()
      ? readdirSync(path, { recursive: true, encoding: 'utf8' })
          .map((name) => join(path, name))
          .filter((file) => statSync(file).isFile())
          .sort()
      : [path]
    if (files.length === 0) throw new UsageError(`--anchors: ${path} is empty`)
    const before = anchors.length
    for (const file of files) readFile(file, true)
    // Packed, or in another form: whoever brings copies must not be told that all is well, and nothing was compared.
    if (anchors.length === before) throw new UsageError(`--anchors: ${path} has no anchor in it`)
  }
  return { anchors, unread }

  function readFile(file: string, isOutside: boolean): void {
    const whole = isOutside ? wholeOf(file) : undefined
    if (whole) {
      anchors.push(...whole.map((anchor) => ({ anchor, isOutside, at: file })))
      return
    }
    let [number, none] = [0, 0]
    for (const read of readLines(dirname(file), basename(file))) {
      number++
      const at = `${file}:${number}`
      const line = 'line' in read ? read.line : isOutside ? read.torn.toString('utf8') : ''
      const found = anchorOf(line)
      if (found) anchors.push(...found.map((anchor) => ({ anchor, isOutside, at })))
      // Once for a file: whoever fills one must not fill the memory of who reads it.
      else if ((line.trim() !== '' || 'torn' in read) && none++ === 0) unread.push(at)
    }
    if (none > 1) unread.push(`${file}, in ${none - 1} more places`)
  }
}

const maxWholeBytes = 1024 * 1024

/** A file that is one JSON object over several lines, as somebody's tool may have laid it out; or a list of them. */
function wholeOf(file: string): Anchor[] | undefined {
  if (statSync(file).size > maxWholeBytes) return undefined
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'))
    const each = (Array.isArray(value) ? value : [value]).map(readAnchors)
    return each.includes(undefined) ? undefined : each.flatMap((anchors) => anchors ?? [])
  } catch {
    return undefined
  }
}
