/** A tally as a table. */
import { type Column, type Table, tallyColumns } from './section.ts'
import { timeText } from './seen.ts'
import type { Tally } from './tally.ts'

/** @param cells columns of the tally's cells, in their order */
export function tallyTable(
  tally: Tally,
  cells: readonly Column[],
  { title, file, empty, what = 'records' }: Pick<Table, 'title' | 'file' | 'empty'> & { readonly what?: string },
): Table {
  return {
    title,
    file,
    empty,
    columns: tallyColumns(cells, what),
    rows: tally.rows().map((row) => ({
      ...Object.fromEntries(cells.map(({ name }, at) => [name, row.cells[at] ?? ''])),
      [what]: row.count,
      first: timeText(row.first),
      last: timeText(row.last),
      first_record: row.firstAt,
      last_record: row.lastAt,
    })),
    extent: tally.extent,
    unlisted: tally.unlisted,
  }
}
