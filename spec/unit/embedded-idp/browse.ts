import { CookieJar } from '../../../embedded/idp/cookie-jar.ts'
import { jiraResource } from './start.ts'

/** Where a browser is in a login. */
export interface Browsing {
  readonly url: string
  readonly status: number
  readonly headers: Headers
  readonly page: string
  /** Where the provider sends the browser on, off its own pages. */
  readonly location: string | null
  submit(form: Record<string, string>): Promise<Browsing>
  /** The same browser, a new login. */
  begin(): Promise<Browsing>
}

/** Opens a browser at the login page. */
export async function beginLogin(issuer: string, change: Record<string, string> = {}): Promise<Browsing> {
  const start = new URL(`${issuer}/authorize`)
  start.search = new URLSearchParams({
    response_type: 'code',
    client_id: 'kmcp-cli',
    redirect_uri: 'http://127.0.0.1/callback',
    scope: 'openid mcp:tools',
    resource: jiraResource,
    code_challenge: 'a'.repeat(43),
    code_challenge_method: 'S256',
    ...change,
  }).toString()

  return browse(start, issuer)
}

/** Opens a browser at this address. */
export async function browse(start: URL, issuer: string): Promise<Browsing> {
  const jar = new CookieJar()
  async function arrive(response: Response): Promise<Browsing> {
    const location = response.headers.get('location')
    if (location?.startsWith('/') === true || location?.startsWith(issuer) === true) {
      return arrive(await jar.fetch(new URL(location, issuer)))
    }
    const { url, status, headers } = response
    return {
      url,
      status,
      headers,
      page: await response.text(),
      location,
      submit: async (form) =>
        arrive(await jar.fetch(new URL(url), { method: 'POST', body: new URLSearchParams(form) })),
      begin: async () => arrive(await jar.fetch(start)),
    }
  }
  return arrive(await jar.fetch(start))
}
