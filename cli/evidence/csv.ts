/** A table as a file for spreadsheets. */
import { csvLine, printable, type Row } from '../print-rows.ts'
import type { Table } from './section.ts'

const clean = (cell: string | number | readonly string[]): string | number | readonly string[] =>
  typeof cell === 'string' ? printable(cell) : typeof cell === 'number' ? cell : cell.map(printable)

/** All rows of a table; the last one says what is not listed, where there is something. */
export function csvOf({ columns, rows, unlisted = '' }: Table): string {
  const names = columns.map(({ name }) => name)
  const blank: Row<string> = Object.fromEntries(names.map((name) => [name, '']))
  const last = unlisted === '' ? [] : [{ ...blank, [names[0] ?? '']: `(not listed: ${unlisted})` }]
  const lineOf = (row: Row<string>): string =>
    csvLine(names, Object.fromEntries(names.map((name) => [name, clean(row[name] ?? '')])))
  return [names.join(','), ...rows.map(lineOf), ...last.map(lineOf), ''].join('\r\n')
}
