/** The page `npm start` prints once everything answers. */

/** @property runDir as the reader would type it */
export interface Ready {
  readonly gateway: string
  readonly issuer: string
  readonly routes: readonly { readonly name: string; readonly url: string }[]
  readonly audit: { readonly dir: string }
  readonly host: string
  readonly runDir: string
}

const who = [
  ['alice', 'platform admin', 'everything, delete_issue and get-env included'],
  ['bob', 'junior developer', 'read and write issues; cannot delete or export'],
  ['carol', 'auditor', 'read and export issues'],
  ['build-agent', 'a machine', 'read issues (client credentials)'],
] as const

export function page({ gateway, issuer, routes, audit, host, runDir }: Ready): string {
  const jira = routes.find(({ name }) => name === 'jira')?.url ?? gateway
  const call = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
  return `
  kong-mcp-suite is ready (${host})

  MCP endpoints
${routes.map(({ name, url }) => `    ${name.padEnd(12)} ${url}`).join('\n')}
    sign in at   ${issuer}   (password of everybody: demo)

  Who may do what
${who.map(([name, role, may]) => `    ${name.padEnd(12)} ${role.padEnd(17)} ${may}`).join('\n')}

  Try it
    npx kmcp token bob                               a token, by a real login
    curl -s ${jira} \\
      -H "authorization: Bearer $(npx kmcp token bob)" \\
      -H 'content-type: application/json' -H 'accept: application/json, text/event-stream' \\
      -d '${call}'
    npx @modelcontextprotocol/inspector              then connect to ${jira} (Streamable HTTP)

  Audit trail
    npx kmcp audit show                              who called what, and what was decided
    npx kmcp audit verify                            is the trail whole?
    ${audit.dir}

  The same as JSON: ${runDir}/ready.json        Ctrl-C stops everything.
`
}
