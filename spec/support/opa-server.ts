/** Decision points of a spec's own, on loopback: a real OPA where there is one, and one that gives recorded answers or none. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { canonicalJson } from '../../lib/canonical-json.ts'
import type { OpaInput } from '../../adapters/opa/opa-input.ts'
import type { OpaAnswer } from '../../adapters/opa/read-decision.ts'
import { eventually } from './eventually.ts'

/** Why specs with a real OPA cannot run here; undefined when they can. */
export const opaMissing: string | undefined =
  spawnSync('opa', ['version']).status === 0
    ? undefined
    : 'needs opa on the PATH: go install github.com/open-policy-agent/opa@v1.22.2'

/** @property url as the configuration takes it. @property socket the same server's unix socket, likewise */
export interface OpaServer {
  readonly url: string
  readonly socket: string
  stop(): Promise<void>
}

/** The policy of docs/opa.md. */
export const documentedPolicy = /```rego\n(.*?)```/s.exec(
  readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'opa.md'), 'utf8'),
)?.[1] as string

/** Rules that go wrong when they are asked. */
export const brokenPolicy = `package mcp.broken
allow := true if input.method
allow := false if input.method
`

/** Starts a real one with both policies. */
export async function startOpa(): Promise<OpaServer> {
  const folder = await mkdtemp(join(tmpdir(), 'kmcp-opa-'))
  await writeFile(join(folder, 'authz.rego'), documentedPolicy)
  await writeFile(join(folder, 'broken.rego'), brokenPolicy)
  const port = await freePort()
  const socket = join(folder, 'opa.sock')
  const addresses = ['--addr', `127.0.0.1:${port}`, '--addr', `unix://${socket}`]
  const child = spawn(
    'opa',
    ['run', '--server', '--skip-version-check', '--log-level', 'error', ...addresses, 'authz.rego', 'broken.rego'],
    { cwd: folder, stdio: 'ignore' },
  )
  const stop = async (): Promise<void> => {
    await end(child)
    await rm(folder, { recursive: true, force: true })
  }
  const url = `http://127.0.0.1:${port}`
  try {
    await eventually(
      () => fetch(`${url}/health`).then(({ status }) => status, () => 0), // prettier-ignore
      (status) => status === 200,
      15_000,
    )
  } catch (error) {
    await stop()
    throw error
  }
  return { url, socket: `unix:${socket}`, stop }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

async function freePort(): Promise<number> {
  const server = createTcpServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}

/** @property body as it came: JSON text */
export interface Asked {
  readonly path: string
  readonly body: string
  readonly connection: string
}

/** @property asked the questions that came in, and `answer` what is done with the next; it may be changed at any time */
export interface FixtureOpa extends OpaServer {
  readonly asked: Asked[]
  readonly port: number
  answer: (asked: Asked, response: ServerResponse) => void
  /** Stops listening, and cuts who is connected; the port stays free for `listen`. */
  away(): Promise<void>
  listen(): Promise<void>
}

/** Starts one that says what the spec tells it to. */
export async function startFixtureOpa(answer: FixtureOpa['answer']): Promise<FixtureOpa> {
  const folder = await mkdtemp(join(tmpdir(), 'kmcp-opa-'))
  const socket = join(folder, 'opa.sock')
  const asked: Asked[] = []
  const makeServer = () =>
    createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const one = {
          path: `${request.method ?? ''} ${request.url ?? ''}`,
          body: Buffer.concat(chunks).toString(),
          connection: `${request.socket.remotePort ?? 0}`,
        }
        asked.push(one)
        fixture.answer(one, response)
      })
    })
  let servers = [makeServer(), makeServer()] as const
  let port = 0
  const fixture: FixtureOpa = {
    get url() {
      return `http://127.0.0.1:${port}`
    },
    get port() {
      return port
    },
    socket: `unix:${socket}`,
    asked,
    answer,
    async listen() {
      servers = [makeServer(), makeServer()]
      const [tcp, unix] = servers
      await new Promise<void>((resolve, reject) => tcp.once('error', reject).listen(port, '127.0.0.1', resolve))
      await new Promise<void>((resolve, reject) => unix.once('error', reject).listen(socket, resolve))
      ;({ port } = tcp.address() as AddressInfo)
    },
    async away() {
      for (const server of servers) {
        server.closeAllConnections()
        if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()))
      }
    },
    async stop() {
      await fixture.away()
      await rm(folder, { recursive: true, force: true })
    },
  }
  await fixture.listen()
  return fixture
}

/** `{"result": …}`, as OPA writes it. */
export const result =
  (value: unknown): FixtureOpa['answer'] =>
  (_asked, response) =>
    void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ result: value }))

/** An answer as it stands. */
export const raw =
  (status: number, body: string | Buffer, headers: Record<string, string> = {}): FixtureOpa['answer'] =>
  (_asked, response) =>
    void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)

/** @property body what OPA 1.22.2 answered, word for word (of an error report, `errors` left out) */
interface Recorded {
  readonly note: string
  readonly path: string
  readonly input: OpaInput
  readonly status: number
  readonly body: string
  readonly says: OpaAnswer
}

/** What is asked, where nothing else is said. */
export const plainInput: OpaInput = {
  principal: {
    id: 'https://idp|bob',
    kind: 'agent',
    issuer: 'https://idp',
    tenant: '',
    subject: 'bob',
    name: 'Bob',
    scopes: ['jira'],
    roles: [],
    groups: ['on-call'],
    permissions: [],
    unknown_claims: [],
    claims: { iss: 'https://idp', sub: 'bob' },
  },
  agent: { id: 'desk-assistant' },
  actors: [],
  target: { kind: 'tool', name: 'delete_issue' },
  method: 'tools/call',
  route: 'jira',
  argument_names: ['key'],
  request: { ip: '192.0.2.1', upstream: 'jira', headers: {} },
  session: { id: '' },
  decision: { allow: true, rule: 'jira:write' },
}

const bob = plainInput.principal
const { argument_names: _names, ...ofAList } = plainInput
const denied = '{"result":{"allow":false,"reason":"changes are for people on call, through the desk assistant"}}'
const refused = {
  ok: true,
  allow: false,
  reason: 'changes are for people on call, through the desk assistant',
} as const

/** Questions to the policy of docs/opa.md, and what it says to them. */
export const recordings: readonly Recorded[] = [
  {
    note: 'a change by somebody on call',
    path: 'mcp/authz',
    input: plainInput,
    status: 200,
    body: '{"result":{"allow":true}}',
    says: { ok: true, allow: true },
  },
  {
    note: 'a change by force',
    path: 'mcp/authz',
    input: { ...plainInput, argument_names: ['force', 'key'] },
    status: 200,
    body: denied,
    says: refused,
  },
  {
    note: 'the same as an entry of a list',
    path: 'mcp/authz',
    input: ofAList,
    status: 200,
    body: '{"result":{"allow":true}}',
    says: { ok: true, allow: true },
  },
  {
    note: 'a change by somebody else',
    path: 'mcp/authz',
    input: { ...plainInput, principal: { ...bob, groups: ['on-call-next-week'] } },
    status: 200,
    body: denied,
    says: refused,
  },
  {
    note: 'a change by a machine',
    path: 'mcp/authz',
    input: { ...plainInput, principal: { ...bob, kind: 'workload' } },
    status: 200,
    body: denied,
    says: refused,
  },
  {
    note: 'a change through another agent',
    path: 'mcp/authz',
    input: { ...plainInput, agent: { id: 'another' } },
    status: 200,
    body: denied,
    says: refused,
  },
  {
    note: 'a look by somebody else',
    path: 'mcp/authz',
    input: { ...plainInput, principal: { ...bob, groups: [] }, target: { kind: 'tool', name: 'get_issue' } },
    status: 200,
    body: '{"result":{"allow":true}}',
    says: { ok: true, allow: true },
  },
  {
    note: 'a prompt',
    path: 'mcp/authz',
    input: { ...plainInput, target: { kind: 'prompt', name: 'get_issue' } },
    status: 200,
    body: denied,
    says: refused,
  },
  {
    note: 'a rule alone, true',
    path: 'mcp/authz/allow',
    input: plainInput,
    status: 200,
    body: '{"result":true}',
    says: { ok: true, allow: true },
  },
  {
    note: 'a rule alone, false',
    path: 'mcp/authz/allow',
    input: { ...plainInput, agent: { id: 'another' } },
    status: 200,
    body: '{"result":false}',
    says: { ok: true, allow: false },
  },
  {
    note: 'a rule of another kind',
    path: 'mcp/authz/reason',
    input: { ...plainInput, agent: { id: 'another' } },
    status: 200,
    body: '{"result":"changes are for people on call, through the desk assistant"}',
    says: { ok: false, because: 'the result is neither a boolean nor an object with a boolean `allow`' },
  },
  {
    note: 'a rule that is undefined for this',
    path: 'mcp/authz/reason',
    input: plainInput,
    status: 200,
    body: '{}',
    says: { ok: false, because: 'the policy is undefined for this: is there such a rule?' },
  },
  {
    note: 'no such package',
    path: 'mcp/nothing',
    input: plainInput,
    status: 200,
    body: '{}',
    says: { ok: false, because: 'the policy is undefined for this: is there such a rule?' },
  },
  {
    note: 'a policy that contradicts itself',
    path: 'mcp/broken',
    input: plainInput,
    status: 500,
    body: '{\n  "code": "internal_error",\n  "message": "error(s) occurred while evaluating query",\n  "errors": []\n}\n',
    says: { ok: false, because: 'OPA answered 500: internal_error' },
  },
]

/** Gives what was recorded, to exactly what was asked then; 404 to anything else. */
export const recorded: FixtureOpa['answer'] = ({ path, body }, response) => {
  const { input } = JSON.parse(body) as { input: OpaInput }
  const found = recordings.find(
    (one) => path === `POST /v1/data/${one.path}` && canonicalJson(one.input) === canonicalJson(input),
  )
  response
    .writeHead(found?.status ?? 404, { 'content-type': 'application/json' })
    .end(found?.body ?? '404 page not found\n')
}
