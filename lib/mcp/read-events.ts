/** Server-sent events, parsed as a client does (WHATWG HTML 9.2.6). */

// Here the byte order mark is the stream's own, and swallowed as the standard says.
const strictUtf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * The data of each event of type `message` that has any, in order. An event the stream ends in the middle of is dropped,
 * as clients drop it.
 *
 * @returns undefined for a stream that is no UTF-8
 */
export function readEvents(stream: Uint8Array): Uint8Array[] | undefined {
  let text: string
  try {
    text = strictUtf8.decode(stream)
  } catch {
    return undefined
  }
  const events: Uint8Array[] = []
  let type = ''
  let data: string[] = []
  for (const line of text.split(/\r\n|\n|\r/).slice(0, -1)) {
    if (line === '') {
      const joined = data.join('\n')
      if (joined !== '' && (type === '' || type === 'message')) events.push(Buffer.from(joined))
      type = ''
      data = []
      continue
    }
    const colon = line.indexOf(':')
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') data.push(value)
    if (field === 'event') type = value
  }
  return events
}
