/**
 * What can be read of a JSON object from its first bytes, and from its last ones, when what is between them is not there.
 *
 * Only the members of the object and of the objects right inside it are looked at. The text is taken for valid JSON, which
 * makes both directions certain: a quotation mark outside a string opens one whichever way it is met, and one inside it ends
 * it unless an odd number of backslashes stands before it. After 4,096 tokens from either side no more is read.
 */

/**
 * @property in  the name of the object the member is in: undefined for the outermost, `?` for one whose name is cut off
 * @property raw of a number, string, `true`, `false` or `null`: its spelling
 */
export interface EdgeMember {
  readonly in: string | undefined
  readonly name: string
  readonly kind: 'scalar' | 'object' | 'array'
  readonly raw?: string
}

const maxTokens = 4096

const token = /\s*("[^"\\]*(?:\\.[^"\\]*)*"|[[\]{}:,]|[^\s[\]{}:,"]+)/sy

/** The members that begin in the first bytes of an object, in their order. @param text bytes as latin1 */
export function membersFromStart(text: string): EdgeMember[] {
  const found: EdgeMember[] = []
  const open: { readonly isObject: boolean; readonly name: string | undefined }[] = []
  let name: string | undefined
  token.lastIndex = 0
  for (let count = 0; count < maxTokens; count++) {
    const raw = token.exec(text)?.[1]
    if (raw === undefined) break
    const here = open.at(-1)
    if (raw === ':') continue
    if (raw === '}' || raw === ']' || raw === ',') {
      if (raw !== ',') open.pop()
      name = undefined
    } else if (here?.isObject && name === undefined) {
      name = unquoted(raw)
      if (name === undefined) break
    } else {
      const kind = raw === '{' ? 'object' : raw === '[' ? 'array' : 'scalar'
      // More digits may follow where the text is cut.
      if (kind === 'scalar' && !raw.startsWith('"') && token.lastIndex === text.length) break
      if (here?.isObject && name !== undefined && (open.length === 1 || (open.length === 2 && open[0]?.isObject)))
        found.push({ in: here.name, name, kind, ...(kind === 'scalar' ? { raw } : {}) })
      if (kind !== 'scalar') {
        open.push({ isObject: kind === 'object', name })
        name = undefined
      }
    }
    if (open.length === 0) break
  }
  return found
}

/** The members that end in the last bytes of an object, the last one first. @param text bytes as latin1 */
export function membersFromEnd(text: string): EdgeMember[] {
  const found: EdgeMember[] = []
  // What has ended and not begun, the outermost first; members of the inner one wait for its name.
  const open: { readonly isObject: boolean; readonly waiting: EdgeMember[] }[] = []
  let value: Omit<EdgeMember, 'in' | 'name'> | undefined
  let inner: readonly EdgeMember[] = []
  let isName = false
  let count = 0
  for (const raw of tokensFromEnd(text)) {
    if (count++ === maxTokens) break
    if (raw === '}' || raw === ']') {
      open.push({ isObject: raw === '}', waiting: [] })
      value = undefined
    } else if (raw === '{' || raw === '[') {
      inner = open.pop()?.waiting ?? []
      value = { kind: raw === '{' ? 'object' : 'array' }
    } else if (raw === ':') {
      isName = true
    } else if (raw === ',') {
      value = undefined
      inner = []
    } else if (isName) {
      isName = false
      const name = unquoted(raw)
      if (name === undefined) break
      if (value && open.length === 1)
        found.push({ in: undefined, name, ...value }, ...inner.map((member) => ({ ...member, in: name })))
      if (value && open.length === 2) open[1]?.waiting.push({ in: '?', name, ...value })
      value = undefined
      inner = []
    } else {
      value = { kind: 'scalar', raw }
    }
    if (open[0]?.isObject !== true) return found
  }
  // Cut off inside a member of the outermost object: what was seen in it has a name nobody knows.
  return [...found, ...(open[1]?.isObject ? open[1].waiting : [])]
}

/** Tokens from the last one on; ends where a string or a word may begin before the text does. */
function* tokensFromEnd(text: string): Generator<string> {
  for (let at = text.length - 1; at >= 0; at--) {
    const char = text[at] ?? ''
    if (/\s/.test(char)) continue
    const end = at + 1
    if (char === '"') {
      at = openingQuote(text, at)
      if (at === -1) return
    } else if (!'[]{}:,'.includes(char)) {
      while (at > 0 && !/[\s[\]{}:,"]/.test(text[at - 1] ?? '')) at--
      if (at === 0) return
    }
    yield text.slice(at, end)
  }
}

function openingQuote(text: string, end: number): number {
  for (let at = end - 1; at >= 0; at--) {
    if (text[at] !== '"') continue
    let backslashes = 0
    while (text[at - 1 - backslashes] === '\\') backslashes++
    // Backslashes up to the cut: whether the mark is escaped is not to be known.
    if (backslashes === at) return -1
    if (backslashes % 2 === 0) return at
  }
  return -1
}

function unquoted(raw: string): string | undefined {
  try {
    const value: unknown = JSON.parse(raw)
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}
