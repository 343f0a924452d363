/** Answers that are none: whoever asked is told, in time. */
import { type AddressInfo, createServer } from 'node:net'
import { expect, it } from 'vitest'
import { HttpClient } from '../../../adapters/http-client.ts'

const answers: readonly [note: string, bytes: string, because: string][] = [
  ['a switch to another protocol', 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n', '101, a switch'],
  ['promises of an answer', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n', 'no whole answer within 300 ms'],
  ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', 'Parse Error'],
] // prettier-ignore

it.each(answers)(
  '%s is no answer, and keeps nobody waiting',
  async (_note, bytes, because) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.write(bytes))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const client = new HttpClient(url, 300, undefined)
    await expect(client.request('POST', url, {}, Buffer.from('{}'))).rejects.toThrow(because)
    client.close()
    await new Promise((resolve) => server.close(resolve))
  },
  3_000,
)
