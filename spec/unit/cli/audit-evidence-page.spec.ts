/** The page of evidence in a real browser: it loads nothing, fits the paper and the telephone, and can be read by everybody. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { auditEvidence } from '../../../cli/audit-evidence.ts'
import { launchChromium, noBrowserReason } from '../../support/browser.ts'
import { admission, daysOfTrail, denial, failedLogin, monthOfCalls } from '../../support/evidence-trail.ts'
import { trailFolder } from '../../support/trails.ts'

if (noBrowserReason !== undefined) console.log(noBrowserReason)

/** What of the browser's document is asked about, on its side: these types are for Node. */
interface Element_ {
  readonly tagName: string
  readonly className: unknown
  readonly textContent: string
  readonly scrollWidth: number
  readonly clientWidth: number
  closest(selector: string): unknown
  getAttribute(name: string): string | null
  getBoundingClientRect(): { readonly right: number; readonly width: number; readonly height: number }
}
declare const document: {
  title: string
  readonly documentElement: Element_
  readonly body: { append(...elements: unknown[]): void }
  querySelector(selector: string): Element_ | null
  querySelectorAll(selector: string): Iterable<Element_>
  createElement(name: string): { src?: string; textContent: string; remove(): void }
}

/** Names as long as records have them, without a place to break, and what would be markup. */
const long = `${'x'.repeat(500)}<b>`
const script =
  '<script>document.title = "owned"</script><img src="https://evil.example/x.png" onerror="document.title = 1">'

describe.skipIf(noBrowserReason)('the page of evidence', () => {
  let browser: Browser
  let page: Page
  const asked: string[] = []
  const complaints: string[] = []

  beforeAll(async () => {
    const folder = await trailFolder()
    const trail = join(folder, 'trail')
    await mkdir(trail)
    const hostile = { name: long, agent: long, roles: [long, script] }
    await daysOfTrail(trail, '2026-10-01', [
      ...monthOfCalls(10),
      [
        admission(hostile, long, { rule: long, policy: long, highRisk: true }),
        denial(hostile, script, long),
        denial({ ...hostile, name: script }, long),
        failedLogin(script, long),
        failedLogin(long, script),
        { type: 'limit', route: long, client_ip: long },
        { type: 'policy', route: long, says: script },
        { type: 'fault', because: long },
        { type: 'list', call: 'x', route: long, pins: { changed: [{ tool: long, sha256: long }] } },
      ],
    ])
    vi.spyOn(console, 'log').mockImplementation(() => undefined)
    const out = join(folder, 'evidence')
    const period = ['--from', '2026-10-02', '--to', '2026-10-12']
    await auditEvidence.run([...period, '--dir', trail, '--seed', 'spec', '--sample', '50', '--out', out])
    vi.restoreAllMocks()
    browser = await launchChromium()
    page = await browser.newPage({ viewport: { width: 1280, height: 900 } })
    page.on('request', (request) => void asked.push(request.url()))
    page.on('console', (message) => void complaints.push(message.text()))
    page.on('pageerror', (error) => void complaints.push(error.message))
    await page.goto(pathToFileURL(join(out, 'report.html')).href)
  })
  afterAll(() => browser.close())

  /** Elements that reach beyond the page, and cells and lines whose text does not fit into them. */
  const overflowing = (): Promise<string[]> =>
    page.evaluate(() => {
      const width = document.documentElement.clientWidth
      return [...document.querySelectorAll('body *')]
        .filter((one) => !one.closest('.patterns') && !one.closest('thead'))
        .filter(
          (one) =>
            one.getBoundingClientRect().right > width + 1 ||
            (!one.closest('svg') && one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0),
        )
        .map((one) => `${one.tagName} ${String(one.className)} ${one.textContent.slice(0, 60)}`)
    })

  it('asks for nothing but itself, and complains of nothing', async () => {
    expect(asked).toEqual([page.url()])
    expect(complaints).toEqual([])
    expect(await page.title()).toMatch(/^Audit evidence 2026-10-02/)
    expect(await page.locator('script, img, iframe, link, form, object, embed').count()).toBe(0)
  })

  it('would let nothing in: its policy keeps out what somebody put into it', async () => {
    const failed = page.waitForEvent('requestfailed')
    await page.evaluate(() => {
      const image = document.createElement('img')
      image.src = 'https://evil.example/x.png'
      const code = document.createElement('script')
      code.textContent = 'document.title = "owned"'
      document.body.append(image, code)
      image.remove()
      code.remove()
    })
    expect((await failed).failure()?.errorText).toBe('csp')
    expect(await page.title()).not.toBe('owned')
    expect(complaints.filter((one) => one.includes('Content Security Policy')).length).toBeGreaterThan(0)
  })

  it('has a heading for everything, and tables with heads', async () => {
    expect(await page.getByRole('heading', { level: 1 }).count()).toBe(1)
    const headings = await page.getByRole('heading', { level: 2 }).allTextContents()
    for (const heading of [
      'exceptions to follow up',
      'What this is',
      'Period and populations',
      'Completeness of processing',
      'Is the trail whole?',
      'People and machines',
      'Access matrix',
      'Policy changes',
      'Denials by policy',
      'High-risk calls',
      'Failed logins',
      'Other refusals, and limits',
      'Tool definitions',
      'Times a gateway was closed or silent',
      'Records nobody had signed for yet',
      'Samples',
      'Checking this without us',
    ])
      expect(headings.filter((one) => one.includes(heading))).toHaveLength(1)
    const tables = await page.getByRole('table').count()
    expect(tables).toBeGreaterThan(15)
    expect(await page.locator('table:has(thead th[scope=col]):has(tbody td)').count()).toBe(tables)
    expect(await page.locator('table[aria-label]:not([aria-label=""])').count()).toBe(tables)
    // Each section says what it shows and what it does not, and which criteria it serves.
    const sections = await page.locator('main section:has(.criteria li)').count()
    expect(sections).toBe(15)
    expect(await page.getByRole('heading', { name: 'Does not show', exact: true }).count()).toBe(sections)
    const links = await page
      .locator('a[href^="#"]')
      .evaluateAll(
        (all: Element_[]) => all.filter((one) => !document.querySelector(one.getAttribute('href') ?? '')).length,
      )
    expect(links).toBe(0)
  })

  it('has charts that are told in words, too', async () => {
    const charts = page.getByRole('img')
    expect(await charts.count()).toBe(2)
    for (const chart of await charts.all()) {
      const named = (await chart.getAttribute('aria-labelledby'))?.split(' ') ?? []
      expect(named).toHaveLength(2)
      for (const id of named) expect((await page.locator(`#${id}`).textContent())?.length).toBeGreaterThan(10)
      // Something is drawn, inside the chart.
      const bars = await chart
        .locator('rect')
        .evaluateAll((all: Element_[]) => all.map((one) => one.getBoundingClientRect().height))
      expect(Math.max(...bars)).toBeGreaterThan(5)
    }
  })

  it.each([
    { note: 'a screen', width: 1280 },
    { note: 'a telephone', width: 400 },
  ])('fits $note ($width px)', async ({ width }) => {
    await page.emulateMedia({ media: 'screen' })
    await page.setViewportSize({ width, height: 900 })
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width)
    expect(await overflowing()).toEqual([])
  })

  it('fits A4, and becomes a PDF of its pages', async () => {
    await page.emulateMedia({ media: 'print' })
    // 210 mm less the margins of 15 mm, at 96 pixels an inch.
    await page.setViewportSize({ width: Math.floor(((210 - 30) / 25.4) * 96), height: 1000 })
    expect(await overflowing()).toEqual([])
    // Long names leave times their place: a day is not broken up into its figures.
    const widths = await page
      .locator('td.time')
      .evaluateAll((all: Element_[]) => all.map((one) => one.getBoundingClientRect().width))
    expect(Math.min(...widths)).toBeGreaterThan(55)
    const pdf = await page.pdf({ preferCSSPageSize: true })
    expect(pdf.subarray(0, 5).toString()).toBe('%PDF-')
    const text = pdf.toString('latin1')
    const [, width, height] = /\/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]/.exec(text) ?? []
    expect([Math.round(Number(width)), Math.round(Number(height))]).toEqual([595, 842])
    expect(Number(/\/Type \/Pages\s[^>]*?\/Count (\d+)/.exec(text)?.[1] ?? 0)).toBeGreaterThan(5)
  })
})
