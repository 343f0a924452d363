/** A table on the page: its first rows, and what it was counted from. */
import { type Html, html } from './html.ts'
import type { Column, Table } from './section.ts'
import { count, counted } from './seen.ts'

/** Rows a table has on the page; all of them are in its file. */
const maxRows = 40

export function tableHtml({ title, file, columns, rows, extent, unlisted = '', empty, isOnlyInFile }: Table): Html {
  const shown = columns.filter((column) => column.isOnlyInFile !== true)
  const more = rows.length - maxRows
  const ranges = extent?.ranges() ?? ''
  const from = extent
    ? `${counted(rows.length, 'row')}, from ${counted(extent.count, 'record')}${ranges === '' ? '' : ` (${ranges})`}`
    : counted(rows.length, 'row')
  return html`<h3>${title}</h3>
    ${
      isOnlyInFile
        ? undefined
        : rows.length === 0
          ? html`<p class="empty">None: ${empty}.</p>`
          : html`<table role="table" aria-label="${title}">
              <thead>
                <tr role="row">
                  ${shown.map((column) => html`<th scope="col" class="${classOf(column)}">${column.label}</th>`)}
                </tr>
              </thead>
              <tbody>
                ${rows.slice(0, maxRows).map(
                  (row) =>
                    html`<tr role="row">
                      ${shown.map((column) => html`<td role="cell" class="${classOf(column)}" data-label="${column.label}">${cell(row[column.name])}</td>`)}
                    </tr> `,
                )}
              </tbody>
            </table>`
    }
    ${more > 0 && !isOnlyInFile ? html`<p class="unlisted">and ${count(more)} more in <a href="${file}">${file}</a></p>` : undefined}
    ${unlisted === '' ? undefined : html`<p class="unlisted">Not listed: ${unlisted}.</p>`}
    <p class="under">${from}. All of it: <a href="${file}">${file}</a></p>`
}

const classOf = ({ name, isNumber }: Column): string =>
  isNumber
    ? 'number'
    : ['time', 'first', 'last', 'from', 'to', 'day'].includes(name)
      ? 'time'
      : ['kind', 'status', 'explained'].includes(name)
        ? 'short'
        : 'text'

const cell = (value: string | number | readonly string[] | undefined): string =>
  value === undefined
    ? ''
    : typeof value === 'number'
      ? count(value)
      : typeof value === 'string'
        ? value
        : value.join(', ')
