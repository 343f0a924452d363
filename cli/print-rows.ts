/** Rows for people, spreadsheets and programs. */
import { UsageError } from './command.ts'

export const rowFormats = ['table', 'csv', 'json'] as const
export type RowFormat = (typeof rowFormats)[number]

/** One row; a list stays one in JSON and is joined elsewhere. */
export type Row<Column extends string> = Readonly<Record<Column, string | number | readonly string[]>>

/** @throws UsageError for a format there is none of */
export function rowFormat(named: string): RowFormat {
  const format = rowFormats.find((one) => one === named)
  if (!format) throw new UsageError(`--format takes one of ${rowFormats.join(', ')}`)
  return format
}

/** Rows as text, without a line feed at the end. */
export function printRows<Column extends string>(
  columns: readonly Column[],
  rows: readonly Row<Column>[],
  format: RowFormat,
): string {
  switch (format) {
    case 'table':
      return table(columns, rows)
    case 'csv':
      return [columns.join(','), ...rows.map((row) => csvLine(columns, row))].join('\r\n')
    case 'json':
      return JSON.stringify(
        rows.map((row) => Object.fromEntries(columns.map((column) => [column, row[column]]))),
        undefined,
        2,
      )
  }
}

/** A row as a line of CSV, without its end. */
export const csvLine = <Column extends string>(columns: readonly Column[], row: Row<Column>): string =>
  columns.map((column) => csvCell(text(row[column]))).join(',')

/** Nothing that was written by others may steer the reader's terminal. */
export const printable = (value: string): string =>
  value.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)

/** The same for JSON, which stays the JSON it was: what JSON lets through as itself is escaped. */
export const printableJson = (json: string): string =>
  json.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    Array.from(
      { length: character.length },
      (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`,
    ).join(''),
  )

const text = (cell: string | number | readonly string[]): string =>
  typeof cell === 'string' ? cell : typeof cell === 'number' ? String(cell) : cell.join('; ')

function table<Column extends string>(columns: readonly Column[], rows: readonly Row<Column>[]): string {
  const cells = rows.map((row) => columns.map((column) => printable(text(row[column]))))
  const widths = columns.map((column, index) =>
    cells.reduce((most, row) => Math.max(most, Math.min(row[index]?.length ?? 0, maxPadded)), column.length),
  )
  const line = (values: readonly string[]): string =>
    values
      .map((value, index) => value.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd()
  return [line(columns), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join('\n')
}

/** Longer cells push their row aside rather than being cut: of a condition every word counts. */
const maxPadded = 60

/**
 * RFC 4180, and a spreadsheet must not take a cell for a formula: one that begins like one gets an apostrophe in front
 * (OWASP, CSV injection).
 */
function csvCell(value: string): string {
  const safe = /^[=+\-@\t\r\n＝＋－＠]/.test(value) ? `'${value}` : value
  return safe !== value || /[",;\r\n']/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
