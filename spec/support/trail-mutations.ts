/** Ways to tamper with a trail without the node's key, each of which the design claims to show. */
import { checkpointText } from '../../lib/audit/checkpoint.ts'
import { signNote } from '../../lib/audit/signed-note.ts'
import { noteOf } from '../../lib/audit/verify-log.ts'
import type { Random } from './random.ts'
import {
  cascaded,
  type Files,
  lineOf,
  linesIn,
  type Log,
  type Member,
  recordOf,
  relink,
  remade,
  restated,
  rootsOf,
  segmentNames,
  sizeOf,
  stranger,
  withLines,
  withLog,
  withNote,
  withoutLog,
} from './trail-forger.ts'

/**
 * @property logs   of `files`, oldest first; the last was ended in order, its last checkpoint covers all of it
 * @property alien  a log of another node, under its own key
 * @property sister logs of the same node under the same key, which another directory has
 */
export interface Trail {
  readonly files: Files
  readonly logs: readonly Log[]
  readonly alien: Log
  readonly sister: readonly Log[]
}

/** @returns the files after it, undefined where it cannot be done to what was drawn */
export type Mutation = (trail: Trail, random: Random) => Files | undefined

const bytes = (files: Files, name: string, change: (data: Buffer) => Buffer): Files =>
  new Map([...files].map(([one, data]) => [one, one === name ? change(data) : data]))

const trailNames = ({ files }: Trail): string[] => [...files.keys()].filter((name) => name.startsWith('trail-'))

const splice = (data: Buffer, at: number, remove: number, insert: Uint8Array): Buffer =>
  Buffer.concat([data.subarray(0, at), insert, data.subarray(at + remove)])

/** Changes the lines of a log, and nothing else. */
const onLines =
  (change: (lines: string[], random: Random) => string[] | undefined, which: 'any' | 'earlier' = 'any'): Mutation =>
  ({ files, logs }, random) => {
    const log = random.pick(which === 'any' ? logs : logs.slice(0, -1))
    const lines = change(linesIn(log), random)
    return lines && withLog(files, withLines(log, lines))
  }

/**
 * Changes the lines of a log, and makes everything fit that needs no key: numbers and links, what the checkpoints say, and what the
 * logs after it say of it.
 *
 * @param reach how much of what could be made to fit is
 */
const onLinesRelinked =
  (
    change: (lines: string[], random: Random) => string[] | undefined,
    reach: 'links' | 'checkpoints' | 'later logs',
  ): Mutation =>
  ({ files, logs }, random) => {
    const at = random.below(logs.length)
    const log = logs[at] as Log
    const changed = change(linesIn(log), random)
    if (!changed) return undefined
    const lines = relink(changed)
    const forged = {
      ...withLines(log, lines),
      checkpoints: reach === 'links' ? log.checkpoints : restated(log, lines),
    }
    const all = logs.map((one, index) => (index === at ? forged : one))
    return (reach === 'later logs' ? cascaded(all, at) : all).reduce((after, one) => withLog(after, one), files)
  }

const edited = (lines: string[], random: Random): string[] => {
  const at = random.below(lines.length)
  const record = recordOf(lines[at] as string)
  const name = random.pick(Object.keys(record))
  const old = record[name]
  const value = typeof old === 'number' ? old + 1 : typeof old === 'string' ? `${old}x` : 'forged'
  return lines.with(at, lineOf({ ...record, [name]: value }))
}
const deleted = (lines: string[], random: Random): string[] => lines.toSpliced(random.below(lines.length), 1)
const doubled = (lines: string[], random: Random): string[] => {
  const at = random.below(lines.length)
  return lines.toSpliced(random.below(lines.length + 1), 0, lines[at] as string)
}
const swapped = (lines: string[], random: Random): string[] | undefined => {
  const [one, other] = [random.below(lines.length), random.below(lines.length)]
  if (one === other) return undefined
  return lines.with(one, lines[other] as string).with(other, lines[one] as string)
}
const reordered = (lines: string[], random: Random): string[] | undefined => {
  const from = random.below(lines.length - 2)
  const to = from + 2 + random.below(Math.min(6, lines.length - from - 1))
  const part = lines.slice(from, to).toReversed()
  const after = lines.toSpliced(from, part.length, ...part)
  return after.join() === lines.join() ? undefined : after
}
const inserted = (lines: string[], random: Random): string[] => {
  const at = 1 + random.below(lines.length - 1)
  const model = recordOf(lines[at] as string)
  const forged = {
    ...recordOf(lines[at - 1] as string),
    type: 'admission',
    call: `forged-${random.below(1e9)}`,
    seq: model.seq,
    prev: model.prev,
  }
  return lines.toSpliced(at, 0, lineOf(forged as never))
}
const renamedCall = (lines: string[], random: Random): string[] | undefined => {
  const calls = lines.flatMap((line, at) => (recordOf(line).type === 'admission' ? [at] : []))
  if (calls.length === 0) return undefined
  const at = random.pick(calls)
  return lines.with(at, lineOf({ ...recordOf(lines[at] as string), call: 'somebody-else' }))
}
const startEdited = (lines: string[], random: Random): string[] => {
  const start = recordOf(lines[0] as string)
  const edits = [
    { previous: start.previous === null ? { file: 'x', boot: 'x', seq: 1, last: '', torn_bytes: 0 } : null },
    { node: 'node-9' },
    { boot: '00000000-0000-4000-8000-000000000000' },
    { node_key: `${textOf(start.node_key).slice(0, -8)}AAAAAAA=` },
    { durability: 'disk!' },
    { type: 'heartbeat' },
    { time: '2020-01-01T00:00:00.000Z' },
  ]
  return lines.with(0, lineOf({ ...start, ...(random.pick(edits) as Member) }))
}
const keysIn = (lines: readonly string[]): number[] =>
  lines.flatMap((line, at) => (recordOf(line).type === 'key' ? [at] : []))
const keyDeleted = (lines: string[], random: Random): string[] => lines.toSpliced(random.pick(keysIn(lines)), 1)

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** Text and signatures of a checkpoint, with the empty line between. */
function halvesOf(checkpoint: string): [text: string, signatures: string] {
  const note = noteOf(checkpoint) ?? ''
  const end = note.lastIndexOf('\n\n') + 1
  return [note.slice(0, end), note.slice(end)]
}

/** So many lists in one another, as a text: no writer of JSON goes that deep. */
const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels)
const nested = (levels: number): string => `nested ${levels}`
/** A record's line, with what `nested` stands for. */
const spelled = (record: Member): string =>
  lineOf(record).replace(/"nested (\d+)"/, (_all, levels) => deep(Number(levels)))

/** A checkpoint file with other lines. */
const onCheckpoints =
  (change: (log: Log, random: Random) => readonly string[] | undefined): Mutation =>
  ({ files, logs }, random) => {
    const log = random.pick(logs)
    const checkpoints = change(log, random)
    return checkpoints && withLog(files, { ...log, checkpoints })
  }

/** Cuts a log after so many records, and its checkpoints with it. */
function cut(log: Log, to: number): Log {
  const lines = linesIn(log).slice(0, to)
  return { ...withLines(log, lines), checkpoints: log.checkpoints.filter((line) => sizeOf(line) <= to) }
}

/** Files of one log under another's name. */
const named = (log: Log, key: string): Log => ({ ...log, key })

export const mutations: Readonly<Record<string, Mutation>> = {
  'a bit of a trail file': (trail, random) => {
    const name = random.pick(trailNames(trail))
    return bytes(trail.files, name, (data) => {
      const at = random.below(data.length)
      return splice(data, at, 1, Uint8Array.of((data[at] as number) ^ (1 << random.below(8))))
    })
  },
  'a byte of a trail file': (trail, random) => {
    const name = random.pick(trailNames(trail))
    return bytes(trail.files, name, (data) => {
      const at = random.below(data.length)
      return splice(data, at, 1, Uint8Array.of(((data[at] as number) + 1 + random.below(255)) % 256))
    })
  },
  'a byte taken out': (trail, random) => {
    const name = random.pick(trailNames(trail))
    return bytes(trail.files, name, (data) => splice(data, random.below(data.length), 1, Uint8Array.of()))
  },
  'a byte put in': (trail, random) => {
    const name = random.pick(trailNames(trail))
    // At the very end of a file it would stand after the last record.
    return bytes(trail.files, name, (data) =>
      splice(data, random.below(data.length), 0, Uint8Array.of(random.pick([0x20, 0x0a, 0x0d, 0x00, 0x41, 0xff]))),
    )
  },
  'a replacement character for bytes that are none': (trail, random) => {
    const name = random.pick(trailNames(trail))
    const at = (trail.files.get(name) as Buffer).indexOf('\ufffd')
    if (at === -1) return undefined
    return bytes(trail.files, name, (data) => splice(data, at, 3, Uint8Array.of(random.pick([0x80, 0xff, 0xc0]))))
  },
  'a word of a record': onLines(edited),
  'another spelling of a record': onLines((lines, random) => {
    const at = random.below(lines.length)
    const line = lines[at] as string
    const spellings = [
      line.replace('{', '{ '),
      line.replace('"seq":', '"seq":1,"seq":'),
      line.replace('"v":2', '"v":2.0'),
      line.replace('"type"', String.raw`"\u0074ype"`),
      `${line}\r`,
      ` ${line}`,
      JSON.stringify(Object.fromEntries(Object.entries(recordOf(line)).toReversed())),
    ]
    return lines.with(at, random.pick(spellings))
  }),
  'a record deleted': onLines(deleted),
  'a record doubled': onLines(doubled),
  'two records swapped': onLines(swapped),
  'records in another order': onLines(reordered),
  'a record forged': onLines(inserted),
  'a record changed, the rest linked': onLinesRelinked(edited, 'links'),
  'a call renamed, everything linked': onLinesRelinked(renamedCall, 'later logs'),
  'a record changed, everything made to fit': onLinesRelinked(edited, 'later logs'),
  'a record deleted, the rest linked': onLinesRelinked(deleted, 'links'),
  'a record deleted, the checkpoints restated': onLinesRelinked(deleted, 'checkpoints'),
  'a record deleted, everything made to fit': onLinesRelinked(deleted, 'later logs'),
  'a record doubled, everything made to fit': onLinesRelinked(doubled, 'later logs'),
  'records swapped, everything made to fit': onLinesRelinked(swapped, 'later logs'),
  'records in another order, everything made to fit': onLinesRelinked(reordered, 'later logs'),
  'a record forged, everything made to fit': onLinesRelinked(inserted, 'later logs'),
  'a record changed that a later key covers, checkpoints after it gone': ({ files, logs }, random) => {
    const at = random.below(logs.length)
    const log = logs[at] as Log
    const lines = linesIn(log)
    const lastKey = keysIn(lines).at(-1) as number
    // What a key takes over, its certificate says; the first takes over the start alone.
    if (keysIn(lines).length < 2) return undefined
    const change = random.below(sizeOf(log.checkpoints.findLast((line) => sizeOf(line) <= lastKey) ?? ''))
    const record = recordOf(lines[change] as string)
    const forged = relink(lines.with(change, lineOf({ ...record, forged: true })))
    const checkpoints = log.checkpoints.filter((line) => sizeOf(line) <= change)
    const all = logs.map((one, index) => (index === at ? { ...withLines(log, forged), checkpoints } : one))
    return cascaded(all, at).reduce((after, one) => withLog(after, one), files)
  },
  'the end of an earlier log, and its checkpoints': ({ files, logs }, random) => {
    const log = random.pick(logs.slice(0, -1))
    return withLog(files, cut(log, 1 + random.below(linesIn(log).length - 1)))
  },
  'the end of an earlier log, and what the next says of it': ({ files, logs }, random) => {
    const at = random.below(logs.length - 1)
    const log = logs[at] as Log
    const all = logs.with(at, cut(log, 2 + random.below(linesIn(log).length - 2)))
    return cascaded(all, at).reduce((after, one) => withLog(after, one), files)
  },
  'the end of a log without its checkpoints': ({ files, logs }, random) => {
    const log = random.pick(logs)
    const lines = linesIn(log)
    return withLog(files, withLines(log, lines.slice(0, 1 + random.below(lines.length - 1))))
  },
  'the last line feed': (trail, random) => {
    const { key } = random.pick(trail.logs)
    const name = segmentNames(trail.files, key).at(-1) as string
    const end = (trail.files.get(name) as Buffer).lastIndexOf(0x0a)
    return bytes(trail.files, name, (data) => splice(data, end, 1, Uint8Array.of()))
  },
  'what stands after the end of an earlier log': (trail, random) => {
    const { key } = random.pick(trail.logs.slice(0, -1))
    const name = segmentNames(trail.files, key).at(-1) as string
    return bytes(trail.files, name, (data) => Buffer.concat([data, Buffer.from(random.pick(['{', '{"seq":1', '\0']))]))
  },
  'a bit of a checkpoint': (trail, random) => {
    const { key } = random.pick(trail.logs)
    const name = `checkpoints-${key}.jsonl`
    const data = trail.files.get(name) as Buffer
    const line = random.pick(data.toString('latin1').trimEnd().split('\n'))
    const from = data.indexOf(line, 0, 'latin1')
    // The note comes first; the time behind it is not signed.
    const at = from + random.below(line.indexOf('","time"') + 1)
    return bytes(trail.files, name, () =>
      splice(data, at, 1, Uint8Array.of((data[at] as number) ^ (1 << random.below(8)))),
    )
  },
  'two checkpoints swapped': onCheckpoints(({ checkpoints }, random) => swapped([...checkpoints], random)),
  'a checkpoint doubled': onCheckpoints(({ checkpoints }, random) => {
    const at = random.below(checkpoints.length)
    return checkpoints.toSpliced(at, 0, checkpoints[at] as string)
  }),
  'a checkpoint of another log': ({ files, logs }, random) => {
    const [one, other] = [random.below(logs.length), random.below(logs.length)]
    if (one === other) return undefined
    const log = logs[one] as Log
    const at = random.below(log.checkpoints.length)
    const strange = random.pick((logs[other] as Log).checkpoints)
    return withLog(files, { ...log, checkpoints: log.checkpoints.toSpliced(at, random.below(2), strange) })
  },
  'checkpoint files swapped': ({ files, logs }, random) => {
    const [one, other] = [random.pick(logs), random.pick(logs)]
    if (one === other) return undefined
    return withLog(withLog(files, { ...one, checkpoints: other.checkpoints }), {
      ...other,
      checkpoints: one.checkpoints,
    })
  },
  'signatures of two checkpoints swapped': onCheckpoints(({ checkpoints }, random) => {
    const [one, other] = [random.below(checkpoints.length), random.below(checkpoints.length)]
    if (one === other) return undefined
    const [text, sign] = halvesOf(checkpoints[one] as string)
    const [otherText, otherSign] = halvesOf(checkpoints[other] as string)
    return [...checkpoints]
      .with(one, withNote(checkpoints[one] as string, text + otherSign))
      .with(other, withNote(checkpoints[other] as string, otherText + sign))
  }),
  'a checkpoint without its signature': onCheckpoints(({ checkpoints }, random) => {
    const at = random.below(checkpoints.length)
    const [text, signatures] = halvesOf(checkpoints[at] as string)
    return [...checkpoints].with(at, withNote(checkpoints[at] as string, text + signatures.slice(0, random.below(2))))
  }),
  'a checkpoint signed by a stranger': ({ files, logs }, random) => {
    const log = random.pick(logs)
    const at = random.below(log.checkpoints.length)
    const line = log.checkpoints[at] as string
    const [origin = ''] = (noteOf(line) ?? '').split('\n')
    const [size, lines] = [sizeOf(line), linesIn(log)]
    const root = rootsOf(lines)[size] as Buffer
    const note = signNote(checkpointText({ origin, size, root }), stranger(origin))
    return withLog(files, { ...log, checkpoints: log.checkpoints.with(at, withNote(line, note)) })
  },
  'a checkpoint over more than there is': onCheckpoints((log, random) => {
    const at = random.below(log.checkpoints.length)
    const note = noteOf(log.checkpoints[at] as string) ?? ''
    const more = note.replace(/\n(\d+)\n/, (_all, size: string) => `\n${Number(size) + 1 + random.below(5)}\n`)
    return log.checkpoints.with(at, withNote(log.checkpoints[at] as string, more))
  }),
  'a checkpoint a key took over from': onCheckpoints((log, random) => {
    const keys = keysIn(linesIn(log)).slice(1)
    if (keys.length === 0) return undefined
    const before = random.pick(keys)
    const at = log.checkpoints.findLastIndex((line) => sizeOf(line) <= before)
    return log.checkpoints.toSpliced(at, 1)
  }),
  'all checkpoints of a log with several keys': onCheckpoints((log) =>
    keysIn(linesIn(log)).length > 1 ? [] : undefined,
  ),
  'contents of two segments swapped': (trail, random) => {
    const names = trailNames(trail)
    const [one, other] = [random.pick(names), random.pick(names)]
    if (one === other) return undefined
    const [first, second] = [trail.files.get(one) as Buffer, trail.files.get(other) as Buffer]
    return bytes(
      bytes(trail.files, one, () => second),
      other,
      () => first,
    )
  },
  'a segment removed': (trail, random) => {
    const name = random.pick(trailNames(trail).filter((one) => !one.endsWith('-000001.jsonl')))
    return new Map([...trail.files].filter(([one]) => one !== name))
  },
  'a log removed that is not the newest': ({ files, logs }, random) =>
    withoutLog(files, random.pick(logs.slice(0, -1)).key),
  'a log removed, and the next says so': ({ files, logs }, random) => {
    const at = 1 + random.below(logs.length - 2)
    const left = logs.toSpliced(at, 1)
    return cascaded(left, at - 1).reduce((after, one) => withLog(after, one), withoutLog(files, (logs[at] as Log).key))
  },
  'an earlier log rolled back to a checkpoint': ({ files, logs }, random) => {
    const log = random.pick(logs.slice(0, -1))
    const size = sizeOf(random.pick(log.checkpoints))
    return size >= linesIn(log).length ? undefined : withLog(files, cut(log, size))
  },
  'a log of another node in between': ({ files, logs, alien }, random) => {
    const { key } = random.pick(logs)
    return withLog(files, named(alien, `${key.slice(0, 8)}-${random.pick(['00000000', 'ffffffff'])}`))
  },
  'a log of another node in place of one': ({ files, logs, alien }, random) => {
    const { key } = random.pick(logs)
    return withLog(withoutLog(files, key), named(alien, key))
  },
  'a log of the same node from elsewhere in place of one': ({ files, logs, sister }, random) => {
    const { key } = random.pick(logs)
    return withLog(withoutLog(files, key), named(random.pick(sister), key))
  },
  'a log of the same node from elsewhere after the newest': ({ files, logs, sister }, random) =>
    withLog(files, named(random.pick(sister), `${String(logs.length + 1).padStart(8, '0')}-00000000`)),
  'a record of another log': ({ files, logs, alien, sister }, random) => {
    const log = random.pick(logs)
    const lines = linesIn(log)
    const strange = random.pick(linesIn(random.pick([alien, ...sister])))
    return withLog(files, withLines(log, lines.toSpliced(random.below(lines.length), random.below(2), strange)))
  },
  'a record of another log, everything made to fit': onLinesRelinked((lines, random) => {
    const strange = random.pick(lines)
    return lines.toSpliced(
      1 + random.below(lines.length - 1),
      1,
      lineOf({ ...recordOf(strange), boot: 'b', node: 'n' }),
    )
  }, 'later logs'),
  'a log made anew under a stranger’s keys': ({ files, logs }, random) => {
    const log = random.pick(logs)
    return withLog(files, remade(log, renamedCall(linesIn(log), random) ?? linesIn(log), random.below(2) === 0))
  },
  'every log made anew under a stranger’s keys': ({ files, logs }, random) => {
    const namesKey = random.below(2) === 0
    let after = [...logs]
    for (const at of logs.keys()) {
      if (at > 0) after = cascaded(after, at - 1)
      after[at] = remade(after[at] as Log, linesIn(after[at] as Log), namesKey)
    }
    return after.reduce((all, one) => withLog(all, one), files)
  },
  'a key record with a stranger’s key, checkpoints signed with it': ({ files, logs }, random) => {
    const log = random.pick(logs)
    const lines = linesIn(log)
    const anew = remade(log, lines, false)
    const which = random.pick(keysIn(lines))
    // The certificate stays the node’s; the key beside it, and what it signs, do not.
    const forged = linesIn(anew).map((line, at) => {
      const real = recordOf(lines[at] as string)
      return at === which ? lineOf({ ...recordOf(line), certificate: real.certificate as string }) : line
    })
    return withLog(files, { ...withLines(log, relink(forged)), checkpoints: anew.checkpoints })
  },
  'a key and certificate of another log, everything made to fit': ({ files, logs, sister }, random) => {
    const at = random.below(logs.length)
    const log = logs[at] as Log
    const strange = linesIn(random.pick([...logs.toSpliced(at, 1), ...sister]))
    const { key, certificate, epoch } = recordOf(strange[random.pick(keysIn(strange))] as string)
    const place = random.pick(keysIn(linesIn(log)))
    const record = recordOf(linesIn(log)[place] as string)
    const lines = relink(linesIn(log).with(place, lineOf({ ...record, key, certificate, epoch } as Member)))
    const all = logs.with(at, { ...withLines(log, lines), checkpoints: restated(log, lines) })
    return cascaded(all, at).reduce((after, one) => withLog(after, one), files)
  },
  'certificates of two keys swapped': onLinesRelinked((lines, random) => {
    const keys = keysIn(lines)
    if (keys.length < 2) return undefined
    const [one, other] = [keys[0] as number, random.pick(keys.slice(1))]
    const [first, second] = [recordOf(lines[one] as string), recordOf(lines[other] as string)]
    return lines
      .with(one, lineOf({ ...first, certificate: second.certificate as string, key: second.key as string }))
      .with(other, lineOf({ ...second, certificate: first.certificate as string, key: first.key as string }))
  }, 'later logs'),
  'a key record removed, everything made to fit': onLinesRelinked(keyDeleted, 'later logs'),
  'a start record changed': onLines((lines, random) => startEdited(lines, random)),
  'a start record changed, everything made to fit': onLinesRelinked(startEdited, 'later logs'),
  'line ends of another system': (trail, random) => {
    const name = random.pick(trailNames(trail))
    return bytes(trail.files, name, (data) => Buffer.from(data.toString('latin1').replaceAll('\n', '\r\n'), 'latin1'))
  },
  'a byte order mark': (trail, random) => {
    const name = random.pick([...trail.files.keys()])
    return bytes(trail.files, name, (data) => Buffer.concat([Buffer.from('\ufeff'), data]))
  },
  'an empty line at the end': (trail, random) => {
    const name = random.pick([...trail.files.keys()])
    return bytes(trail.files, name, (data) => splice(data, data.lastIndexOf(0x0a) + 1, 0, Uint8Array.of(0x0a)))
  },
  'more after the last line feed than any record has': (trail, random) => {
    const name = random.pick(trailNames(trail))
    return bytes(trail.files, name, (data) => Buffer.concat([data, Buffer.alloc(1_100_000 + random.below(1_000_000))]))
  },
  'a checkpoint longer than any': (trail, random) => {
    const name = `checkpoints-${random.pick(trail.logs).key}.jsonl`
    return bytes(trail.files, name, (data) => Buffer.concat([data.subarray(0, 1), Buffer.alloc(1_400_000, ' '), data.subarray(1)])) // prettier-ignore
  },
  'two checkpoints on a line that is longer than what is read at once': (trail, random) => {
    const name = `checkpoints-${random.pick(trail.logs).key}.jsonl`
    return bytes(trail.files, name, (data) => {
      const end = data.indexOf(0x0a)
      return splice(data, end, 1, Buffer.alloc(5 * 256 * 1024 - end, ' '))
    })
  },
  'more signatures than anybody counts below a checkpoint': onCheckpoints(({ checkpoints }, random) => {
    const at = random.below(checkpoints.length)
    const [text, signatures] = halvesOf(checkpoints[at] as string)
    const note = text + signatures + '— somebody AAAAAAA=\n'.repeat(100)
    return checkpoints.with(at, withNote(checkpoints[at] as string, note))
  }),
  'what not everybody reads alike, in a record after the last checkpoint': ({ files, logs }, random) => {
    const log = logs.at(-1) as Log
    const lines = linesIn(log)
    const at = lines.length - 1
    const odd = [
      { forged: 'a\ud800' },
      { '\udc00': 1 },
      { forged: nested(1_000) },
      { seq: nested(20_000) },
      { time: '+012026-11-25T12:00:00.000Z' },
    ]
    const forged = lines.with(at, spelled({ ...recordOf(lines[at] as string), ...(random.pick(odd) as Member) }))
    return withLog(files, {
      ...withLines(log, forged),
      checkpoints: log.checkpoints.filter((line) => sizeOf(line) <= at),
    })
  },
  'a record after the last checkpoint that says the directory was put back': ({ files, logs }) => {
    const log = logs.at(-1) as Log
    const lines = linesIn(log)
    const at = lines.length - 1
    const told = lineOf({ ...recordOf(lines[at] as string), type: 'fault', what: 'rollback', because: 'it was' })
    const checkpoints = log.checkpoints.filter((line) => sizeOf(line) <= at)
    return withLog(files, { ...withLines(log, lines.with(at, told)), checkpoints })
  },
  'a file emptied': (trail, random) => {
    const name = random.pick(trailNames(trail))
    return bytes(trail.files, name, () => Buffer.alloc(0))
  },
  'a segment of another log in its place': (trail, random) => {
    const [one, other] = [random.pick(trailNames(trail)), random.pick(trailNames(trail))]
    return bytes(trail.files, one, () => trail.files.get(other) as Buffer)
  },
  'two segments swapped': (trail, random) => {
    const [one, other] = [random.pick(trailNames(trail)), random.pick(trailNames(trail))]
    const after = bytes(trail.files, one, () => trail.files.get(other) as Buffer)
    return after.set(other, trail.files.get(one) as Buffer)
  },
  'a log with its checkpoints in the place of another': ({ files, logs }, random) => {
    const [one, other] = [random.pick(logs), random.pick(logs)]
    return withLog(withoutLog(files, one.key), named(other, one.key))
  },
  'the same byte in two files': (trail, random) => {
    const { key } = random.pick(trail.logs)
    const [name, checkpoints] = [random.pick(segmentNames(trail.files, key)), `checkpoints-${key}.jsonl`]
    const swap = (data: Buffer): Buffer => {
      const at = random.below(Math.max(1, data.indexOf('\\n\\n', 0, 'latin1')))
      return splice(data, at, 1, Uint8Array.of((data[at] as number) ^ 1))
    }
    return bytes(bytes(trail.files, name, swap), checkpoints, swap)
  },
  'another name of a log’s files': ({ files, logs }, random) => {
    const log = random.pick(logs)
    const [ordinal = '', boot = ''] = log.key.split('-')
    const key = random.pick([`${random.pick(['00000000', '00000099'])}-${boot}`, `${ordinal}-deadbeef`])
    return withLog(withoutLog(files, log.key), named(log, key))
  },
}

/** What the design does not claim to show (docs/audit-format.md, "What this cannot show"): these pass. */
export const unclaimed: Readonly<Record<string, Mutation>> = {
  'the newest log cut at a checkpoint': ({ files, logs }, random) => {
    const log = logs.at(-1) as Log
    return withLog(files, cut(log, sizeOf(random.pick(log.checkpoints))))
  },
  'the newest log cut anywhere after its first key, with its checkpoints': ({ files, logs }, random) => {
    const log = logs.at(-1) as Log
    return withLog(files, cut(log, 2 + random.below(linesIn(log).length - 2)))
  },
  'the newest logs removed': ({ files, logs }, random) =>
    logs.slice(1 + random.below(logs.length - 1)).reduce((after, { key }) => withoutLog(after, key), files),
  'records changed and linked after the last checkpoint of the newest log': ({ files, logs }, random) => {
    const log = logs.at(-1) as Log
    const lastKey = keysIn(linesIn(log)).at(-1) as number
    const lines = linesIn(log)
    const at = lastKey + 1 + random.below(lines.length - lastKey - 1)
    const forged = relink(lines.with(at, lineOf({ ...recordOf(lines[at] as string), forged: true })))
    const checkpoints = log.checkpoints.filter((line) => sizeOf(line) <= at)
    return withLog(files, { ...withLines(log, forged), checkpoints })
  },
  'a checkpoint removed that a later one covers, and no key took over from': onCheckpoints((log, random) => {
    const taken = new Set(
      keysIn(linesIn(log)).map((key) => sizeOf(log.checkpoints.findLast((line) => sizeOf(line) <= key) ?? '')),
    )
    const free = log.checkpoints.filter((line) => !taken.has(sizeOf(line)))
    if (free.length === 0) return undefined
    const gone = random.pick(free)
    return log.checkpoints.filter((line) => line !== gone)
  }),
  'the time of a checkpoint, and how its line is spelled': onCheckpoints(({ checkpoints }, random) => {
    const at = random.below(checkpoints.length)
    return checkpoints.with(
      at,
      JSON.stringify({ time: 'never', note: noteOf(checkpoints[at] as string) }, null, 1).replaceAll('\n', ''),
    )
  }),
  'signatures of unknown keys below a checkpoint': onCheckpoints(({ checkpoints }, random) => {
    const at = random.below(checkpoints.length)
    const [text, signatures] = halvesOf(checkpoints[at] as string)
    const name = random.pick(['somebody', 'x\ufeff', '\u200b', 'kong-mcp-suite/node-1'])
    const note = text + signatures + `— ${name} AAAAAAA=\n`.repeat(1 + random.below(99))
    return checkpoints.with(at, withNote(checkpoints[at] as string, note))
  }),
  'the last segment joined to the one before it': (trail, random) => {
    const { key, segments } = random.pick(trail.logs)
    const names = segmentNames(trail.files, key)
    const [before = '', last = ''] = names.slice(-2)
    if (segments.length < 2) return undefined
    const joined = Buffer.concat([trail.files.get(before) as Buffer, trail.files.get(last) as Buffer])
    return new Map([...bytes(trail.files, before, () => joined)].filter(([name]) => name !== last))
  },
  'line ends of another system between checkpoints': (trail, random) => {
    const name = `checkpoints-${random.pick(trail.logs).key}.jsonl`
    return bytes(trail.files, name, (data) => Buffer.from(data.toString('utf8').replaceAll('\n', '\r\n')))
  },
  'unfinished bytes at the end of the newest log, or of a segment within one': (trail, random) => {
    const newest = trail.logs.at(-1)?.key ?? ''
    const within = trail.logs.flatMap(({ key }) => segmentNames(trail.files, key).slice(0, -1))
    const name = random.pick([...segmentNames(trail.files, newest), ...within])
    return bytes(trail.files, name, (data) => Buffer.concat([data, Buffer.from('{"seq":')]))
  },
  'an empty segment after the last of the newest log': (trail) => {
    const { key, segments } = trail.logs.at(-1) as Log
    const name = `trail-${key}-${String(segments.length + 1).padStart(6, '0')}.jsonl`
    return new Map([...trail.files, [name, Buffer.alloc(0)]])
  },
}
