/** `kmcp audit ship`: sends the trail to a SIEM. A process of its own, beside Kong. */
import { mkdir } from 'node:fs/promises'
import { operationalLog } from '../adapters/operational-log.ts'
import { holderOf, takeLock } from '../adapters/process-lock.ts'
import { readConfigFile, type ShipConfig } from '../adapters/ship/config.ts'
import { CursorFile } from '../adapters/ship/cursor.ts'
import { Lag, unknown } from '../adapters/ship/lag.ts'
import { LineCount } from '../adapters/ship/line-count.ts'
import { ship, shipperLock, ShipperRuns } from '../adapters/ship/ship.ts'
import { deadLettersFile, readStatus } from '../adapters/ship/status.ts'
import { TrailFiles } from '../adapters/ship/trail-files.ts'
import { type Command, parseOptions, UsageError } from './command.ts'
import { printRows } from './print-rows.ts'

export const auditShip: Command = {
  usage: 'audit ship --config FILE [--once [--patience SECONDS] | --status | --check | --accept-gap SINK]',
  does: 'send the trail to a SIEM, every record, in order',
  async run(args) {
    const { values } = parseOptions({
      args: [...args],
      options: {
        config: { type: 'string' },
        once: { type: 'boolean' },
        patience: { type: 'string', default: '60' },
        status: { type: 'boolean' },
        check: { type: 'boolean' },
        'accept-gap': { type: 'string' },
      },
    })
    if (values.config === undefined) throw new UsageError('name a configuration: --config FILE')
    const acts = [values.once, values.status, values.check, values['accept-gap']].filter((one) => one !== undefined)
    if (acts.length > 1) throw new UsageError('say one of --once, --status, --check and --accept-gap')
    const patienceMs = Number(values.patience) * 1000
    if (!(patienceMs > 0)) throw new UsageError('--patience takes seconds, more than 0')
    const read = readConfigFile(values.config)
    if (!read.ok) {
      for (const fault of read.faults) console.error(`${values.config}: ${fault}`)
      return 2
    }
    const { config } = read
    if (values.check === true) {
      console.log(`${values.config}: ${config.sinks.length} sinks, no faults`)
      return 0
    }
    if (values.status === true) return printStatus(config)
    const gap = values['accept-gap']
    if (gap !== undefined) return acceptGap(config, gap)
    return run(config, values.once === true ? patienceMs : undefined)
  },
}

async function run(config: ShipConfig, giveUpMs: number | undefined): Promise<number> {
  const logger = operationalLog('audit-ship')
  const stopping = new AbortController()
  const stop = (): void => stopping.abort()
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  try {
    logger.info(
      { directory: config.directory, sinks: config.sinks.map(({ name, type }) => `${name} (${type})`) },
      'shipping',
    )
    const ended = await ship(config, {
      stop: stopping.signal,
      log: (level, message, more) => logger[level](more, message),
      ...(giveUpMs === undefined ? {} : { giveUpMs }),
    })
    for (const [sink, { ended: how, status }] of ended) {
      if (giveUpMs === undefined) continue
      const said = { done: 'everything was sent', stopped: 'stopped', blocked: 'blocked', gave_up: 'gave up' }[how]
      const { dead_letters } = status.counts
      const dead = dead_letters > 0 ? `; ${dead_letters} in the dead letters` : ''
      const more = status.last_error && how !== 'done' ? `: ${status.last_error.message}` : ''
      console.log(
        `${sink}: ${said}, ${status.counts.confirmed} records now, ${status.records_behind ?? '?'} left${dead}${more}`,
      )
    }
    const isGood = [...ended.values()].every(
      ({ ended: how, status }) => how === 'done' && status.counts.dead_letters === 0,
    )
    return giveUpMs === undefined || isGood ? 0 : 1
  } catch (error) {
    if (!(error instanceof ShipperRuns)) throw error
    console.error(`kmcp: ${error.message}`)
    return 1
  } finally {
    process.off('SIGTERM', stop)
    process.off('SIGINT', stop)
  }
}

const columns = [
  'sink',
  'type',
  'state',
  'records behind',
  'bytes behind',
  'oldest unsent',
  'confirmed up to',
  'dead letters',
  'last error',
] as const

/** The lag is measured now, whether a shipper runs or not; what it met comes from its own files. */
async function printStatus(config: ShipConfig): Promise<number> {
  const runs = (await holderOf(config.stateDirectory, shipperLock)) !== undefined
  const files = new TrailFiles(config.directory, Date.now)
  const rows = await Promise.all(
    config.sinks.map(async ({ name, type }) => {
      const cursor = await CursorFile.open(config.stateDirectory, name)
      const behind = await new Lag(files).measure(cursor.progress, cursor.cursor).catch((error: unknown) => {
        console.error(`kmcp: ${name}: the lag cannot be measured: ${error instanceof Error ? error.message : ''}`)
        return unknown
      })
      const status = await readStatus(config.stateDirectory, name)
      const { last_error } = status ?? {}
      return {
        sink: name,
        type,
        state: runs ? (status?.state ?? 'unknown') : 'not running',
        'records behind': behind.records ?? 'unknown',
        'bytes behind': behind.bytes ?? 'unknown',
        'oldest unsent': behind.oldest ?? (behind.bytes === 0 ? '-' : 'unknown'),
        'confirmed up to': cursor.cursor
          ? `${cursor.cursor.file}:${cursor.cursor.offset} seq ${cursor.cursor.seq ?? '?'}`
          : '-',
        'dead letters': await new LineCount(deadLettersFile(config.stateDirectory, name)).now(),
        'last error': last_error ? `${last_error.time} ${last_error.message}` : '-',
      }
    }),
  )
  console.log(printRows(columns, rows, 'table'))
  return rows.every((row) => row.state !== 'blocked' && row['bytes behind'] !== 'unknown') ? 0 : 1
}

/** Somebody has looked, and what is missing is gone: the sink goes on with what is there. */
async function acceptGap(config: ShipConfig, sink: string): Promise<number> {
  if (!config.sinks.some(({ name }) => name === sink)) throw new UsageError(`there is no sink \`${sink}\``)
  await mkdir(config.stateDirectory, { recursive: true, mode: 0o700 })
  const lock = await takeLock(config.stateDirectory, shipperLock)
  if (typeof lock === 'string') throw new UsageError(`a shipper runs (${lock}): stop it first`)
  try {
    const cursor = await CursorFile.open(config.stateDirectory, sink)
    const at = cursor.cursor
    await cursor.acceptGap(config.directory)
    await cursor.close()
    console.log(
      at ? `${sink}: goes on after ${at.file}, byte ${at.offset}, with what is there` : `${sink}: has sent nothing yet`,
    )
    return 0
  } finally {
    await lock.release()
  }
}
