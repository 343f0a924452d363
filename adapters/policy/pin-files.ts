/** Pins in a file, what was seen of definitions in another beside it, and what each route saw last. */
import { createHash, randomUUID } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { stringify } from 'yaml'
import type { Json } from '../../lib/mcp/message.ts'
import { type JsonNode, toPlain } from '../../lib/mcp/json-node.ts'
import {
  type DefinitionFault,
  definitionDigest,
  definitionFault,
  definitionOf,
  type DefinitionReport,
  type Pins,
  pinsDocument,
  readPinsDocument,
} from '../../lib/policy/pins.ts'
import { type Flag, suspiciousText, visible } from '../../lib/policy/suspicious-text.ts'
import type { Clock } from '../clock.ts'
import { readYaml } from '../read-yaml.ts'

type Log = (level: 'info' | 'warn' | 'error', message: string) => void

const lookEveryMs = 1_000
const maxPinsBytes = 8 * 1024 * 1024
const maxSeenBytes = 16 * 1024 * 1024
const maxDefinitionBytes = 256 * 1024
const maxWaitingPerTool = 20
const maxRemembered = 10_000

/**
 * One definition in a list, judged.
 *
 * @property approved the digest that is approved instead, where there is one
 * @property flags    what of it a person should look at
 */
export interface JudgedDefinition {
  readonly tool: string
  readonly sha256: string
  readonly fault: DefinitionFault | undefined
  readonly approved: string | undefined
  readonly flags: readonly Flag[]
  readonly node: JsonNode
}

/** The pins of one route. */
export interface RoutePins {
  readonly mode: 'warn' | 'enforce'
  /**
   * What is wrong with a tool, as far as is known: by the definition this route saw last, or by its pin alone where none
   * has been seen since the start.
   */
  fault(tool: string): DefinitionFault | undefined
  /** Judges one entry of a list; changes nothing. */
  judge(entry: { readonly name: string; readonly node: JsonNode }): JudgedDefinition
  /** Remembers a list whose answer was understood: what calls are judged by, what waits for approval, what is logged. */
  see(definitions: readonly JudgedDefinition[]): DefinitionReport
}

/** What is put on record of a pins file: a version that came into force, and the one before it, or why one was refused. */
export type PinsNews =
  | { readonly source: string; readonly pins: Pins; readonly before: Pins | undefined }
  | { readonly source: string; readonly because: string }

/** Which routes have pins. A plugin that registers none leaves a route as it is without. */
export class PinnedRoutes {
  /** Is told what becomes of a route's file. */
  onNews: (route: string, news: PinsNews) => void = () => undefined
  readonly #files = new Map<string, PinFile>()
  readonly #routes = new Map<string, { readonly pins: RoutePins; readonly path: string; readonly seen: LastSeen }>()
  readonly #clock: Clock
  readonly #log: Log

  constructor(clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
  }

  of(route: string): RoutePins | undefined {
    return this.#routes.get(route)?.pins
  }

  /**
   * Pins the tools of a route to a file.
   *
   * What the route has seen stays known when its configuration changes, and its file does not.
   *
   * @throws Error in `enforce` where no version of the file could be used yet
   */
  open(route: string, mode: 'warn' | 'enforce', path: string): RoutePins {
    const file = this.#files.get(path) ?? new PinFile(path, this.#clock, this.#log, (news) => this.#tell(news))
    if (mode === 'enforce') file.mustBeUsable()
    this.#files.set(path, file)
    const before = this.#routes.get(route)
    const seen = before?.path === path ? before.seen : new Map<string, string>()
    const pins = pinsOf(mode, file, seen)
    this.#routes.set(route, { pins, path, seen })
    const known = file.news()
    if (before?.path !== path && known) this.onNews(route, known)
    return pins
  }

  #tell(news: PinsNews): void {
    for (const [route, { path }] of this.#routes) if (path === news.source) this.onNews(route, news)
  }

  close(route: string): void {
    this.#routes.delete(route)
  }
}

/** The digest each tool had in the last list. */
type LastSeen = Map<string, string>

function pinsOf(mode: 'warn' | 'enforce', file: PinFile, seen: LastSeen): RoutePins {
  return {
    mode,
    fault: (tool) => definitionFault(file.current().get(tool), seen.get(tool)),
    judge({ name: tool, node }) {
      const { sha256, flags } = file.read(node)
      const pin = file.current().get(tool)
      return { tool, sha256, fault: definitionFault(pin, sha256), approved: pin?.sha256, flags, node }
    },
    see(definitions) {
      for (const { tool, sha256 } of definitions) {
        // Names are the server's to invent. A tool without a pin is denied remembered or not.
        if (seen.has(tool) || seen.size < maxRemembered || file.current().has(tool)) seen.set(tool, sha256)
      }
      file.keep(definitions)
      const faulty = (fault: DefinitionFault): readonly JudgedDefinition[] =>
        definitions.filter((definition) => definition.fault === fault)
      return {
        mode,
        fresh: faulty('definition_new').map(({ tool, sha256 }) => ({ tool, sha256 })),
        changed: faulty('definition_changed').map(({ tool, sha256, approved = '' }) => ({ tool, sha256, approved })),
        flagged: definitions
          .filter(({ flags }) => flags.length > 0)
          .map(({ tool, flags }) => ({ tool, kinds: kindsOf(flags) })),
      }
    },
  }
}

const kindsOf = (flags: readonly Flag[]): string[] => [...new Set(flags.map(({ kind }) => kind))]

/** One pins file and the file of what was seen, as all routes that name them share them. */
class PinFile {
  readonly #path: string
  readonly #clock: Clock
  readonly #log: Log
  readonly #tell: (news: PinsNews) => void
  readonly #announced = new Set<string>()
  readonly #known = new Map<string, { readonly sha256: string; readonly flags: readonly Flag[] }>()
  #pins: Pins | undefined
  #fault = ''
  #mark = ''
  #lookedMono = 0
  #seen: SeenIndex | undefined
  #seenMark = ''

  /** @param tell is told of later versions */
  constructor(path: string, clock: Clock, log: Log, tell: (news: PinsNews) => void) {
    this.#path = path
    this.#clock = clock
    this.#log = log
    this.#tell = tell
    this.#look()
  }

  /** What a route that begins with this file is told; nothing where there is no version of it to tell of. */
  news(): PinsNews | undefined {
    const source = this.#path
    return this.#pins ? { source, pins: this.#pins, before: undefined } : undefined
  }

  /** @throws Error saying why no version of the file could be used yet */
  mustBeUsable(): void {
    this.#look()
    if (!this.#pins) throw new Error(`pins ${this.#path}: ${this.#fault}`)
  }

  /**
   * The pins of the newest version that could be used; none where there has been no such version.
   *
   * Looked at once a second at most, when somebody asks. A version that cannot be used is logged once.
   */
  current(): Pins {
    if (this.#clock.monoMs() - this.#lookedMono >= lookEveryMs) this.#look()
    return this.#pins ?? noPins
  }

  #look(): void {
    this.#lookedMono = this.#clock.monoMs()
    const mark = markOf(this.#path)
    if (mark === this.#mark) return
    const isFirst = this.#mark === ''
    this.#mark = mark
    const source = this.#path
    try {
      const before = this.#pins
      this.#pins = readPinsFile(source)
      if (!isFirst) this.#log('info', `pins ${source}: a new version is in force`)
      this.#tell({ source, pins: this.#pins, before: before ?? noPins })
    } catch (error) {
      this.#fault = error instanceof Error ? error.message : String(error)
      this.#tell({ source, because: this.#fault })
      const instead = this.#pins ? 'the version before stays in force' : 'nothing counts as approved'
      this.#log('error', `pins ${this.#path}: not used, ${instead}: ${this.#fault}`)
    }
  }

  /** Digest and flags of an entry; remembered by its bytes, because lists come again and again. */
  read(node: JsonNode): { readonly sha256: string; readonly flags: readonly Flag[] } {
    const raw = createHash('sha256').update(node.document.bytes.subarray(node.start, node.end)).digest('base64')
    const found = this.#known.get(raw)
    if (found) return found
    const plain = toPlain(node)
    const read = { sha256: definitionDigest(plain), flags: suspiciousText(definitionOf(plain)) }
    if (this.#known.size >= maxKnown) this.#known.clear()
    this.#known.set(raw, read)
    return read
  }

  /** Keeps each new definition once, for somebody to look at, and tells the log of those that are not approved. */
  keep(definitions: readonly JudgedDefinition[]): void {
    try {
      const index = this.#index()
      for (const definition of definitions) this.#keepOne(definition, index)
    } catch (error) {
      this.#once(`${seenFileOf(this.#path)}: what was seen could not be kept: ${String(error)}`)
    }
    for (const definition of definitions) this.#announce(definition)
  }

  #once(message: string): void {
    if (this.#announced.has(message)) return
    if (this.#announced.size >= maxRemembered) this.#announced.clear()
    this.#announced.add(message)
    this.#log('warn', `pins ${message}`)
  }

  #announce({ tool, sha256, fault, approved, flags }: JudgedDefinition): void {
    if (!fault) return
    const is = fault === 'definition_new' ? 'has no approval' : `is not the approved ${approved ?? ''}`
    const odd = flags.length === 0 ? '' : `; look at it closely: ${kindsOf(flags).join(', ')}`
    this.#once(`${this.#path}: tool \`${visible(tool.slice(0, 128))}\`: definition ${sha256} ${is}${odd}`)
  }

  #keepOne({ tool, sha256, fault, node }: JudgedDefinition, index: SeenIndex): void {
    const known = index.byTool.get(tool) ?? new Set<string>()
    if (known.has(sha256)) return
    const pin = this.current().get(tool)?.sha256
    const waiting = [...known].filter((digest) => digest !== pin && !index.rejected.has(digest)).length
    if (fault && waiting >= maxWaitingPerTool) {
      this.#once(
        `${this.#path}: tool \`${visible(tool.slice(0, 128))}\`: ${waiting} definitions wait, no more are kept`,
      )
      return
    }
    if (index.bytes >= maxSeenBytes) {
      this.#once(
        `${seenFileOf(this.#path)}: full, no more definitions are kept; remove it, and what is listed comes back`,
      )
      return
    }
    appendSeen(this.#path, {
      event: 'seen',
      at: new Date(this.#clock.nowMs()).toISOString(),
      tool,
      sha256,
      // What is too long for a person to judge is known by its digest only.
      ...(node.end - node.start > maxDefinitionBytes ? {} : { definition: definitionOf(toPlain(node)) }),
    })
    this.#seenMark = markOf(seenFileOf(this.#path))
    index.byTool.set(tool, known.add(sha256))
    index.bytes = sizeOf(seenFileOf(this.#path))
  }

  /** What the file of what was seen holds: read again where somebody else has changed it. */
  #index(): SeenIndex {
    const mark = markOf(seenFileOf(this.#path))
    if (this.#seen && mark === this.#seenMark) return this.#seen
    const { definitions, rejected } = readSeen(this.#path)
    const byTool = new Map<string, Set<string>>()
    for (const { tool, sha256 } of definitions) byTool.set(tool, (byTool.get(tool) ?? new Set<string>()).add(sha256))
    this.#seenMark = mark
    return (this.#seen = { byTool, rejected, bytes: sizeOf(seenFileOf(this.#path)) })
  }
}

interface SeenIndex {
  readonly byTool: Map<string, Set<string>>
  readonly rejected: ReadonlySet<string>
  bytes: number
}

const noPins: Pins = new Map()
const maxKnown = 2_000

/**
 * Reads a pins file of YAML or JSON.
 *
 * @throws Error naming every fault of it
 */
export function readPinsFile(path: string): Pins {
  if (statSync(path).size > maxPinsBytes) throw new Error(`the file is larger than ${maxPinsBytes} bytes`)
  const read = readPinsDocument(readYaml(path))
  if (!read.ok) throw new Error(read.faults.join('; '))
  return read.pins
}

const header = '# Approved tool definitions: written by `kmcp pins`, see docs/tool-pinning.md.\n'

/** Replaces a pins file by another at once, so that nobody reads half of one; JSON where its name ends in `.json`. */
export function writePinsFile(path: string, pins: Pins): void {
  const before = statSync(path, { throwIfNoEntry: false })
  // A link stays one, and what it leads to is replaced.
  const target = before ? realpathSync(path) : path
  const { tools } = pinsDocument(pins)
  const text = path.endsWith('.json')
    ? `${JSON.stringify({ tools: Object.fromEntries(tools) }, null, 2)}\n`
    : header + stringify({ tools })
  const beside = `${target}.${randomUUID()}`
  try {
    const file = openSync(beside, 'wx', 0o600)
    try {
      writeFileSync(file, text)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    chmodSync(beside, before ? before.mode & 0o777 : 0o644)
    // Kong reads it as its own user, whoever wrote it.
    if (before && process.getuid?.() === 0) chownSync(beside, before.uid, before.gid)
    renameSync(beside, target)
  } catch (error) {
    rmSync(beside, { force: true })
    throw error
  }
}

/**
 * A definition that was in a list.
 *
 * @property definition without `_meta`; undefined where it is too long for a person to judge
 */
export interface SeenDefinition {
  readonly tool: string
  readonly sha256: string
  readonly seenAt: string
  readonly definition: Json | undefined
  readonly flags: readonly Flag[]
}

/**
 * @property definitions those that were seen and that no approval has put behind us, oldest first
 * @property texts       every definition by its digest, to compare with
 * @property rejected    digests
 * @property unreadable  how many lines say nothing: torn ones, and those whose digest is not their definition's
 */
export interface Seen {
  readonly definitions: readonly SeenDefinition[]
  readonly texts: ReadonlyMap<string, Json>
  readonly rejected: ReadonlySet<string>
  readonly unreadable: number
}

/**
 * What happens to a definition. Once `superseded`, by the approval of another, it is kept again when it is seen again.
 */
export interface SeenEvent {
  readonly event: 'seen' | 'approved' | 'rejected' | 'superseded'
  readonly at: string
  readonly tool: string
  readonly sha256: string
  readonly by?: string
  readonly definition?: Json
}

/** The file beside a pins file that holds what was seen. */
export const seenFileOf = (path: string): string => `${path}.seen.jsonl`

/** What was seen, and what was said of it. Nothing where there is no such file. */
export function readSeen(path: string): Seen {
  const file = seenFileOf(path)
  const live = new Map<string, SeenDefinition>()
  const texts = new Map<string, Json>()
  const rejected = new Set<string>()
  let unreadable = 0
  for (const line of sizeOf(file) < 0 ? [] : readFileSync(file, 'utf8').split('\n')) {
    if (line === '') continue
    const read = seenLine(line)
    if (!read) {
      unreadable++
      continue
    }
    const { event, at: seenAt, tool, sha256, definition } = read
    switch (event) {
      case 'seen':
        if (definition !== undefined) texts.set(sha256, definition)
        live.set(sha256, { tool, sha256, seenAt, definition, flags: definition ? suspiciousText(definition) : [] })
        break
      case 'rejected':
        rejected.add(sha256)
        break
      case 'approved':
        rejected.delete(sha256)
        break
      case 'superseded':
        live.delete(sha256)
        break
    }
  }
  return { definitions: [...live.values()], texts, rejected, unreadable }
}

const events: readonly unknown[] = ['seen', 'approved', 'rejected', 'superseded']

function seenLine(line: string): SeenEvent | undefined {
  try {
    const read = JSON.parse(line) as SeenEvent
    const isWhole = events.includes(read.event) && typeof read.tool === 'string' && typeof read.at === 'string'
    if (!isWhole || !/^[0-9a-f]{64}$/.test(read.sha256)) return undefined
    // What a person looks at is what they approve.
    const isIts = read.definition === undefined || definitionDigest(read.definition) === read.sha256
    return isIts ? read : undefined
  } catch {
    return undefined
  }
}

/** Appends one line, and begins a new one where the last was never finished. Only its owner may read the file. */
export function appendSeen(path: string, event: SeenEvent): void {
  const file = seenFileOf(path)
  appendFileSync(file, `${endsTorn(file) ? '\n' : ''}${JSON.stringify(event)}\n`, { mode: 0o600 })
}

function endsTorn(file: string): boolean {
  if (sizeOf(file) < 1) return false
  const opened = openSync(file, 'r')
  try {
    const last = Buffer.alloc(1)
    readSync(opened, last, 0, 1, fstatSync(opened).size - 1)
    return last[0] !== 0x0a
  } finally {
    closeSync(opened)
  }
}

/** In bytes; -1 where there is no such file. */
const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? -1

/** What changes when a file does, replacing it by another (as Kubernetes does) included. */
function markOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat ? `${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs}` : 'absent'
}
