/** The report as one page that loads nothing: no script, and a policy that would let none in. */
import { createHash } from 'node:crypto'
import { tableHtml } from './page-table.ts'
import { criteria, type Criterion, type Section } from './section.ts'
import { patterns } from './charts.ts'
import { type Html, html, Html as Markup } from './html.ts'
import { pageStyle } from './page-style.ts'
import { count, counted, timeText } from './seen.ts'

/** @property query the command line that made it */
export interface PageHead {
  readonly from: string
  readonly to: string
  readonly generated: string
  readonly tool: string
  readonly query: string
  readonly directories: readonly string[]
  readonly signedBy: string | undefined
  readonly counts: Readonly<Record<string, number>>
  readonly exceptions: readonly string[]
  readonly observations: readonly string[]
}

export function evidencePage(head: PageHead, sections: readonly Section[]): string {
  const digest = createHash('sha256').update(pageStyle).digest('base64')
  const policy = `default-src 'none'; style-src 'sha256-${digest}'; base-uri 'none'; form-action 'none'`
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${new Markup(policy)}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="referrer" content="no-referrer" />
        <title>Audit evidence ${head.from} to ${head.to}</title>
        ${new Markup(`<style>${pageStyle}</style>`)}
      </head>
      <body>
        ${patterns}
        <header class="top">
          <p class="eyebrow">Kong MCP gateway · audit evidence</p>
          <h1>Who did what, through which agent, and what was decided</h1>
          <p class="period">${periodText(head)}</p>
          ${verdict(head)} ${tiles(head.counts)}
        </header>
        <main>
          ${summary(head, sections)} ${sections.map((section, at) => sectionHtml(section, at + 1))} ${recheck(head)}
          <footer>
            Made ${head.generated} by ${head.tool}. Nothing on this page was loaded from anywhere, and nothing on it
            runs.
          </footer>
        </main>
      </body>
    </html> `
  return page.markup
}

const verdict = ({ exceptions, observations }: PageHead): Html =>
  exceptions.length === 0
    ? html`<div class="verdict" role="status">
        <h2>No exceptions</h2>
        <p>
          None of the checks in this report found anything to follow up. What they do and do not show stands at each
          table.
          ${observations.length === 0 ? '' : `What is worth knowing stands below: ${counted(observations.length, 'observation')}.`}
        </p>
      </div>`
    : html`<div class="verdict bad" role="status">
        <h2>${counted(exceptions.length, 'exception')} to follow up</h2>
        ${list(exceptions)}
      </div>`

const labels: Readonly<Record<string, string>> = {
  records: 'records',
  allowed: 'calls let through',
  stopped: 'calls stopped',
  denied: '… by policy',
  high_risk: 'high-risk calls',
  people: 'people and machines',
  nodes: 'gateway nodes',
}

const tiles = (counts: PageHead['counts']): Html =>
  html`<dl class="tiles">
    ${Object.entries(counts).map(
      ([name, number]) =>
        html`<div>
          <dt>${labels[name] ?? name}</dt>
          <dd>${count(number)}</dd>
        </div>`,
    )}
  </dl>`

/** Whole days are called by their names; the end of a period is the first instant after it. */
function periodText({ from, to }: PageHead): string {
  const midnight = 'T00:00:00.000Z'
  if (!from.endsWith(midnight) || !to.endsWith(midnight)) return `${timeText(from)} to ${timeText(to)}`
  const day = (ms: number): string =>
    new Date(ms).toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' })
  return `${day(Date.parse(from))} to ${day(Date.parse(to) - 1)} (UTC)`
}

function summary(head: PageHead, sections: readonly Section[]): Html {
  const serving = (criterion: Criterion): Html[] =>
    sections
      .filter((section) => section.criteria.includes(criterion))
      .map((section, at) => html`${at === 0 ? '' : ', '}<a href="#${section.id}">${section.title}</a>`)
  return html`<section id="about">
    <h2>What this is</h2>
    ${facts([
      ['period', `${head.from} to ${head.to}, the end not included`],
      ['trails read', head.directories.join(', ')],
      ['query', head.query],
      ['made', `${head.generated} by ${head.tool}`],
      [
        'signed',
        head.signedBy === undefined
          ? 'UNSIGNED: whoever has this folder can change it'
          : `the manifest of this folder, by ${head.signedBy}`,
      ],
    ])}
    ${
      head.observations.length === 0
        ? undefined
        : html`<h3>Worth knowing</h3>
            ${list(head.observations)}`
    }
    <nav aria-label="Contents">
      <h3>Contents</h3>
      <ol>
        ${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}
        <li><a href="#recheck">Checking this without us</a></li>
      </ol>
    </nav>
    <h3>Trust Services Criteria, and where each is served</h3>
    <table role="table" aria-label="Criteria">
      <thead>
        <tr role="row">
          <th scope="col">criterion</th>
          <th scope="col">is about</th>
          <th scope="col">see</th>
        </tr>
      </thead>
      <tbody>
        ${(Object.keys(criteria) as Criterion[]).map(
          (criterion) =>
            html`<tr role="row">
              <td role="cell" data-label="criterion">${criterion}</td>
              <td role="cell" data-label="is about">${criteria[criterion]}</td>
              <td role="cell" data-label="see">${serving(criterion)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
    <p class="under">
      Criteria of the AICPA (TSP section 100), in words of our own. The gateway’s records are part of the evidence a
      criterion needs, never all of it: controls of the identity provider, of the servers behind the gateway, of the
      network and of people are shown elsewhere.
    </p>
  </section>`
}

function sectionHtml(section: Section, number: number): Html {
  const { id, title, criteria: of, shows, doesNotShow, facts: said = [], lists = [], charts = [], tables } = section
  return html`<section id="${id}">
    <h2>${number}. ${title}</h2>
    <ul class="criteria" aria-label="Criteria">
      ${of.map((criterion) => html`<li>${criterion}</li>`)}
    </ul>
    <div class="scope">
      <div>
        <h3>Shows</h3>
        <p>${shows}</p>
      </div>
      <div>
        <h3>Does not show</h3>
        <p>${doesNotShow}</p>
      </div>
    </div>
    ${section.exceptions.map((text) => html`<p class="exceptions">Exception: ${text}</p>`)} ${facts(said)} ${charts}
    ${lists
      .filter(({ items }) => items.length > 0)
      .map(
        (one) =>
          html`<h3>${one.title}</h3>
            ${list(one.items)}`,
      )}
    ${tables.map(tableHtml)} ${section.extra}
  </section> `
}

const facts = (all: readonly (readonly [string, string])[]): Html | undefined =>
  all.length === 0
    ? undefined
    : html`<dl class="facts">
        ${all.map(
          ([label, text]) =>
            html`<dt>${label}</dt>
              <dd>${text}</dd>`,
        )}
      </dl>`

const list = (items: readonly string[]): Html =>
  html`<ul>
    ${items.map((item) => html`<li>${item}</li>`)}
  </ul>`

const recheck = ({ signedBy }: PageHead): Html =>
  html`<section id="recheck">
    <h2>Checking this without us</h2>
    <ol>
      <li>
        The folder: <code>kmcp audit check-evidence FOLDER --key …</code> compares every file with its SHA-256 in
        manifest.json, the manifest with
        ${signedBy === undefined ? 'manifest.note (nobody signed it)' : html`the signature in manifest.note (key ${signedBy})`},
        and every sample with its proof. It needs neither the trail nor a network. By hand: <code>sha256sum</code>, and
        any implementation of c2sp.org/signed-note and c2sp.org/tlog-proof.
      </li>
      <li>
        The keys: take the nodes’ keys (node.vkey) and the key of whoever signs evidence from somewhere other than this
        folder.
      </li>
      <li>
        The counts: run the query at the top on a copy of the trail with the same seed. Everything but the time it was
        made comes out the same.
      </li>
      <li>
        The trail: <code>kmcp audit verify --dir DIR --key node.vkey</code>. A record is one line of JSON (RFC 8785);
        its leaf hash is SHA-256(0x00 and the line), which the next record names as <code>prev</code>.
      </li>
      <li>
        The samples: the rank of a record is <code>printf '%s' "$boot/$seq" | openssl dgst -sha256 -hmac "$seed"</code>;
        the lowest ranks of a population are its sample.
      </li>
    </ol>
  </section>`
