/** Tells the other nodes how long this node's log is, and writes down how long theirs are. */
import { originOf, readCheckpoint } from '../../lib/audit/checkpoint.ts'
import { readCertificate } from '../../lib/audit/epoch.ts'
import { openNote, readVerifierKey } from '../../lib/audit/signed-note.ts'
import type { TrailHead, TrailHeads } from '../redis/trail-heads.ts'
import type { Trail } from './trail.ts'

type Log = (level: 'warn' | 'error', message: string) => void

const watchMs = 10_000

export class PeerWatch {
  readonly #trail: Trail
  readonly #heads: TrailHeads
  readonly #node: string
  readonly #log: Log
  readonly #seen = new Map<string, string>()
  readonly #timer: NodeJS.Timeout
  #isAway = false
  #publishing: Promise<void> | undefined

  /** @param node what this node is called. @param everyMs how often the others are looked at, default 10,000 */
  constructor(trail: Trail, heads: TrailHeads, node: string, log: Log, everyMs: number = watchMs) {
    this.#trail = trail
    this.#heads = heads
    this.#node = node
    this.#log = log
    this.#timer = setInterval(() => void this.look(), everyMs).unref()
    trail.onCheckpoint = (head) => this.#publish(head)
    trail.onStart = (own) => this.#compare(own)
  }

  /** Writes down the head of each other node that has changed since it was last seen. */
  async look(): Promise<void> {
    try {
      for (const [node, { note, certificate }] of await this.#heads.all()) {
        if (node === this.#node || this.#seen.get(node) === note) continue
        await this.#trail.append({ type: 'peer_head', of: node, note, certificate })
        this.#seen.set(node, note)
      }
      this.#isAway = false
    } catch (error) {
      this.#away(error)
    }
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** One at a time: a head that could not be told is overtaken by the next. */
  #publish(head: TrailHead): void {
    this.#publishing ??= this.#heads
      .publish(this.#node, head)
      .catch((error: unknown) => this.#away(error))
      .finally(() => (this.#publishing = undefined))
  }

  /**
   * Is what this node last told the others still there? Where it is not, the directory was put back to an earlier state: the
   * new log says so.
   */
  async #compare({ boot, seq, nodeKey }: { boot: string | null; seq: number; nodeKey: string }): Promise<void> {
    try {
      const told = (await this.#heads.all()).get(this.#node)
      const epoch = told && readCertificate(told.certificate, [readVerifierKey(nodeKey)])
      // What this node's own key did not sign says nothing of this node.
      if (!epoch || typeof epoch === 'string') return
      const opened = openNote(told.note, [readVerifierKey(epoch.key)])
      const head = opened.ok ? readCheckpoint(opened.text) : undefined
      if (!head || (boot !== null && head.origin === originOf(this.#node, boot) && head.size <= seq)) return
      const { origin, size } = head
      await this.#trail.append({
        type: 'fault',
        what: 'rollback',
        because: `${origin} has had ${size} records`,
        ...told,
      })
      this.#log(
        'error',
        `the trail of ${this.#node} was put back to an earlier state: ${origin} has had ${size} records`,
      )
    } catch (error) {
      this.#away(error)
    }
  }

  #away(error: unknown): void {
    if (!this.#isAway) this.#log('warn', `the trail’s head is not told to other nodes: ${String(error)}`)
    this.#isAway = true
  }
}
