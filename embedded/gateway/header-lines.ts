/** Header lines in their order and spelling, looked up without regard to case. Values hold bytes (latin1), as node:http gives them. */

const lowered = new Map<string, string>()

/** The lower-case form of a header name, remembered: the same few names come with every request. */
export function lowerName(name: string): string {
  let lower = lowered.get(name)
  if (lower === undefined) {
    lower = name.toLowerCase()
    if (lowered.size > 2000) lowered.clear()
    lowered.set(name, lower)
  }
  return lower
}

export class HeaderLines {
  /** name, value, name, value …: the form node:http reads and writes without conversion */
  readonly raw: string[]

  constructor(raw: string[] = []) {
    this.raw = raw
  }

  /** The first value under this lower-case name. */
  get(lower: string): string | undefined {
    for (let at = 0; at < this.raw.length; at += 2) {
      if (lowerName(this.raw[at] as string) === lower) return this.raw[at + 1]
    }
    return undefined
  }

  /** Every value under this lower-case name. */
  all(lower: string): string[] {
    return this.raw.filter((_, at) => at % 2 === 1 && lowerName(this.raw[at - 1] as string) === lower)
  }

  /** Puts these values in the place of every line of that name. */
  set(name: string, ...values: string[]): void {
    this.clear(name)
    for (const value of values) this.raw.push(name, value)
  }

  add(name: string, value: string): void {
    this.raw.push(name, value)
  }

  clear(name: string): void {
    const lower = lowerName(name)
    for (let at = 0; at < this.raw.length;) {
      if (lowerName(this.raw[at] as string) === lower) this.raw.splice(at, 2)
      else at += 2
    }
  }

  /**
   * The lines as `ngx.req.get_headers` gives them: names in lower case, a list for a name that comes more than once.
   *
   * @param max how many lines are read; what comes after them is not seen
   */
  toTable(max: number): Record<string, string | string[]> {
    const table = Object.create(null) as Record<string, string | string[]>
    const end = Math.min(this.raw.length, max * 2)
    for (let at = 0; at < end; at += 2) {
      const name = lowerName(this.raw[at] as string)
      const value = this.raw[at + 1] as string
      const before = table[name]
      if (before === undefined) table[name] = value
      else if (typeof before === 'string') table[name] = [before, value]
      else before.push(value)
    }
    return table
  }
}

/**
 * A name or value that a plugin sets, as nginx would write it: what cannot stand in a header is percent-escaped.
 *
 * Source: lua-nginx-module `ngx_http_lua_copy_escaped_header`.
 */
export function escapeHeader(text: string, isName: boolean): string {
  const forbidden = isName ? /[^!#$%&'*+\-.^_`|~0-9A-Za-z]/g : /[\x00-\x08\x0a-\x1f\x7f]/g
  return text.replace(forbidden, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
}
