/** `kmcp audit anchor`: gives the trail's checkpoints to others who keep them. A process of its own, beside Kong. */
import { type AnchorConfig, readConfigFile } from '../adapters/anchors/config.ts'
import { runAnchors } from '../adapters/anchors/run.ts'
import { readStatus } from '../adapters/anchors/status.ts'
import { operationalLog } from '../adapters/operational-log.ts'
import { type Command, parseOptions, UsageError } from './command.ts'
import { printable, printRows } from './print-rows.ts'

export const auditAnchor: Command = {
  usage: 'audit anchor --config FILE [--once | --status | --check]',
  does: 'have the trail time-stamped, and kept where the node cannot change it',
  async run(args) {
    const { values } = parseOptions({
      args: [...args],
      options: {
        config: { type: 'string' },
        once: { type: 'boolean', default: false },
        status: { type: 'boolean', default: false },
        check: { type: 'boolean', default: false },
      },
    })
    if (values.config === undefined) throw new UsageError('name a configuration: --config FILE')
    if ([values.once, values.status, values.check].filter(Boolean).length > 1)
      throw new UsageError('say one of --once, --status and --check')
    const read = readConfigFile(values.config)
    if (!read.ok) {
      for (const fault of read.faults) console.error(`${values.config}: ${fault}`)
      return 2
    }
    if (values.check) {
      console.log(`${values.config}: no faults`)
      return 0
    }
    return values.status ? printStatus(read.config) : anchor(read.config, values.once)
  },
}

async function anchor(config: AnchorConfig, once: boolean): Promise<number> {
  const logger = operationalLog('audit-anchor')
  const stopping = new AbortController()
  const stop = (): void => stopping.abort()
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  try {
    const isAll = await runAnchors(config, once, stopping.signal, (level, message) => logger[level](message))
    return isAll || !once ? 0 : 1
  } finally {
    process.off('SIGTERM', stop)
    process.off('SIGINT', stop)
  }
}

const columns = ['target', 'kind', 'unanchored since', 'anchored up to', 'at', 'last error'] as const

/** It writes its status every ten seconds at least, and never waits for longer than a minute. */
const silentMs = 120_000

/** @returns 1 where a target is overdue, something alarming was seen, or nothing has been heard for two minutes */
function printStatus({ directory, time_stamps, stores, collectors }: AnchorConfig): number {
  const status = readStatus(directory)
  if (!status) {
    console.log(`nothing has ever been anchored in ${directory}`)
    return 1
  }
  const rows = status.targets.map(({ name, kind, unanchored_since, overdue, last, last_error }) => ({
    target: name,
    kind,
    'unanchored since': `${unanchored_since ?? '-'}${overdue ? ' OVERDUE' : ''}`,
    'anchored up to': last ? `${last.log} record ${last.size}` : '-',
    at: last?.time ?? '-',
    'last error': last_error ? `${last_error.time} ${last_error.message}` : '-',
  }))
  console.log(printRows(columns, rows, 'table'))
  // Also where it does not say when.
  const isSilent = !(Date.now() - Date.parse(status.updated) <= silentMs)
  const state = !status.is_running ? 'not running' : isSilent ? 'NOT HEARD OF' : 'running'
  console.log(`${state}, as of ${status.updated}`)
  // One that was added to the file, and the process was not started anew.
  const known = new Set(status.targets.map(({ name }) => name))
  const unknown = [...time_stamps, ...stores, ...collectors].map(({ name }) => name).filter((name) => !known.has(name))
  for (const name of unknown) console.log(`ALARM: nothing is given to ${name}: start the process anew`)
  for (const alarm of status.alarms) console.log(`ALARM: ${printable(alarm)}`)
  const isAlarming = isSilent || unknown.length > 0 || status.alarms.length > 0
  return isAlarming || status.targets.some(({ overdue }) => overdue) ? 1 : 0
}
