/**
 * Fetches like one browser that has just been opened: it keeps cookies by name and path, and follows no redirect by itself.
 * Enough for one provider on one host, and no more.
 */
export class CookieJar {
  readonly #cookies = new Map<string, { readonly path: string; readonly pair: string }>()

  async fetch(url: URL, init: RequestInit = {}): Promise<Response> {
    const cookie = [...this.#cookies.values()]
      .filter(({ path }) => isUnder(url.pathname, path))
      .map(({ pair }) => pair)
      .join('; ')
    const headers = { accept: 'text/html', ...(cookie === '' ? {} : { cookie }) }
    const response = await fetch(url, { ...init, headers, redirect: 'manual' })
    for (const line of response.headers.getSetCookie()) this.#keep(line)
    return response
  }

  #keep(line: string): void {
    const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
    const [name = '', value] = pair.split('=', 2)
    const path = attributes.find((attribute) => /^path=/i.test(attribute))?.slice('path='.length) ?? '/'
    if (value === '') this.#cookies.delete(`${name} ${path}`)
    else this.#cookies.set(`${name} ${path}`, { path, pair })
  }
}

/** RFC 6265 section 5.1.4: does a cookie of this path go along to that one? */
function isUnder(pathname: string, path: string): boolean {
  return pathname === path || (pathname.startsWith(path) && (path.endsWith('/') || pathname[path.length] === '/'))
}
