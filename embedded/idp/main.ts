/**
 * The embedded identity provider as a process.
 *
 *     node embedded/idp/main.ts --port 9000 --state-dir .run/idp --resource http://127.0.0.1:8000/mcp/jira
 *
 * Every flag has an environment variable: KMCP_IDP_HOST, KMCP_IDP_PORT, KMCP_IDP_ISSUER, KMCP_IDP_RESOURCES (separated by
 * spaces), KMCP_IDP_STATE_DIR, KMCP_IDP_TTL_S. A flag wins over its variable.
 */
import { parseArgs } from 'node:util'
import { readPort, runUntilStopped } from '../upstreams/run-until-stopped.ts'
import { startIdp } from './start-idp.ts'

await runUntilStopped('identity provider', () => {
  const { env } = process
  const { values } = parseArgs({
    options: {
      host: { type: 'string', default: env['KMCP_IDP_HOST'] ?? '127.0.0.1' },
      port: { type: 'string', default: env['KMCP_IDP_PORT'] ?? '9000' },
      issuer: { type: 'string', default: env['KMCP_IDP_ISSUER'] ?? '' },
      resource: { type: 'string', multiple: true, default: (env['KMCP_IDP_RESOURCES'] ?? '').split(/\s+/) },
      'state-dir': { type: 'string', default: env['KMCP_IDP_STATE_DIR'] ?? '' },
      'ttl-s': { type: 'string', default: env['KMCP_IDP_TTL_S'] ?? '3600' },
    },
  })
  const resources = values.resource.filter((resource) => resource !== '')
  if (resources.length === 0) throw new Error('name at least one resource with --resource')
  if (values['state-dir'] === '') throw new Error('name a folder for keys with --state-dir')
  if (!/^[1-9]\d{0,8}$/.test(values['ttl-s'])) throw new Error('--ttl-s must be a number of seconds, 1 or more')
  return startIdp({
    host: values.host,
    port: readPort(values.port),
    ...(values.issuer === '' ? {} : { issuer: values.issuer }),
    resources,
    stateDir: values['state-dir'],
    ttlS: Number(values['ttl-s']),
    onDefect: (line) => process.stderr.write(`identity provider: ${line}\n`),
  })
})
