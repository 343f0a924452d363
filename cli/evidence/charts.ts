/** Charts as inline SVG that keep their letters at their size however wide the page is. */
import { Html, html } from './html.ts'
import { count, counted } from './seen.ts'

/**
 * Fills by place: colours of the Okabe-Ito palette, which people who see fewer colours tell apart, and a hatching of their
 * own for those who see none, and for printers.
 */
const fills = ['fill-1', 'fill-2', 'fill-3', 'fill-4', 'fill-5'] as const

const swatch = (at: number): Html =>
  html`<svg class="swatch" width="14" height="14" aria-hidden="true">
    <rect class="${fills[at] ?? 'fill-1'}" width="14" height="14" />
  </svg>`

/** The hatchings, once a page. */
export const patterns = html`<svg class="patterns" width="0" height="0" aria-hidden="true">
  <defs>
    <pattern id="hatch-2" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
      <rect width="6" height="6" fill="#d55e00" />
      <rect width="2" height="6" fill="#fff" fill-opacity=".55" />
    </pattern>
    <pattern id="hatch-3" width="5" height="5" patternUnits="userSpaceOnUse">
      <rect width="5" height="5" fill="#e69f00" />
      <circle cx="2.5" cy="2.5" r="1.1" fill="#5b3d00" />
    </pattern>
    <pattern id="hatch-4" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">
      <rect width="6" height="6" fill="#56b4e9" />
      <rect width="1.5" height="6" fill="#0b3c5d" fill-opacity=".7" />
    </pattern>
    <pattern id="hatch-5" width="5" height="5" patternUnits="userSpaceOnUse">
      <rect width="5" height="5" fill="#cc79a7" />
      <rect width="5" height="1.5" fill="#5b2344" fill-opacity=".8" />
    </pattern>
  </defs>
</svg>`

/** @property values of each series, in the order of the series */
export interface Bar {
  readonly label: string
  readonly values: number[]
}

interface StackedBars {
  readonly id: string
  readonly title: string
  readonly unit: string
  readonly series: readonly string[]
  readonly bars: readonly Bar[]
}

const plotHeight = 190

/** Bars beside each other, each a stack of the series. Nothing where there is nothing to see. */
export function stackedBars({ id, title, unit, series, bars }: StackedBars): Html {
  const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0)
  const totals = series.map((_, at) => sum(bars.map(({ values }) => values[at] ?? 0)))
  const all = sum(totals)
  if (all === 0) return new Html('')
  const most = Math.max(...bars.map(({ values }) => sum(values)))
  const top = roundUp(most)
  const height = (value: number): number => (value / top) * plotHeight
  const step = 100 / bars.length
  const present = series.map((name, at) => ({ name, at, total: totals[at] ?? 0 })).filter(({ total }) => total > 0)
  const busiest = bars.find(({ values }) => sum(values) === most)
  const said = `${present.map(({ name, total }) => `${count(total)} ${name}`).join(', ')}. The most were ${count(most)}, from ${busiest?.label ?? ''} on. The table below has every number.`
  const lines = [top / 2, top].map(
    (value) =>
      html`<line class="grid" x1="0" x2="100%" y1="${y(height(value))}" y2="${y(height(value))}" />
        <text class="tick" x="0" y="${y(height(value) + 4)}">${count(value)}</text>`,
  )
  const stacks = bars.map(({ label, values }, at) => {
    let under = 0
    const parts = values.map((value, of) => {
      if (value === 0) return new Html('')
      const part = html`<rect
        class="${fills[of] ?? 'fill-1'}"
        x="${(at * step + step * 0.1).toFixed(3)}%"
        width="${(step * 0.8).toFixed(3)}%"
        y="${y(height(under + value))}"
        height="${Math.max(1, height(value)).toFixed(1)}"
      />`
      under += value
      return part
    })
    return under === 0
      ? new Html('')
      : html`<g
          ><title>${label}: ${values.map((value, of) => `${count(value)} ${series[of] ?? ''}`).join(', ')}</title
          >${parts}</g
        >`
  })
  return html`<figure>
    <figcaption><strong>${title}</strong> <span>${unit}</span></figcaption>
    <ul class="legend">
      ${present.map(({ name, at, total }) => html`<li>${swatch(at)} ${name} <b>${count(total)}</b></li>`)}
    </ul>
    <svg class="chart" width="100%" height="${plotHeight + 44}" role="img" aria-labelledby="${id}-title ${id}-text">
      <title id="${id}-title">${title}</title>
      <desc id="${id}-text">${said}</desc>
      ${lines}${stacks}
      <line class="axis" x1="0" x2="100%" y1="${y(0)}" y2="${y(0)}" />
      ${edges(bars)}
    </svg>
    <p class="words">${said}</p>
  </figure>`
}

const y = (above: number): string => (plotHeight + 20 - above).toFixed(1)

function edges(bars: readonly Bar[]): Html[] {
  const below = String(plotHeight + 38)
  const [first, last] = [bars[0]?.label ?? '', bars.at(-1)?.label ?? '']
  const middle = bars[Math.floor(bars.length / 2)]?.label ?? ''
  if (bars.length === 1) return [html`<text class="tick" x="50%" y="${below}" text-anchor="middle">${first}</text>`]
  return [
    html`<text class="tick" x="0" y="${below}">${first}</text>`,
    ...(bars.length < 5 ? [] : [html`<text class="tick" x="50%" y="${below}" text-anchor="middle">${middle}</text>`]),
    html`<text class="tick" x="100%" y="${below}" text-anchor="end">${last}</text>`,
  ]
}

/** The next of 2, 4, 10, 20, 40, 100 …, so that half of it is a whole number. */
function roundUp(value: number): number {
  const ten = 10 ** Math.floor(Math.log10(Math.max(1, value)))
  return [2, 4, 10, 20].map((one) => one * ten).find((one) => one >= value) ?? value
}

const maxLines = 10

/** Bars below each other, each with its name above it; the longest first, and what is left over together. */
export function rankedBars(
  {
    id,
    title,
    unit,
    what,
  }: { readonly id: string; readonly title: string; readonly unit: string; readonly what: string },
  values: readonly (readonly [name: string, value: number])[],
): Html {
  if (values.length === 0) return new Html('')
  const rest = values.slice(maxLines)
  const shown = [
    ...values.slice(0, maxLines),
    ...(rest.length === 0
      ? []
      : [[counted(rest.length, 'other'), rest.reduce((sum, [, value]) => sum + value, 0)] as const]),
  ]
  const most = Math.max(...shown.map(([, value]) => value))
  const row = 38
  const said = shown.map(([name, value]) => `${name} ${count(value)}`).join(', ')
  return html`<figure>
    <figcaption><strong>${title}</strong> <span>${unit}</span></figcaption>
    <svg class="chart" width="100%" height="${shown.length * row}" role="img" aria-labelledby="${id}-title ${id}-text">
      <title id="${id}-title">${title}</title>
      <desc id="${id}-text">${what}: ${said}. The table below has every number.</desc>
      ${shown.map(
        ([name, value], at) =>
          html`<text class="name" x="0" y="${at * row + 14}">${cut(name)}</text>
            <text class="name number" x="100%" y="${at * row + 14}" text-anchor="end">${count(value)}</text>
            <rect class="track" x="0" width="100%" y="${at * row + 20}" height="10" />
            <rect
              class="fill-2"
              x="0"
              width="${((value / most) * 100).toFixed(2)}%"
              y="${at * row + 20}"
              height="10"
            />`,
      )}
    </svg>
  </figure>`
}

const cut = (text: string): string => (text.length > 40 ? `${text.slice(0, 39)}…` : text)
