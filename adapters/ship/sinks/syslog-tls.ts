/**
 * Syslog over TLS (RFC 5425): messages of RFC 5424, each with its length in front (octet counting, RFC 6587 3.4.1).
 *
 * Syslog confirms nothing. What comes closest: after a few seconds the connection is closed in order, and the
 * receiver, when it has read to the end, answers our close_notify with its own (RFC 5425 4.4: it must). Only then is what
 * went over it confirmed; whatever a connection that ended in another way may have eaten is sent again over the next.
 */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { formatRecord } from '../../../lib/audit/formats/format.ts'
import { judgeRecord } from '../../../lib/audit/formats/judge-record.ts'
import { type ReadRecord, textAt } from '../../../lib/audit/formats/read-line.ts'
import { noAnswer } from '../sent-by-answer.ts'
import { TlsRecords, watchedSocket } from '../watched-socket.ts'
import { type Confirmation, flag, type Sink, type SinkContext, maybeText, number, text } from './sink.ts'

/** Batches on one connection before it has to be confirmed. */
const window = 64

/** @property settle what is to be told of each batch that went over it */
interface Line {
  readonly socket: TLSSocket
  readonly settle: ((said: Confirmation) => void)[]
  isEnding: boolean
  timer: NodeJS.Timeout | undefined
}

export function syslogTlsSink({ config, format }: SinkContext): Sink {
  const [host, port] = [text(config, 'host'), number(config, 'port')]
  const [facility, appName] = [number(config, 'facility'), text(config, 'app_name')]
  const confirmMs = number(config, 'confirm_ms')
  const fileOf = (name: string): string | undefined => {
    const path = maybeText(config, name)
    return path === undefined ? undefined : readFileSync(path, 'utf8')
  }
  const wantsCloseNotify = flag(config, 'require_close_notify')
  let line: Line | undefined

  const open = (): Promise<Line> =>
    new Promise((resolve, reject) => {
      const serverName = maybeText(config, 'server_name')
      const [ca, cert, key] = [fileOf('ca_file'), fileOf('client_cert_file'), fileOf('client_key_file')]
      const records = new TlsRecords()
      const socket = connect({
        socket: watchedSocket(host, port, records),
        // What a certificate is checked against. An address is never sent as a name (RFC 6066 3).
        host: serverName ?? host,
        ...(isIP(serverName ?? host) === 0 ? { servername: serverName ?? host } : {}),
        minVersion: 'TLSv1.2',
        // Whatever NODE_TLS_REJECT_UNAUTHORIZED says.
        rejectUnauthorized: true,
        ...(ca ? { ca } : {}),
        ...(cert && key ? { cert, key } : {}),
      })
      socket.setTimeout(config.timeout_ms, () => socket.destroy(new Error(`nothing for ${config.timeout_ms} ms`)))
      const opened: Line = { socket, settle: [], isEnding: false, timer: undefined }
      let hasReadAll = false
      let problem: Error | undefined
      socket.once('secureConnect', () => {
        socket.setTimeout(0)
        resolve(opened)
      })
      socket.on('error', (error: Error) => {
        problem = error
      })
      // The other side's end counts where it comes after ours: before, it may have left something unread.
      socket.once('end', () => (hasReadAll = opened.isEnding && socket.writableFinished))
      socket.once('close', () => {
        clearTimeout(opened.timer)
        if (line === opened) line = undefined
        const said = confirmationOf(hasReadAll, records.endsInAlert, problem)
        for (const settle of opened.settle) settle(said)
        reject(problem ?? new Error('the connection was closed'))
      })
      // A receiver has nothing to say; what it says is read, so that its end is seen.
      socket.resume()
    })

  const confirmationOf = (hasReadAll: boolean, hasSaidSo: boolean, problem: Error | undefined): Confirmation => {
    if (problem) return { isThere: false, because: problem.message }
    if (!hasReadAll) return { isThere: false, because: 'the receiver closed the connection' }
    // A process that dies closes its connections too, with what it had read and not kept.
    if (hasSaidSo || !wantsCloseNotify) return { isThere: true }
    const because =
      'the receiver closed without close_notify (one that never sends it needs require_close_notify: false)'
    return { isThere: false, because }
  }

  const finish = (): void => {
    const ending = line
    if (!ending || ending.isEnding) return
    // New batches go over a new connection.
    line = undefined
    ending.isEnding = true
    within(ending)
    ending.socket.once('finish', () => within(ending))
    ending.socket.end()
  }

  /** Time to read what is left, or to answer its end. What a receiver says is neither: one that talks on is not waited for. */
  const within = (ending: Line): void => {
    clearTimeout(ending.timer)
    const late = new Error(`nothing was read for ${config.timeout_ms} ms`)
    ending.timer = setTimeout(() => ending.socket.destroy(late), config.timeout_ms)
  }

  return {
    inFlight: window,
    prepare: (record) => {
      const message = Buffer.from(messageOf(record, formatRecord(record, format).text))
      return { to: 'send', payload: Buffer.concat([Buffer.from(`${message.length} `), message]) }
    },
    async send(entries) {
      try {
        line ??= await open()
      } catch (error) {
        return noAnswer(error)
      }
      const over = line
      if (over.socket.destroyed) {
        line = undefined
        return { what: 'again', because: 'the connection was closed' }
      }
      const confirmed = new Promise<Confirmation>((resolve) => over.settle.push(resolve))
      over.timer ??= setTimeout(finish, confirmMs)
      const body = Buffer.concat(entries.map(({ payload }) => payload))
      const isBelow = over.socket.write(body, (error) => {
        if (!error && over.isEnding) within(over)
      })
      if (!isBelow) await drained(over.socket)
      return { what: 'accepted', confirmed }
    },
    flush: finish,
    reset() {
      line?.socket.destroy()
      line = undefined
    },
    close() {
      line?.socket.destroy()
    },
  }

  /** @see RFC 5424 6: `<PRI>1 TIME HOST APP PROCID MSGID STRUCTURED-DATA MSG`; the number of the record is its sequenceId */
  function messageOf(record: ReadRecord, text: string): string {
    const priority = facility * 8 + severities[judgeRecord(record).severity]
    const time = textAt(record.members, 'time') ?? '-'
    const [node, boot, id] = [record.node ?? '-', record.boot ?? '-', record.type]
    // sequenceId goes from 1 to 2^31 - 1 and begins again (RFC 5424 7.3.1).
    const sequence = record.seq === undefined ? '' : `[meta sequenceId="${((record.seq - 1) % 2_147_483_647) + 1}"]`
    return `<${priority}>1 ${isTime(time) ? time : '-'} ${name(node, 255)} ${appName} ${name(boot, 128)} ${name(id, 32)} [origin software="kong-mcp-suite"]${sequence} ${text}`
  }
}

/** RFC 5424's names: printable ASCII without spaces, bounded. */
const name = (text: string, max: number): string => text.replace(/[^\x21-\x7e]/g, '_').slice(0, max) || '-'

const isTime = (text: string): boolean => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$/.test(text)

/** Informational, notice, warning, error. */
const severities = { info: 6, low: 5, medium: 4, high: 3 } as const

function drained(socket: TLSSocket): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      socket.off('drain', over)
      socket.off('close', over)
      resolve()
    }
    socket.once('drain', over)
    socket.once('close', over)
  })
}
