/** What has been anchored, one line each, beside the trail: appended to, and on disk before it counts. */
import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { type Anchor, anchorsFile, anchorsName, readAnchors } from '../../lib/audit/anchor.ts'
import { canonicalJson } from '../../lib/canonical-json.ts'
import type { JsonObject } from '../../lib/mcp/message.ts'
import { lastLine, readLines } from '../audit-sink/trail-files.ts'

/** Keys of the logs that have anchors, in order. */
export const anchoredLogs = (directory: string): string[] =>
  readdirSync(directory)
    .map((name) => anchorsName.exec(name)?.[1])
    .filter((log) => log !== undefined)
    .sort()

/** What a line of an anchor file says; undefined for one that is none. */
export function anchorOf(line: string): Anchor[] | undefined {
  try {
    return readAnchors(JSON.parse(line))
  } catch {
    return undefined
  }
}

/** The anchors of a log, in order. Lines that are none are left out: `verify` tells of them. */
export function* anchorsOf(directory: string, log: string): Generator<Anchor> {
  for (const read of readLines(directory, anchorsFile(log))) {
    const anchors = 'line' in read ? anchorOf(read.line) : undefined
    if (anchors) yield* anchors
  }
}

/**
 * Appends an anchor, after cutting off what a crash or a full disk left of a line: nobody was told of that one.
 *
 * For whoever holds the directory's lock for anchors.
 *
 * @throws Error when it could not be written: it is then anchored once more
 */
export function appendAnchor(directory: string, anchor: Anchor & JsonObject): void {
  const file = anchorsFile(anchor.log)
  const descriptor = openSync(join(directory, file), 'a+', 0o600)
  try {
    const { torn } = lastLine(directory, file)
    if (torn.length > 0) ftruncateSync(descriptor, fstatSync(descriptor).size - torn.length)
    const bytes = Buffer.from(`${canonicalJson(anchor)}\n`)
    for (let written = 0; written < bytes.length;) written += writeSync(descriptor, bytes, written)
    fdatasyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  const folder = openSync(directory, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
