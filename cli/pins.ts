/** `kmcp pins`: see which tool definitions wait for approval, approve and reject them. */
import { existsSync } from 'node:fs'
import { userInfo } from 'node:os'
import { parseArgs } from 'node:util'
import { systemClock } from '../adapters/clock.ts'
import {
  appendSeen,
  readPinsFile,
  readSeen,
  type Seen,
  type SeenDefinition,
  seenFileOf,
  writePinsFile,
} from '../adapters/policy/pin-files.ts'
import type { Json } from '../lib/mcp/message.ts'
import type { Pin, Pins } from '../lib/policy/pins.ts'
import { visible } from '../lib/policy/suspicious-text.ts'
import { type Command, UsageError } from './command.ts'

const options = {
  file: { type: 'string' },
  all: { type: 'boolean' },
  sha256: { type: 'string' },
  by: { type: 'string' },
  note: { type: 'string' },
} as const

export const pinsList: Command = {
  usage: 'pins list --file PINS',
  does: 'show tool definitions that wait for approval; exit 1 where there are any',
  run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { file: options.file },
    })
    if (positionals.length > 0) throw new UsageError('list takes no names')
    const path = pathOf(values.file)
    const { pins, seen } = read(path)
    for (const [tool, pin] of [...pins].sort(([a], [b]) => (a < b ? -1 : 1))) printApproved(tool, pin, seen)
    const waiting = waitingOf(pins, seen)
    for (const definition of waiting) printWaiting(definition, pins.get(definition.tool), seen, path)
    if (seen.unreadable > 0) console.log(`note: ${seen.unreadable} lines of ${seenFileOf(path)} are not whole: ignored`)
    console.log(`${pins.size} approved, ${waiting.length} waiting, ${seen.rejected.size} rejected`)
    return Promise.resolve(waiting.length === 0 ? 0 : 1)
  },
}

export const pinsApprove: Command = {
  usage: 'pins approve NAME|--all [--sha256 DIGEST] [--by WHO] [--note TEXT] --file PINS',
  does: 'approve a definition that was seen',
  run(args) {
    const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options })
    const path = pathOf(values.file)
    const [name, ...more] = positionals
    if (more.length > 0) throw new UsageError('name one tool')
    if ([name ?? values.sha256, values.all].filter((one) => one !== undefined).length !== 1) {
      throw new UsageError('name one tool, or say --all')
    }
    const { pins, seen } = read(path)
    const chosen = values.all === true ? onePerTool(waitingOf(pins, seen)) : [choose(name, values.sha256, pins, seen)]
    const by = values.by ?? userInfo().username
    const at = now()
    const next = new Map(pins)
    for (const { tool, sha256, definition } of chosen) {
      if (!definition) {
        throw new Error(`${sha256} is too long to be shown and approved: write it into ${path} by hand if you know it`)
      }
      next.set(tool, {
        sha256,
        approvedBy: by,
        approvedAt: at,
        ...(values.note === undefined ? {} : { note: values.note }),
      })
    }
    if (chosen.length > 0) writePinsFile(path, next)
    for (const { tool, sha256, flags } of chosen) {
      for (const other of seen.definitions.filter((one) => one.tool === tool && one.sha256 !== sha256)) {
        if (!seen.rejected.has(other.sha256)) {
          appendSeen(path, { event: 'superseded', at, tool, sha256: other.sha256, by })
        }
      }
      appendSeen(path, { event: 'approved', at, tool, sha256, by })
      console.log(`approved: ${quoted(tool)} ${sha256}`)
      for (const { kind, at: where, found } of flags) console.log(`  ! ${kind} in ${where}: ${found}`)
    }
    console.log(chosen.length === 0 ? 'nothing waits' : 'in force within a second on every node that reads this file')
    return Promise.resolve(0)
  },
}

export const pinsReject: Command = {
  usage: 'pins reject NAME [--sha256 DIGEST] [--by WHO] --file PINS',
  does: 'stop a definition from waiting; an approved one loses its approval',
  run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { file: options.file, sha256: options.sha256, by: options.by },
    })
    const path = pathOf(values.file)
    const [name, ...more] = positionals
    if (more.length > 0 || (name ?? values.sha256) === undefined) throw new UsageError('name one tool')
    const { pins, seen } = read(path)
    const approved = [...pins].find(
      ([tool, { sha256 }]) =>
        (name === undefined || tool === name) && values.sha256 !== undefined && isDigest(sha256, values.sha256),
    )
    const { tool, sha256 } = approved
      ? { tool: approved[0], sha256: approved[1].sha256 }
      : choose(name, values.sha256, pins, seen)
    if (approved) writePinsFile(path, new Map([...pins].filter(([one]) => one !== tool)))
    // Made here it would be its maker's, and Kong could not write to it.
    if (existsSync(seenFileOf(path))) {
      appendSeen(path, { event: 'rejected', at: now(), tool, sha256, by: values.by ?? userInfo().username })
    }
    console.log(`rejected: ${quoted(tool)} ${sha256}${approved ? ', which was approved' : ''}`)
    return Promise.resolve(0)
  },
}

const now = (): string => new Date(systemClock.nowMs()).toISOString()

/** @throws UsageError */
function pathOf(file: string | undefined): string {
  const path = file ?? process.env.KMCP_PINS_FILE
  if (path === undefined) throw new UsageError('say which pins file: --file PINS, or KMCP_PINS_FILE')
  if (!existsSync(path) && !existsSync(seenFileOf(path))) {
    throw new UsageError(`there is neither ${path} nor ${seenFileOf(path)}: has a list of tools been asked for yet?`)
  }
  return path
}

const read = (path: string): { readonly pins: Pins; readonly seen: Seen } => ({
  pins: existsSync(path) ? readPinsFile(path) : new Map<string, Pin>(),
  seen: readSeen(path),
})

/** Seen, neither approved nor rejected; oldest first. */
const waitingOf = (pins: Pins, { definitions, rejected }: Seen): SeenDefinition[] =>
  definitions.filter(({ tool, sha256 }) => pins.get(tool)?.sha256 !== sha256 && !rejected.has(sha256))

/** @throws Error naming the tools of which several wait: somebody has to say which */
function onePerTool(waiting: readonly SeenDefinition[]): readonly SeenDefinition[] {
  const tools = waiting.map(({ tool }) => tool)
  const several = [...new Set(tools.filter((tool, at) => tools.indexOf(tool) !== at))]
  if (several.length === 0) return waiting
  throw new Error(`several definitions wait of ${several.map(quoted).join(', ')}: approve one with --sha256`)
}

/** @throws Error where it was never seen, or where several wait */
function choose(name: string | undefined, digest: string | undefined, pins: Pins, seen: Seen): SeenDefinition {
  const candidates = (digest === undefined ? waitingOf(pins, seen) : seen.definitions).filter(
    ({ tool, sha256 }) => (name === undefined || tool === name) && (digest === undefined || isDigest(sha256, digest)),
  )
  const [one, ...more] = candidates
  const of = name === undefined ? '' : ` of ${quoted(name)}`
  if (!one)
    throw new Error(
      `no definition${of} ${digest === undefined ? 'waits' : `with this digest was seen`}: see \`kmcp pins list\``,
    )
  if (more.length > 0) {
    throw new Error(`${candidates.length} definitions${of} wait: say which with --sha256, see \`kmcp pins list\``)
  }
  return one
}

/** A digest in full, or the first twelve digits of it or more. @throws UsageError for anything else */
function isDigest(sha256: string, given: string): boolean {
  if (!/^[0-9a-f]{12,64}$/.test(given))
    throw new UsageError('--sha256 takes a digest, or 12 of its first digits at least')
  return sha256.startsWith(given)
}

function printApproved(tool: string, { sha256, approvedBy, approvedAt, note }: Pin, seen: Seen): void {
  const about = note === undefined ? '' : `: ${visible(note)}`
  console.log(`${quoted(tool)} is approved: ${sha256} by ${visible(approvedBy)} at ${visible(approvedAt)}${about}`)
  const flags = seen.definitions.find((one) => one.sha256 === sha256)?.flags ?? []
  for (const { kind, at, found } of flags) console.log(`  ! ${kind} in ${at}: ${found}`)
}

function printWaiting(definition: SeenDefinition, pin: Pin | undefined, seen: Seen, path: string): void {
  const { tool, sha256, seenAt, flags } = definition
  console.log(`\n${quoted(tool)} ${pin ? 'has CHANGED' : 'is NEW'}: ${sha256}, first seen ${seenAt}`)
  const before = pin && seen.texts.get(pin.sha256)
  if (pin && before === undefined)
    console.log(`  the approved ${pin.sha256} is not kept here: this is all of the new one`)
  if (definition.definition === undefined) console.log('  too long to be shown')
  else for (const line of difference(before, definition.definition)) console.log(`  ${line}`)
  for (const { kind, at, found } of flags) console.log(`  ! ${kind} in ${at}: ${found}`)
  console.log(`  kmcp pins approve --sha256 ${sha256} --file ${path}`)
}

/**
 * What differs between two definitions, one line a value: `- ` for what was, `+ ` for what is, and of long texts the part
 * that differs. Everything invisible is spelled out.
 *
 * @param before undefined for nothing: then all of `after` is new
 */
export function difference(before: Json | undefined, after: Json): string[] {
  const was = new Map(before === undefined ? [] : leavesOf(before, ''))
  const is = new Map(leavesOf(after, ''))
  return [...new Set([...was.keys(), ...is.keys()])].flatMap((path) => {
    const old = was.get(path)
    const fresh = is.get(path)
    if (old === fresh) return []
    const lines = [
      ...(old === undefined ? [] : [`- ${visible(path)}: ${visible(old)}`]),
      ...(fresh === undefined ? [] : [`+ ${visible(path)}: ${visible(fresh)}`]),
    ]
    return old !== undefined && fresh !== undefined && old.length + fresh.length > 80
      ? [...lines, gap(old, fresh)]
      : lines
  })
}

/** Where two texts part and meet again. */
function gap(old: string, fresh: string): string {
  let start = 0
  while (start < old.length && start < fresh.length && old[start] === fresh[start]) start++
  let end = 0
  const most = Math.min(old.length, fresh.length) - start
  while (end < most && old[old.length - 1 - end] === fresh[fresh.length - 1 - end]) end++
  const part = (text: string): string => `\`${visible(text.slice(start, text.length - end))}\``
  return `  from character ${start} on: ${part(old)} is now ${part(fresh)}`
}

function leavesOf(value: Json, path: string): (readonly [string, string])[] {
  if (typeof value !== 'object' || value === null) return [[path, JSON.stringify(value)]]
  const entries: (readonly [string, Json])[] = Array.isArray(value)
    ? value.map((one: Json, index) => [`${path}[${index}]`, one] as const)
    : Object.entries(value).map(([key, inner]) => [member(path, key), inner] as const)
  if (entries.length === 0) return [[path, Array.isArray(value) ? '[]' : '{}']]
  return entries.flatMap(([inner, one]) => leavesOf(one, inner))
}

/** A key that could be taken for several, or for none, stands in brackets. */
const member = (path: string, key: string): string =>
  !/^[\w$-]+$/.test(key) ? `${path}[${JSON.stringify(key)}]` : path === '' ? key : `${path}.${key}`

/** A name from outside, as it can be shown. */
const quoted = (name: string): string => `\`${visible(name)}\``
