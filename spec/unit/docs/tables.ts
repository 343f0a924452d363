/** The tables of a page in docs, for specs that hold them against the code. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const docs = join(import.meta.dirname, '..', '..', '..', 'docs')

/** A row: the text of each cell by the head of its column. */
export type TableRow = Readonly<Record<string, string>>

/**
 * The rows of the first table under a heading.
 *
 * @throws Error where the page has no such heading, or no table under it
 */
export function tableUnder(page: string, heading: string): readonly TableRow[] {
  const lines = readFileSync(join(docs, page), 'utf8').split('\n')
  const at = lines.indexOf(`## ${heading}`)
  if (at === -1) throw new Error(`${page} has no heading ${heading}`)
  const end = lines.findIndex((line, index) => index > at && line.startsWith('## '))
  const [head, , ...rows] = lines
    .slice(at, end === -1 ? undefined : end)
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
  if (!head || rows.length === 0) throw new Error(`${page} has no table under ${heading}`)
  return rows.map((cells) => Object.fromEntries(head.map((name, index) => [name, cells[index] ?? ''])))
}

/** What stands in backticks in a cell, in order. */
export const quoted = (cell: string | undefined): string[] =>
  [...(cell ?? '').matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '')
