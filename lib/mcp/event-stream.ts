/** Server-sent events of a whole answer, taken apart the way clients do it. */
import { Buffer } from 'node:buffer'

const cr = 0x0d
const lf = 0x0a
const colon = 0x3a
const space = 0x20

/**
 * The data of every event that carries a message.
 *
 * Lines end in CR, LF or CRLF; one byte order mark at the start is skipped; comments and fields other than `event` and
 * `data` say nothing here; data of several lines is joined with LF; an event without data is none (WHATWG HTML 9.2.6).
 * Events of a type other than `message` are left out, as the official SDKs do. Unlike a browser, an event that the end
 * of the stream cuts off counts: servers forget the last blank line, and a message that is cut off itself is no JSON.
 *
 * @param bytes the whole body, known to be UTF-8
 */
export function messagesOf(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = []
  let type = ''
  let data: Buffer[] = []
  const dispatch = (): void => {
    const isMessage = data.some((line) => line.length > 0) && (type === '' || type === 'message')
    if (isMessage) messages.push(joined(data))
    type = ''
    data = []
  }
  let start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0
  let nextCr = -1
  let nextLf = -1
  while (start < bytes.length) {
    if (nextCr < start) nextCr = find(bytes, cr, start)
    if (nextLf < start) nextLf = find(bytes, lf, start)
    const end = Math.min(nextCr, nextLf)
    if (end === start) {
      dispatch()
    } else {
      const { field, value } = fieldOf(bytes.subarray(start, end))
      if (field === 'data') data.push(value)
      if (field === 'event') type = value.toString('utf8')
    }
    start = bytes[end] === cr && bytes[end + 1] === lf ? end + 2 : end + 1
  }
  dispatch()
  return messages
}

/** Where a byte comes next, or the length; each byte of a kind is looked for once, so this stays linear. */
function find(bytes: Buffer, byte: number, from: number): number {
  const at = bytes.indexOf(byte, from)
  return at === -1 ? bytes.length : at
}

/** A line's field name and its value without the one space that may follow the colon. */
function fieldOf(line: Buffer): { readonly field: string; readonly value: Buffer } {
  const at = line.indexOf(colon)
  if (at === -1) return { field: nameOf(line), value: line.subarray(line.length) }
  return { field: nameOf(line.subarray(0, at)), value: line.subarray(line[at + 1] === space ? at + 2 : at + 1) }
}

const nameOf = (name: Buffer): string => (name.length <= 5 ? name.toString('latin1') : '')

/** One line stays where it is; several are copied together. */
function joined(lines: readonly Buffer[]): Buffer {
  if (lines.length === 1) return lines[0] as Buffer
  const newline = Buffer.from([lf])
  return Buffer.concat(lines.flatMap((line, index) => (index === 0 ? [line] : [newline, line])))
}
