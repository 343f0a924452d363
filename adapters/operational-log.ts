/** Operational logs, for the people who run the gateway. The audit trail is something else: adapters/audit-sink. */
import { type Logger, pino } from 'pino'

/** Writes JSON lines to stderr: stdout belongs to `query_cmd`, and Kong puts stderr into its error log. */
export function operationalLog(component: string): Logger {
  return pino({ base: { component }, level: 'info' }, pino.destination({ dest: 2, sync: true }))
}
