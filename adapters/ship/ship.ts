/** Ships the trail of a directory to every configured sink, beside the gateway and never in its way. */
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { takeLock } from '../process-lock.ts'
import type { ShipConfig, SinkConfig } from './config.ts'
import { CursorFile } from './cursor.ts'
import { AppendedFile } from './durable-file.ts'
import { Lag, unknown } from './lag.ts'
import { LineCount } from './line-count.ts'
import { serveMetrics } from './metrics.ts'
import { Secrets } from '../secrets.ts'
import { type Ended, Sender } from './sender.ts'
import { makeSink } from './sinks/make-sink.ts'
import type { Sink, SinkContext } from './sinks/sink.ts'
import { deadLettersFile, type Status, StatusKeeper, writeStatus } from './status.ts'
import { TrailFiles } from './trail-files.ts'

export type ShipLog = (level: 'info' | 'warn' | 'error', message: string, more: object) => void

/**
 * @property giveUpMs send what is there, and end; give a sink up when nothing was confirmed for so long
 * @property stop     ends in order: what is under way gets a few seconds to be confirmed
 */
export interface ShipOptions {
  readonly giveUpMs?: number
  readonly stop: AbortSignal
  readonly log: ShipLog
  readonly nowMs?: () => number
  readonly random?: () => number
}

/** Another shipper works on this state directory, from the beginning or since a moment ago. */
export class ShipperRuns extends Error {
  override readonly name = 'ShipperRuns'
}

export const shipperLock = 'shipper'

const statusEveryMs = 1_000

/**
 * Ships until it is stopped, or until everything there is was sent.
 *
 * Sinks do not wait for each other: each has a cursor, and reads the trail at its own pace.
 *
 * @returns how each sink ended, and how many of its records are in the dead letters since the start
 * @throws ShipperRuns
 * @throws Error where there is no directory to read, or a sink names a file that cannot be read
 */
export async function ship(
  config: ShipConfig,
  options: ShipOptions,
): Promise<ReadonlyMap<string, { readonly ended: Ended; readonly status: Status }>> {
  // Not made here with the state in it: then whoever mistyped it is told that all of nothing was sent.
  const isThere = await stat(config.directory).then(
    (there) => there.isDirectory(),
    () => false,
  )
  if (!isThere) throw new Error(`there is no directory ${config.directory}: name the one mcp-audit writes to`)
  await mkdir(config.stateDirectory, { recursive: true, mode: 0o700 })
  const lock = await takeLock(config.stateDirectory, shipperLock)
  if (typeof lock === 'string') throw new ShipperRuns(`another shipper works on ${config.stateDirectory} (${lock})`)
  const stopping = new AbortController()
  const stop = AbortSignal.any([options.stop, stopping.signal])
  const secrets = new Secrets()
  const lanes: Lane[] = []
  try {
    for (const sink of config.sinks) lanes.push(await openLane(config, sink, secrets, { ...options, stop }))
    const metrics = config.metrics && (await serveMetrics(config.metrics, () => lanes.map((lane) => lane.latest())))
    const watch = setInterval(() => {
      for (const lane of lanes) void lane.writeStatus()
      void lock.isHeld().then((isHeld) => {
        if (isHeld || stop.aborted) return
        options.log('error', 'another shipper took the lock: stopping', {})
        stopping.abort()
      })
    }, statusEveryMs)
    try {
      const ended = await Promise.all(lanes.map(async (lane) => [lane.name, await lane.run()] as const))
      // Nobody told it to stop: whoever supervises it must not take that for its end.
      if (stopping.signal.aborted) throw new ShipperRuns(`another process took the lock of ${config.stateDirectory}`)
      return new Map(ended)
    } finally {
      clearInterval(watch)
      await metrics?.close()
    }
  } finally {
    for (const lane of lanes) await lane.close()
    await lock.release()
  }
}

/** One sink with everything that is its own. */
interface Lane {
  readonly name: string
  run(): Promise<{ readonly ended: Ended; readonly status: Status }>
  latest(): Status
  writeStatus(): Promise<void>
  close(): Promise<void>
}

async function openLane(
  { directory, stateDirectory }: ShipConfig,
  config: SinkConfig,
  secrets: Secrets,
  { giveUpMs, stop, log, nowMs = Date.now, random = Math.random }: ShipOptions,
): Promise<Lane> {
  const { name } = config
  const sink = sinkOf({ config, format: config.format, secrets, nowMs })
  const files = new TrailFiles(directory, nowMs)
  const cursor = await CursorFile.open(stateDirectory, name)
  const status = new StatusKeeper(name, config.type)
  const deadLetters = new AppendedFile(deadLettersFile(stateDirectory, name))
  const buried = new LineCount(deadLetters.path)
  const archivePath = config.settings.archive
  const archive = new AppendedFile(
    typeof archivePath === 'string' ? archivePath : join(stateDirectory, `${name}.older-than-18h.jsonl`),
  )
  const lag = new Lag(files)
  let latest = status.at(cursor.cursor, unknown, null, nowMs())
  let writing: Promise<void> | undefined
  let faults = new Set<string>()
  const write = async (): Promise<void> => {
    const now = new Set<string>()
    const failed =
      <Instead>(what: string, instead: Instead) =>
      (error: unknown): Instead => {
        const fault = `${what}: ${error instanceof Error ? error.message : ''}`
        if (!faults.has(fault)) log('warn', fault, { sink: name })
        now.add(fault)
        return instead
      }
    const behind = await lag
      .measure(cursor.progress, cursor.cursor)
      .catch(failed('the lag cannot be measured', unknown))
    const letters = await buried.now().catch(failed('the dead letters cannot be counted', null))
    latest = status.at(cursor.cursor, behind, letters, nowMs())
    await writeStatus(stateDirectory, latest).catch(failed('the status cannot be written', undefined))
    faults = now
  }
  const writeAlone = (): Promise<void> => (writing ??= write().finally(() => (writing = undefined)))
  const sender = new Sender({
    config,
    sink,
    files,
    cursor,
    status,
    deadLetters,
    archive,
    hide: (text) => secrets.hide(text),
    log: logOf(log, config, () => latest),
    nowMs,
    random,
    stop,
  })
  return {
    name,
    latest: () => latest,
    writeStatus: writeAlone,
    async run() {
      await writeAlone()
      const ended = await sender.run(giveUpMs)
      await writing
      await writeAlone()
      return { ended, status: latest }
    },
    async close() {
      sink.close()
      for (const file of [files, cursor, deadLetters, archive]) await file.close()
    },
  }
}

/** @throws Error with the sink's name */
function sinkOf(context: SinkContext): Sink {
  try {
    return makeSink(context)
  } catch (error) {
    throw new Error(`sink ${context.config.name}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** Each line says for which sink, and what is worse than usual also how far behind it is. */
const logOf =
  (log: ShipLog, { name, type }: SinkConfig, latest: () => Status) =>
  (level: 'info' | 'warn' | 'error', message: string, more: object = {}): void => {
    const { records_behind, bytes_behind, oldest_unsent } = latest()
    log(level, message, {
      sink: name,
      type,
      ...(level === 'info' ? {} : { records_behind, bytes_behind, oldest_unsent }),
      ...more,
    })
  }
