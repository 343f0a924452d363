/** How the report looks: on a screen, on a telephone, and on A4. */

export const pageStyle = `
:root { --ink: #1c2430; --soft: #5a6675; --line: #d9dee5; --faint: #f4f6f8; --accent: #0b4f82; --bad: #8f2d00; --bad-faint: #fdf1ea; --good: #0a5c45; --good-faint: #e9f5f0; }
* { box-sizing: border-box; }
html { color-scheme: light; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: #fff; color: var(--ink); font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; overflow-wrap: anywhere; }
main, header.top { max-width: 66rem; margin: 0 auto; padding: 0 1.5rem; }
header.top { padding-top: 2.5rem; }
h1, h2, h3, h4 { line-height: 1.25; text-wrap: balance; }
h1 { font-size: 2rem; margin: 0 0 .25rem; letter-spacing: -.01em; }
h2 { font-size: 1.35rem; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 1.75rem 0 .4rem; }
h4 { font-size: .95rem; margin: 0 0 .4rem; }
a { color: var(--accent); }
p { margin: .5rem 0; max-width: 46rem; }
.eyebrow { color: var(--soft); font-size: .8rem; letter-spacing: .06em; text-transform: uppercase; margin: 0 0 .4rem; }
.period { font-size: 1.1rem; margin: 0; }
.verdict { border-left: 5px solid var(--good); background: var(--good-faint); padding: .9rem 1.1rem; margin: 1.5rem 0; }
.verdict.bad { border-color: var(--bad); background: var(--bad-faint); }
.verdict h2 { margin: 0; font-size: 1.15rem; color: var(--good); }
.verdict.bad h2 { color: var(--bad); }
.verdict ul { margin: .5rem 0 0; }
ul, ol { padding-left: 1.2rem; }
li { margin: .15rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: 0; margin: 1.5rem 0; border: 1px solid var(--line); border-radius: 6px; overflow: hidden; }
.tiles div { padding: .7rem 1rem; box-shadow: 1px 1px 0 var(--line); }
.tiles dt { color: var(--soft); font-size: .8rem; }
.tiles dd { margin: 0; font-size: 1.45rem; font-variant-numeric: tabular-nums; line-height: 1.3; }
section { border-top: 1px solid var(--line); margin: 2.5rem 0 0; padding: 1.75rem 0 0; }
.criteria { list-style: none; display: flex; flex-wrap: wrap; gap: .35rem; margin: 0 0 .8rem; padding: 0; }
.criteria li { border: 1px solid var(--accent); color: var(--accent); border-radius: 3px; padding: 0 .45rem; font-size: .75rem; line-height: 1.5; margin: 0; }
.scope { display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem; background: var(--faint); padding: .8rem 1.1rem; margin: .5rem 0 1rem; border-radius: 4px; }
.scope h3 { margin: 0 0 .2rem; font-size: .78rem; color: var(--soft); letter-spacing: .04em; text-transform: uppercase; }
.scope p { margin: 0; font-size: .9rem; }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.25rem; margin: 1rem 0; font-size: .92rem; }
dl.facts dt { color: var(--soft); max-width: 22rem; }
dl.facts dd { margin: 0; font-variant-numeric: tabular-nums; }
.exceptions { color: var(--bad); font-weight: 600; }
table { border-collapse: collapse; width: 100%; margin: .4rem 0 .3rem; font-size: .85rem; line-height: 1.4; }
th, td { text-align: left; vertical-align: top; padding: .32rem .6rem .32rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--ink); overflow-wrap: normal; hyphens: auto; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number, th.number { padding-right: 1.4rem; }
th:last-child, td:last-child { padding-right: 0; }
td.time { font-variant-numeric: tabular-nums; min-width: 6em; overflow-wrap: normal; }
td.short { overflow-wrap: normal; }
.under { color: var(--soft); font-size: .8rem; margin: 0 0 .5rem; max-width: none; }
.empty { color: var(--soft); font-style: italic; }
.unlisted { color: var(--bad); font-size: .85rem; }
figure { margin: 1.25rem 0; }
figcaption { margin-bottom: .3rem; }
figcaption span { color: var(--soft); font-size: .85rem; }
.chart { display: block; overflow: visible; }
.patterns { position: absolute; }
.words { color: var(--soft); font-size: .85rem; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; margin: .2rem 0 .5rem; font-size: .85rem; }
.swatch { vertical-align: -2px; }
.fill-1 { fill: #0072b2; } .fill-2 { fill: url(#hatch-2); } .fill-3 { fill: url(#hatch-3); } .fill-4 { fill: url(#hatch-4); } .fill-5 { fill: url(#hatch-5); }
.grid { stroke: var(--line); } .axis { stroke: var(--ink); } .track { fill: var(--faint); }
.tick { fill: var(--soft); font-size: 12px; paint-order: stroke; stroke: #fff; stroke-width: 3px; }
.name { fill: var(--ink); font-size: 13px; }
.sample { border: 1px solid var(--line); border-radius: 4px; padding: .8rem 1rem; margin: 1rem 0; }
.sample h4 span { font-weight: 400; color: var(--soft); }
.sample dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: .2rem 1.25rem; margin: 0; font-size: .85rem; }
.sample dt { color: var(--soft); font-size: .75rem; }
.sample dd { margin: 0; }
pre { background: var(--faint); padding: .6rem .8rem; margin: .6rem 0 0; font: 12px/1.5 ui-monospace, "Liberation Mono", Menlo, monospace; white-space: pre-wrap; overflow-wrap: anywhere; border-radius: 3px; }
code { font: .88em ui-monospace, "Liberation Mono", Menlo, monospace; }
nav ol { columns: 2; column-gap: 2.5rem; }
nav li { break-inside: avoid; }
footer { border-top: 1px solid var(--line); margin: 3rem 0; padding-top: 1rem; color: var(--soft); font-size: .85rem; }
@media screen and (max-width: 640px) {
  main, header.top { padding-left: 1rem; padding-right: 1rem; }
  .scope { grid-template-columns: 1fr; gap: .8rem; }
  nav ol { columns: 1; }
  dl.facts { grid-template-columns: 1fr; gap: 0; }
  dl.facts dd { margin-bottom: .5rem; }
  table, tbody, tr, td { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
  td { border: 0; padding: .1rem 0 .1rem 8.5rem; text-align: left; min-height: 1.4em; position: relative; }
  td.number { text-align: left; }
  td::before { content: attr(data-label); position: absolute; left: 0; width: 8rem; color: var(--soft); }
}
@page { size: A4; margin: 16mm 15mm 18mm; }
@media print {
  body { font-size: 9.5pt; line-height: 1.45; }
  main, header.top { max-width: none; padding: 0; }
  header.top { padding-top: 0; }
  h1 { font-size: 20pt; } h2 { font-size: 13pt; } h3 { font-size: 10pt; }
  table { font-size: 8pt; } pre { font-size: 7pt; }
  thead { display: table-header-group; }
  tr, figure, .scope, .verdict, .tiles { break-inside: avoid; }
  h2, h3, h4, figcaption, .criteria, .sample h4 { break-after: avoid; }
  section { margin-top: 1.5rem; padding-top: 1rem; }
  a { color: inherit; text-decoration: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`
