/** A TCP connection for TLS that sees what TLS does not tell: whether the other side said that it is closing. */
import { connect } from 'node:net'
import { Duplex } from 'node:stream'

/**
 * Reads the heads of TLS records (RFC 8446 5.1, RFC 5246 6.2.1), which are not encrypted.
 *
 * An alert is a record of its own type up to TLS 1.2; in 1.3 it looks like data, and is known by its length: two bytes,
 * one for the type, sixteen for the tag (all of 1.3's ciphers but CCM_8, which Node does not offer). For a side that
 * sends no data, an alert that is followed by the end of the stream and was no error is `close_notify`.
 */
export class TlsRecords {
  /** Was the last whole record an alert? */
  endsInAlert = false
  #head = Buffer.alloc(0)
  #left = 0

  feed(chunk: Buffer): void {
    let rest = chunk
    while (rest.length > 0) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, rest.length)
        this.#left -= taken
        rest = rest.subarray(taken)
        continue
      }
      const taken = headBytes - this.#head.length
      this.#head = Buffer.concat([this.#head, rest.subarray(0, taken)])
      rest = rest.subarray(taken)
      if (this.#head.length < headBytes) return
      const [type, length] = [this.#head[0], this.#head.readUInt16BE(3)]
      this.endsInAlert = type === alert || (type === data && length === alertLength13)
      this.#left = length
      this.#head = Buffer.alloc(0)
    }
  }
}

const headBytes = 5
const alert = 21
const data = 23
const alertLength13 = 2 + 1 + 16

/** Connects; what comes in is fed to `records` on its way to TLS. */
export function watchedSocket(host: string, port: number, records: TlsRecords): Duplex {
  const socket = connect({ host, port })
  const duplex = new Duplex({
    read: () => {
      socket.resume()
    },
    write: (chunk: Buffer, _encoding, done) => {
      socket.write(chunk, done)
    },
    final: (done) => {
      socket.end(done)
    },
    destroy: (error, done) => {
      socket.destroy()
      done(error)
    },
  })
  socket.on('data', (chunk) => {
    records.feed(chunk)
    if (!duplex.push(chunk)) socket.pause()
  })
  socket.on('end', () => duplex.push(null))
  socket.on('error', (error) => duplex.destroy(error))
  socket.on('close', () => duplex.destroy())
  return duplex
}
