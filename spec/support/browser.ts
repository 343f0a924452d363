/** A real browser, for the identity provider's pages and for reports: a headless Chromium that is on this machine already. */
import { existsSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright-core'

/** Where Debian, Ubuntu, Fedora and Google's packages put it. KMCP_CHROMIUM names another one. */
const places = [
  process.env.KMCP_CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
]
const executablePath = places.find((place) => place !== undefined && existsSync(place))

/** Why no browser can be opened here, or undefined where one can. */
export const noBrowserReason =
  executablePath === undefined ? 'skipped: no Chromium at /usr/bin/chromium (set KMCP_CHROMIUM to name one)' : undefined

/** How long one page may take, in milliseconds. */
const pageTimeoutMs = 15_000

/** What a page of the provider says after a form was sent. */
export type Shown = 'login' | 'refused' | 'consent' | 'left'

/**
 * A browser at the provider's pages, with no cookies but its own.
 *
 * @property url where it is
 */
export interface Visitor {
  readonly url: () => string
  /** Fills in the login form and sends it. */
  readonly logIn: (user: string, password: string) => Promise<Shown>
  /** Answers the consent page. */
  readonly allow: () => Promise<Shown>
  readonly close: () => Promise<void>
}

/** A browser that was started, and the visits made with it. */
export interface OpenBrowser {
  /** Opens an address in a browser context of its own. */
  readonly visit: (url: URL) => Promise<Visitor>
  readonly close: () => Promise<void>
}

/**
 * Starts the browser at pages of the provider.
 *
 * @throws Error where there is none: ask `noBrowserReason` first
 */
export async function openBrowser(): Promise<OpenBrowser> {
  const browser = await launchChromium()
  return { visit: (url) => visit(browser, url), close: () => browser.close() }
}

/**
 * Starts the browser.
 *
 * It looks nothing up on the internet and sends nothing there: only loopback addresses are opened.
 *
 * @throws Error where there is none: ask `noBrowserReason` first
 */
export async function launchChromium(): Promise<Browser> {
  if (executablePath === undefined) throw new Error(noBrowserReason)
  return chromium.launch({
    executablePath,
    args: [
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

async function visit(browser: Browser, url: URL): Promise<Visitor> {
  const context = await browser.newContext()
  context.setDefaultTimeout(pageTimeoutMs)
  const page = await context.newPage()
  await page.goto(url.href)
  const providerOrigin = url.origin
  return {
    url: () => page.url(),
    async logIn(user, password) {
      await page.getByLabel('User name').fill(user)
      await page.getByLabel('Password').fill(password)
      await send(page, 'Sign in')
      return shownBy(page, providerOrigin)
    },
    async allow() {
      await send(page, 'Allow')
      return shownBy(page, providerOrigin)
    },
    close: () => context.close(),
  }
}

/** Presses the button, and waits for the page it leads to, over any number of redirects. */
async function send(page: Page, button: string): Promise<void> {
  await Promise.all([page.waitForEvent('load'), page.getByRole('button', { name: button, exact: true }).click()])
}

async function shownBy(page: Page, providerOrigin: string): Promise<Shown> {
  if (new URL(page.url()).origin !== providerOrigin) return 'left'
  if ((await page.getByRole('alert').count()) > 0) return 'refused'
  return (await page.getByLabel('Password').count()) > 0 ? 'login' : 'consent'
}
