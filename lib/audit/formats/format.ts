/** In which words a sink is told what happened. */
import { toCef } from './cef.ts'
import { toEcs } from './ecs.ts'
import { toOcsf } from './ocsf.ts'
import type { ReadRecord } from './read-line.ts'
import { visibleJson } from './visible-text.ts'

/**
 * - `native`: the line of the trail, byte for byte, so that it can be verified at the other end
 * - `ocsf`, `ecs`: a JSON object of that schema
 * - `cef`: a line of text
 */
export const formats = ['native', 'ocsf', 'ecs', 'cef'] as const
export type Format = (typeof formats)[number]

/**
 * A record in a format: one line, without its line feed.
 *
 * @property isJson it is a JSON object, and can stand inside another
 */
export interface Formatted {
  readonly text: string
  readonly isJson: boolean
}

export function formatRecord(record: ReadRecord, format: Format): Formatted {
  switch (format) {
    case 'native':
      return { text: record.line, isJson: true }
    case 'ocsf':
      return { text: visibleJson(toOcsf(record)), isJson: true }
    case 'ecs':
      return { text: visibleJson(toEcs(record)), isJson: true }
    case 'cef':
      return { text: toCef(record), isJson: false }
  }
}
