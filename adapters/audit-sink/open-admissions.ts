/** Which calls earlier logs of a directory have admitted without seeing how they ended. */
import { setImmediate } from 'node:timers/promises'
import { readRecord } from '../../lib/audit/chain.ts'
import { listLogs, readLines } from './trail-files.ts'

/** @property seq of the admission in the log of `boot` */
export interface OpenAdmission {
  readonly boot: string
  readonly seq: number
  readonly call: string
}

const linesAtOnce = 500

export class OpenAdmissions {
  readonly #byCall = new Map<string, OpenAdmission>()
  /** Keys of the logs that were read, newest first. */
  readonly logs: string[] = []

  get size(): number {
    return this.#byCall.size
  }

  all(): OpenAdmission[] {
    return [...this.#byCall.values()]
  }

  /**
   * Reads the log before a log, and further back until one that had itself finished doing so. Lets others run in between:
   * a day's trail takes seconds.
   *
   * @param key of the log that is asking
   */
  static async before(directory: string, key: string): Promise<OpenAdmissions> {
    const open = new OpenAdmissions()
    const ended = new Set<string>()
    const logs = listLogs(directory)
    for (const log of logs
      .slice(
        0,
        logs.findIndex((one) => one.key === key),
      )
      .reverse()) {
      open.logs.push(log.key)
      const admitted = new Map<string, OpenAdmission>()
      let isRecovered = false
      let lines = 0
      for (const file of log.segments) {
        for (const read of readLines(directory, file)) {
          if (++lines % linesAtOnce === 0) await setImmediate()
          if (!('line' in read)) continue
          const record = readRecord(read.line)
          if (record?.type === 'recovery' || record?.previous === null) isRecovered = true
          if (typeof record?.call !== 'string') continue
          if (record.type === 'admission')
            admitted.set(record.call, {
              boot: typeof record.boot === 'string' ? record.boot : '',
              seq: Number(record.seq),
              call: record.call,
            })
          // Whatever else is said of a call is how it ended.
          else ended.add(record.call)
        }
      }
      for (const [call, admission] of admitted) if (!ended.has(call)) open.#byCall.set(call, admission)
      if (isRecovered) break
    }
    return open
  }
}
