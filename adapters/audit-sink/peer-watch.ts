/** Tells the other nodes how long this node's log is, and writes down how long theirs are. */
import { setImmediate as othersRun } from 'node:timers/promises'
import { type Checkpoint, originOf, readCheckpoint } from '../../lib/audit/checkpoint.ts'
import { readCertificate } from '../../lib/audit/epoch.ts'
import { Frontier, leafHash } from '../../lib/audit/merkle.ts'
import { openNote, readVerifierKey } from '../../lib/audit/signed-note.ts'
import type { TrailHead, TrailHeads } from '../redis/trail-heads.ts'
import type { Trail } from './trail.ts'
import { listLogs, readLines } from './trail-files.ts'

type Log = (level: 'warn' | 'error', message: string) => void

const watchMs = 10_000

/** A log that has begun: where the one before it ends, and the node's verifier key. */
interface Begun {
  readonly boot: string | null
  readonly seq: number
  readonly nodeKey: string
}

export class PeerWatch {
  readonly #trail: Trail
  readonly #heads: TrailHeads
  readonly #node: string
  readonly #log: Log
  readonly #seen = new Map<string, string>()
  readonly #timer: NodeJS.Timeout
  #isAway = false
  #begun: Begun | undefined
  #publishing: Promise<void> | undefined

  /** @param node what this node is called. @param everyMs how often the others are looked at, default 10,000 */
  constructor(trail: Trail, heads: TrailHeads, node: string, log: Log, everyMs: number = watchMs) {
    this.#trail = trail
    this.#heads = heads
    this.#node = node
    this.#log = log
    this.#timer = setInterval(() => void this.look(), everyMs).unref()
    trail.onCheckpoint = (head) => this.#publish(head)
    trail.onStart = (begun) => {
      this.#begun = begun
      this.#publish()
    }
  }

  /** Writes down the head of each other node that has changed since it was last seen. */
  async look(): Promise<void> {
    try {
      const heads = await this.#heads.all()
      for (const node of this.#seen.keys()) if (!heads.has(node)) this.#seen.delete(node)
      for (const [node, { note, certificate }] of heads) {
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
  #publish(head?: TrailHead): void {
    this.#publishing ??= this.#compare()
      .then(() => (head ? this.#heads.publish(this.#node, head) : undefined))
      .catch((error: unknown) => this.#away(error))
      .finally(() => (this.#publishing = undefined))
  }

  /** What this node told the others before it began this log is read before anything else is told in its place. */
  async #compare(): Promise<void> {
    const begun = this.#begun
    if (!begun) return
    const told = (await this.#heads.all()).get(this.#node)
    if (told) await this.#judge(told, begun)
    this.#begun = undefined
  }

  /**
   * Is what this node last told the others still there? Where it is not, the directory was put back to an earlier state, or
   * emptied: the new log says so.
   */
  async #judge(told: TrailHead, { boot, seq, nodeKey }: Begun): Promise<void> {
    const epoch = readCertificate(told.certificate, [readVerifierKey(nodeKey)])
    const opened = typeof epoch === 'string' ? undefined : openNote(told.note, [readVerifierKey(epoch.key)])
    const head = opened?.ok ? readCheckpoint(opened.text) : undefined
    if (!head) {
      // Another key, of a directory that is gone, or nobody's: whoever verifies with that key will know.
      await this.#trail.append({ type: 'peer_head', of: this.#node, ...told })
      this.#log('warn', `somebody else’s key has told of a trail of ${this.#node}: was its directory replaced?`)
      return
    }
    if (boot !== null && head.origin === originOf(this.#node, boot) && head.size <= seq) return
    // The last start may not have told anybody of itself: then what was told is of an earlier one.
    if (await isThere(this.#trail.directory, head)) return
    const { origin, size } = head
    await this.#trail.append({
      type: 'fault',
      what: 'rollback',
      because: `${origin} has had ${size} records`,
      ...told,
    })
    this.#log('error', `the trail of ${this.#node} was put back to an earlier state: ${origin} has had ${size} records`)
  }

  #away(error: unknown): void {
    if (!this.#isAway) this.#log('warn', `the trail’s head is not told to other nodes: ${String(error)}`)
    this.#isAway = true
  }
}

const linesAtOnce = 500

/** Are a log's records there, as a checkpoint of it was signed over them? What a file says of itself is not asked. */
async function isThere(directory: string, { origin, size, root }: Checkpoint): Promise<boolean> {
  const boot8 = origin.slice(origin.lastIndexOf('/') + 1).slice(0, 8)
  for (const { segments } of listLogs(directory).filter(({ key }) => key.endsWith(`-${boot8}`))) {
    const tree = new Frontier()
    for (const file of segments) {
      for (const read of readLines(directory, file)) {
        if (!('line' in read) || tree.size >= size) break
        tree.append(leafHash(read.line))
        if (tree.size % linesAtOnce === 0) await othersRun()
      }
    }
    if (tree.size === size && tree.root().equals(root)) return true
  }
  return false
}
