import { describe, expect, it } from 'vitest'
import { messagesOf } from '../../../../lib/mcp/event-stream.ts'

const messages = (stream: string): string[] => messagesOf(Buffer.from(stream)).map((data) => data.toString())

describe('the messages of an event stream', () => {
  it.each([
    { note: 'lines that end in LF', stream: 'data: a\n\ndata: b\n\n', is: ['a', 'b'] },
    { note: 'lines that end in CRLF', stream: 'data: a\r\n\r\ndata: b\r\n\r\n', is: ['a', 'b'] },
    { note: 'lines that end in CR', stream: 'data: a\r\rdata: b\r\r', is: ['a', 'b'] },
    { note: 'all three mixed', stream: 'data: a\r\n\rdata: b\n\r\n', is: ['a', 'b'] },
    { note: 'data of several lines', stream: 'data: {\ndata: "a":1\r\ndata:}\n\n', is: ['{\n"a":1\n}'] },
    { note: 'no space after the colon', stream: 'data:a\n\n', is: ['a'] },
    { note: 'two spaces after the colon, of which one stays', stream: 'data:  a\n\n', is: [' a'] },
    { note: 'a byte order mark at the start', stream: '\ufeffdata: a\n\n', is: ['a'] },
    { note: 'a byte order mark later, which spoils the field', stream: 'data: a\n\n\ufeffdata: b\n\n', is: ['a'] },
    { note: 'comments between and inside', stream: ': hi\n\n:\ndata: a\n: x\ndata: b\n\n', is: ['a\nb'] },
    { note: 'events of type message', stream: 'event: message\ndata: a\n\n', is: ['a'] },
    { note: 'events of another type', stream: 'event: endpoint\ndata: /x\n\ndata: a\n\n', is: ['a'] },
    { note: 'a type in another case', stream: 'event: Message\ndata: a\n\n', is: [] },
    { note: 'a type that is taken back', stream: 'event: ping\nevent: message\ndata: a\n\n', is: ['a'] },
    { note: 'the type after the data', stream: 'data: a\nevent: ping\n\n', is: [] },
    { note: 'a type without data, which ends with its event', stream: 'event: ping\n\ndata: a\n\n', is: ['a'] },
    { note: 'ids, retries and unknown fields', stream: 'id: 1\nretry: 5\nfoo: bar\ndata: a\n\n', is: ['a'] },
    { note: 'a priming event', stream: 'id: 1\ndata:\n\ndata: a\n\n', is: ['a'] },
    { note: 'data without a colon', stream: 'data\ndata: a\n\n', is: ['\na'] },
    { note: 'a field in another case', stream: 'DATA: a\n\n', is: [] },
    { note: 'a field with a space before it', stream: ' data: a\n\n', is: [] },
    { note: 'no blank line at the end', stream: 'data: a\n', is: ['a'] },
    { note: 'no line end at the end', stream: 'data: a', is: ['a'] },
    { note: 'nothing', stream: '', is: [] },
    { note: 'blank lines only', stream: '\n\r\n\r\r', is: [] },
  ])('$note', ({ stream, is }) => {
    expect(messages(stream)).toEqual(is)
  })

  it('takes no longer than its length, whichever line end is missing', () => {
    const startMs = performance.now()
    for (const end of ['\n', '\r', '\r\n']) expect(messages(`data: a${end}`.repeat(200_000))).toHaveLength(1)
    expect(performance.now() - startMs).toBeLessThan(5_000)
  })
})
