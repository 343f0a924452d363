/**
 * The Jira-like example upstream as a process.
 *
 *     node embedded/upstreams/jira/main.ts --port 9101
 *     node embedded/upstreams/jira/main.ts --gateway-jwks-url … --gateway-issuer … --gateway-audience …
 *
 * Every flag has an environment variable: KMCP_JIRA_HOST, KMCP_JIRA_PORT, KMCP_JIRA_GATEWAY_JWKS_URL,
 * KMCP_JIRA_GATEWAY_ISSUER, KMCP_JIRA_GATEWAY_AUDIENCE. A flag wins over its variable. The three of the gateway go together:
 * with them every request needs the gateway's token.
 */
import { parseArgs } from 'node:util'
import { readPort, runUntilStopped } from '../run-until-stopped.ts'
import { startJira } from './start-jira.ts'

await runUntilStopped('jira example', () => {
  const { env } = process
  const { values } = parseArgs({
    options: {
      host: { type: 'string', default: env['KMCP_JIRA_HOST'] ?? '127.0.0.1' },
      port: { type: 'string', default: env['KMCP_JIRA_PORT'] ?? '9101' },
      'gateway-jwks-url': { type: 'string', default: env['KMCP_JIRA_GATEWAY_JWKS_URL'] ?? '' },
      'gateway-issuer': { type: 'string', default: env['KMCP_JIRA_GATEWAY_ISSUER'] ?? '' },
      'gateway-audience': { type: 'string', default: env['KMCP_JIRA_GATEWAY_AUDIENCE'] ?? '' },
    },
  })
  const rules = {
    jwksUrl: values['gateway-jwks-url'],
    issuer: values['gateway-issuer'],
    audience: values['gateway-audience'],
  }
  const given = Object.values(rules).filter((value) => value !== '').length
  if (given === 1 || given === 2) {
    throw new Error('--gateway-jwks-url, --gateway-issuer and --gateway-audience go together')
  }
  return startJira({
    host: values.host,
    port: readPort(values.port),
    ...(given === 0 ? {} : { requireGatewayToken: rules }),
    onDefect: (line) => process.stderr.write(`jira example: ${line}\n`),
  })
})
