/** HTML that cannot be anything else: whatever is put into it is text, unless it was made here. */
import { printable } from '../print-rows.ts'

/** Markup that was written by us. */
export class Html {
  readonly markup: string
  constructor(markup: string) {
    this.markup = markup
  }
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
}

/** Text as it may stand between tags and in quoted attributes; control and format characters become visible. */
export const escapeHtml = (text: string): string => printable(text).replace(/[&<>"'`]/g, (one) => entities[one] ?? '')

type Part = Html | string | number | undefined | readonly Html[]

/** A template whose values are escaped. Attributes have to be quoted in it. */
export function html(texts: TemplateStringsArray, ...values: readonly Part[]): Html {
  const markup = (value: Part): string => {
    if (value === undefined) return ''
    if (value instanceof Html) return value.markup
    if (typeof value === 'string') return escapeHtml(value)
    return typeof value === 'number' ? String(value) : value.map((one) => one.markup).join('')
  }
  return new Html(texts.reduce((all, text, at) => all + markup(values[at - 1]) + text))
}
