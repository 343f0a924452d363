/**
 * The reference server as a process bound to the loopback.
 *
 *     node embedded/upstreams/everything/main.ts --port 9102
 *
 * Every flag has an environment variable: KMCP_EVERYTHING_HOST, KMCP_EVERYTHING_PORT. A flag wins over its variable.
 */
import { parseArgs } from 'node:util'
import { readPort, runUntilStopped } from '../run-until-stopped.ts'
import { startEverything } from './start-everything.ts'

await runUntilStopped('everything example', () => {
  const { env } = process
  const { values } = parseArgs({
    options: {
      host: { type: 'string', default: env['KMCP_EVERYTHING_HOST'] ?? '127.0.0.1' },
      port: { type: 'string', default: env['KMCP_EVERYTHING_PORT'] ?? '9102' },
    },
  })
  return startEverything({
    host: values.host,
    port: readPort(values.port),
    onLost() {
      process.stderr.write('everything example: the reference server ended by itself\n')
      process.exit(1)
    },
  })
})
