/** Every class of docs/bypass-classes.md is held by a spec that exists. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { quoted, tableUnder } from './tables.ts'

const root = join(import.meta.dirname, '..', '..')
const rows = tableUnder('bypass-classes.md', 'Classes')

/** The specs of a cell: `folder/file` and the titles named after it, or none where the whole file is meant. */
const heldBy = (cell: string): { file: string; titles: string[] }[] =>
  cell.split(';').map((one) => ({ file: `${one.trim().split(/[\s`]/)[0] ?? ''}.spec.ts`, titles: quoted(one) }))

/** Does a file have a test, a group or a row of this title? As a whole string of the source, in any quotes. */
function hasTitle(source: string, title: string): boolean {
  return ["'", '"', '`'].some((quote) => source.includes(`${quote}${title}${quote}`))
}

describe('docs/bypass-classes.md', () => {
  it('has all classes, once and in order', () => {
    expect(rows.map((row) => row['#'])).toEqual(Array.from({ length: 31 }, (_, at) => String(at + 1)))
    for (const row of rows) expect(row['what the gateway does']).toMatch(/\w/)
  })

  it.each(rows.map((row) => ({ row, number: row['#'], what: row['way around'] })))('$number $what', ({ row }) => {
    const specs = heldBy(row['held by'] ?? '')
    expect(specs.length).toBeGreaterThan(0)
    for (const { file, titles } of specs) {
      const path = join(root, file)
      expect(existsSync(path), `${file} exists`).toBe(true)
      const source = readFileSync(path, 'utf8')
      for (const title of titles) expect(hasTitle(source, title), `${file} has a spec \`${title}\``).toBe(true)
    }
  })

  it('names at least one spec on the gateway for every class', () => {
    const without = rows.filter((row) => !/\bgateway\//.test(row['held by'] ?? ''))
    expect(without.map((row) => row['#'])).toEqual([])
  })
})
