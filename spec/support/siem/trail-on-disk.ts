/** Trails as the gateway would write them, made by a spec: lines, segments, torn ends. */
import { createHash, randomUUID } from 'node:crypto'
import { appendFileSync, mkdirSync, truncateSync, statSync } from 'node:fs'
import { join } from 'node:path'

export type Members = Readonly<Record<string, unknown>>

/** One start of a plugin server, writing records. */
export class TrailOnDisk {
  readonly directory: string
  readonly boot = randomUUID()
  readonly stamp: string
  readonly node: string
  seq = 0
  segment = 1
  #prev = '0'.repeat(64)

  /** @param begunMs of the name; files sort by it */
  constructor(directory: string, begunMs = Date.now(), node = 'node-1') {
    mkdirSync(directory, { recursive: true })
    this.directory = directory
    this.stamp = new Date(begunMs).toISOString().replace(/[-:.]/g, '')
    this.node = node
  }

  get file(): string {
    return `trail-${this.stamp}-${this.boot.slice(0, 8)}-${String(this.segment).padStart(6, '0')}.jsonl`
  }

  get path(): string {
    return join(this.directory, this.file)
  }

  /** A line without its line feed, as the next record; nothing is written. */
  line(members: Members = {}): string {
    this.seq++
    const line = JSON.stringify({
      agent: 'claude',
      boot: this.boot,
      call: randomUUID(),
      client_ip: '192.0.2.7',
      decision: { effect: 'allow', id: 'd1', policy_sha256: 'ab', roles: ['reader'], rule: 'jira:read' },
      method: 'tools/call',
      mono_ms: this.seq,
      node: this.node,
      path: '/mcp/jira',
      person: { id: 'https://idp#00u1', issuer: 'https://idp', name: 'Ann Änn', subject: '00u1' },
      prev: this.#prev,
      principal_kind: 'human',
      request_id: '7',
      revision: '2025-11-25',
      route: 'jira',
      seq: this.seq,
      target: 'tool get_issue',
      time: new Date().toISOString(),
      tool: 'get_issue',
      type: 'admission',
      v: 2,
      verb: 'POST',
      ...members,
    })
    this.#prev = createHash('sha256')
      .update(Buffer.concat([Buffer.of(0), Buffer.from(line)]))
      .digest('hex')
    return line
  }

  append(count = 1, members: Members | ((seq: number) => Members) = {}): string[] {
    const lines = Array.from({ length: count }, () =>
      this.line(typeof members === 'function' ? members(this.seq + 1) : members),
    )
    appendFileSync(this.path, lines.map((line) => `${line}\n`).join(''))
    return lines
  }

  appendRaw(text: string | Buffer): void {
    appendFileSync(this.path, text)
  }

  rotate(): void {
    this.segment++
  }

  /** Cuts bytes off the end of the file that is written to now. */
  cut(bytes: number): void {
    truncateSync(this.path, statSync(this.path).size - bytes)
  }
}

/** What a receiver has, as `boot:seq` in the order of arrival. */
export const idsOf = (records: readonly any[]): string[] => records.map(({ boot, seq }) => `${boot}:${seq}`)

/**
 * Is everything there, in order, but for repetitions?
 *
 * Repetitions are of at-least-once: a receiver sees a run again, from some earlier record on. Taken away, what remains
 * must be every record once, in order.
 */
export function arrived(records: readonly any[]): { readonly first: string[]; readonly repeated: number } {
  const first = [...new Set(idsOf(records))]
  return { first, repeated: records.length - first.length }
}

/** Each record where it arrived last: for receivers that take records before they lose earlier ones. */
export const lastTimes = (records: readonly any[]): string[] => [...new Set(idsOf(records).reverse())].reverse()

/** The number of the record in a dead letter, an archived line or a log's message. */
export const seqOf = (kept: { readonly line?: string; readonly message?: string }): number =>
  Number(JSON.parse(kept.line ?? kept.message ?? '{}').seq)
