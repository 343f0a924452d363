/**
 * `npm run demo`: the main job as a newcomer would watch it. Exits non-zero when a step does not do what it says.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { auditTable, rowsOf } from '../cli/audit-rows.ts'
import { readRecords } from '../cli/audit-show.ts'
import { verifyTrails } from '../cli/verify-trails.ts'
import { startEmbeddedHost } from './host.ts'
import { type Person, startWorld, type World } from './world.ts'

let failed = 0

const runDir = await mkdtemp(join(tmpdir(), 'kmcp-demo-'))
const world = await startWorld({ port: 0, runDir, startHost: startEmbeddedHost })
try {
  await play(world)
} finally {
  await world.close()
  await rm(runDir, { recursive: true, force: true })
}
console.log(failed === 0 ? '\nEverything did what it said.\n' : `\n${failed} steps did not do what they said.\n`)
process.exit(failed === 0 ? 0 : 1)

async function play({ gateway, routes, auditDir, upstreams, token }: World): Promise<void> {
  const jira = routes.find(({ name }) => name === 'jira')?.url ?? gateway
  console.log(`\nA Jira MCP server stands behind the gateway, at ${jira}\n`)

  const stranger = await fetch(jira, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })
  step(
    'Nobody gets in without a token',
    stranger.status === 401,
    `HTTP ${stranger.status}, ${stranger.headers.get('www-authenticate') ?? ''}`,
  )

  const bob = await connect(jira, 'bob', token)
  step(
    'Bob, a junior developer, logs in with his browser',
    true,
    'authorization code and PKCE, at the identity provider',
  )
  const bobs = await toolNames(bob)
  step('He sees the tools he may use', bobs.includes('get_issue') && !bobs.includes('delete_issue'), bobs.join(', '))
  const issue = await bob.callTool({ name: 'get_issue', arguments: { key: 'OPS-1' } })
  step('He reads an issue', issue.isError !== true, firstLine(issue))

  const before = await callsOf(upstreams.jira, 'delete_issue')
  const denial = await bob.callTool({ name: 'delete_issue', arguments: { key: 'OPS-1' } }).then(
    () => 'it went through',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
  const after = await callsOf(upstreams.jira, 'delete_issue')
  step('He tries to delete it, and is told no', denial.includes('denied by policy'), denial)
  step('The server never heard of it', before === 0 && after === 0, `its own counter of delete_issue: ${after}`)
  await bob.close()

  const alice = await connect(jira, 'alice', token)
  const alices = await toolNames(alice)
  step(
    'Alice, the platform admin, sees every tool',
    alices.includes('delete_issue') && alices.length > bobs.length,
    alices.join(', '),
  )
  const deleted = await alice.callTool({ name: 'delete_issue', arguments: { key: 'OPS-2' } })
  step(
    'She deletes an issue',
    deleted.isError !== true && (await callsOf(upstreams.jira, 'delete_issue')) === 1,
    firstLine(deleted),
  )
  await alice.close()

  // The log phase completes a record after the client has its answer.
  await new Promise((resolve) => setTimeout(resolve, 300))
  const records = readRecords(auditDir)
  const rows = rowsOf(records)
  console.log(`\nThe audit trail of this session:\n\n${auditTable(rows).replace(/^/gm, '  ')}\n`)
  const isDenialThere = records.some(({ type, tool }) => type === 'denial' && tool === 'delete_issue')
  step(
    'The denial is on record, and so is every call',
    isDenialThere,
    `${rows.length} calls, ${records.length} records`,
  )
  const { faults } = verifyTrails([auditDir])
  step(
    'Every record follows the one before it',
    faults.length === 0,
    faults.join('; ') || `${records.length} records verified`,
  )
}

function step(what: string, isDone: boolean, shown: string): void {
  if (!isDone) failed++
  console.log(`  ${isDone ? '✓' : '✗'} ${what}\n      ${shown.slice(0, 200)}`)
}

async function connect(url: string, person: Person, token: World['token']): Promise<Client> {
  const client = new Client({ name: 'demo-agent', version: '1.0.0' })
  const headers = { authorization: `Bearer ${await token(person)}` }
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }))
  return client
}

async function toolNames(client: Client): Promise<string[]> {
  return (await client.listTools()).tools.map(({ name }) => name)
}

/** How often the server itself says a tool was called. */
async function callsOf(upstream: string, tool: string): Promise<number> {
  const stats = (await (await fetch(new URL('/stats', upstream))).json()) as { byTool?: Record<string, number> }
  return stats.byTool?.[tool] ?? 0
}

function firstLine(result: unknown): string {
  const { content } = result as { content?: readonly { text?: string }[] }
  return content?.[0]?.text?.split('\n')[0] ?? ''
}
