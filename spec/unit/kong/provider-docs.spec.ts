/** What docs/identity-providers.md and the README show of identity providers is run as it stands. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { startEmbeddedHost } from '../../../embedded/host.ts'
import { freePort } from '../../../embedded/world.ts'
import { oauthSchema } from '../../../stages/oauth/schema.ts'
import { readRecords } from '../../support/audit-trail.ts'
import { FixtureIssuer } from '../../support/fixture-issuer.ts'
import { auth0, entra, keycloak, okta, plain, type ProviderToken, signedBy } from '../../support/provider-tokens.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const guide = await readFile(join(root, 'docs', 'identity-providers.md'), 'utf8')
const readme = await readFile(join(root, 'README.md'), 'utf8')

/** The YAML under a marker. @throws Error where there is none */
function shown(text: string, marker: string): string {
  const block = new RegExp(`<!-- spec: ${marker} -->\\n+\`\`\`yaml\\n([\\s\\S]*?)\`\`\``).exec(text)?.[1]
  if (block === undefined) throw new Error(`there is no example \`${marker}\``)
  return block
}

interface Issuer {
  issuer: string
  provider?: string
  audiences?: string[]
  jwks_uri?: string
  private_hosts?: string[]
}
interface Settings {
  oauth: { resource: string; scopes_supported?: string[]; issuers: [Issuer, ...Issuer[]] }
  rbac: { bindings: { claim: string; value: string; role: string }[] }
}
interface File {
  services: [{ routes: [{ plugins: [{ config: Settings }] }] }]
}
const settingsOf = (file: File): Settings => file.services[0].routes[0].plugins[0].config

/** The README's own-server example with another provider's part put in. */
function withPart(marker: string): string {
  const file = parse(shown(readme, 'own-server')) as File
  const part = parse(shown(readme, marker)) as Settings
  const settings = settingsOf(file)
  Object.assign(settings.oauth, part.oauth)
  Object.assign(settings.rbac, part.rbac)
  return stringify(file)
}

type Claims = Readonly<Record<string, unknown>>

/**
 * @property token of a person, as the provider writes it when it was set up as the guide says; nothing of it comes from the
 *                 example
 * @property held  what makes the person one of those the example's first binding is for
 */
interface Example {
  readonly marker: string
  readonly text: string
  readonly provider: string | undefined
  readonly token: (more: Claims) => ProviderToken
  readonly held: Claims
}
const resource = 'https://gateway.example/mcp/github'
const setUp = {
  okta: {
    token: (more) => okta.person({ aud: resource, groups: ['Everyone'], ...more }),
    held: { groups: ['Everyone', 'Developers'] },
  },
  auth0: {
    token: (more) => auth0.person({ aud: [resource, `${auth0.issuer}userinfo`], permissions: [], ...more }),
    held: { permissions: ['github:read'] },
  },
  // The audience of version 2 is the API's client id, whatever the client asked for.
  entra: { token: (more) => entra.person({ roles: ['Visitor'], ...more }), held: { roles: ['Developer'] } },
  keycloak: {
    token: (more) => keycloak.person({ aud: [resource, 'account'], groups: [], ...more }),
    held: { groups: ['/engineering/github'] },
  },
  generic: {
    token: (more) => plain.person('https://login.example', 'github-mcp', more),
    held: { groups: ['developers'] },
  },
} satisfies Record<string, Pick<Example, 'token' | 'held'>>

const examples: readonly Example[] = [
  ...(['okta', 'auth0', 'entra', 'keycloak'] as const).map((marker) => ({
    marker: `the guide’s ${marker}`,
    text: shown(guide, marker),
    provider: marker,
    ...setUp[marker],
  })),
  { marker: 'the guide’s generic', text: shown(guide, 'generic'), provider: undefined, ...setUp.generic },
  ...(['okta', 'auth0', 'entra'] as const).map((marker) => ({
    marker: `the README’s ${marker}`,
    text: withPart(`readme-${marker}`),
    provider: marker,
    ...setUp[marker],
  })),
]

describe.each(examples)('$marker example', ({ text, provider, token, held }) => {
  const settings = settingsOf(parse(text) as File)
  const [issuer] = settings.oauth.issuers
  let runDir: string
  let fixture: FixtureIssuer
  let origin: string
  let close: () => Promise<void>

  beforeAll(async () => {
    runDir = await mkdtemp(join(tmpdir(), 'kmcp-provider-'))
    fixture = await FixtureIssuer.start(issuer.issuer, 'RS256')
    const file = parse(text.replaceAll('/var/log/kong-mcp', runDir)) as File
    // Nothing else is changed: the provider's keys are here, and the trail is written where a spec may write.
    Object.assign(settingsOf(file).oauth.issuers[0], {
      jwks_uri: `${fixture.origin}/jwks`,
      private_hosts: ['127.0.0.1'],
    })
    await writeFile(join(runDir, 'kong.yml'), stringify(file, { aliasDuplicateObjects: false }))
    const port = await freePort()
    const host = await startEmbeddedHost({
      configFile: join(runDir, 'kong.yml'),
      port,
      runDir,
      hostsFile: '/dev/null',
      env: {},
    })
    origin = `http://127.0.0.1:${port}`
    close = () => host.close()
  })
  afterAll(async () => {
    await close()
    await fixture.close()
    await rm(runDir, { recursive: true, force: true })
  })

  const ask = (json: unknown, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${origin}/mcp/github`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
      body: JSON.stringify(json),
    })
  const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'get_repository', arguments: {} } }
  const bearer = async (more: Claims): Promise<Record<string, string>> => ({
    authorization: `Bearer ${await signedBy(fixture, token(more))}`,
  })

  it('passes `kmcp config check` as it is shown', async () => {
    const name = join(runDir, 'shown.yml')
    await writeFile(name, text)
    const { stdout } = await promisify(execFile)(process.execPath, [
      join(root, 'cli', 'main.ts'),
      'config',
      'check',
      name,
    ])
    expect(stdout).toContain('every MCP route is closed by construction')
    expect(issuer.provider).toBe(provider)
  })

  it('serves the metadata that leads clients to the provider', async () => {
    const response = await fetch(`${origin}/.well-known/oauth-protected-resource/mcp/github`)
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({
      resource: 'https://gateway.example/mcp/github',
      authorization_servers: [issuer.issuer],
      ...(settings.oauth.scopes_supported ? { scopes_supported: settings.oauth.scopes_supported } : {}),
    })
  })

  it('asks a stranger for a token', async () => {
    const { status, headers } = await ask(call)
    expect([status, headers.get('www-authenticate')]).toEqual([
      401,
      'Bearer resource_metadata="https://gateway.example/.well-known/oauth-protected-resource/mcp/github"',
    ])
  })

  it('takes the provider’s token, and knows by its first binding who may call', async () => {
    const stranger = (await (await ask(call, await bearer({}))).json()) as { error: { code: number; data: unknown } }
    expect(stranger.error).toMatchObject({ code: -31403, data: { reason: 'no_role' } })
    await ask(call, await bearer(held))
    // The server of the example is nobody's, so the call ends there: it was admitted all the same.
    expect((await readRecords(runDir)).filter(({ type }) => type === 'admission')).toMatchObject([
      {
        tool: 'get_repository',
        principal_kind: 'human',
        person: { issuer: issuer.issuer },
        decision: { effect: 'allow', roles: [settings.rbac.bindings[0]?.role] },
      },
    ])
  })
})

/** A field of Kong's schema language, as far as the tables need it. */
interface Field {
  readonly default?: unknown
  readonly required?: boolean
  readonly referenceable?: boolean
  readonly fields?: readonly Readonly<Record<string, Field>>[]
  readonly elements?: Field
}
const fieldsOf = (fields: readonly Readonly<Record<string, Field>>[]): [string, Field][] =>
  fields.flatMap((field) => Object.entries(field))
const own = new Map(fieldsOf(oauthSchema as unknown as readonly Readonly<Record<string, Field>>[]))

describe('the guide’s tables', () => {
  it.each([
    { heading: 'Of each issuer (`issuers`)', fields: own.get('issuers')?.elements?.fields ?? [] },
    { heading: 'Of the route', fields: [Object.fromEntries(own)] },
    ...['dpop', 'from_kong', 'consumer', 'redis'].map((name) => ({
      heading: `(\`${name}\`)`,
      fields: own.get(name)?.fields ?? [],
    })),
  ])('have every setting and its default: $heading', ({ heading, fields }) => {
    const section = guide.split(/^### /m).find((text) => text.split('\n')[0]?.includes(heading)) ?? ''
    const rows = new Map(
      [...section.matchAll(/^\| `(\w+)`(\\?\*)?\s+\| (.*?)\s+\| /gm)].map(([, name = '', star, value = '']) => [
        name,
        { isReference: star !== undefined, value },
      ]),
    )
    const schema = new Map(fieldsOf(fields))
    expect([...rows.keys()]).toEqual([...schema.keys()])
    for (const [name, field] of schema) {
      const row = rows.get(name)
      expect([name, row?.isReference]).toEqual([name, field.referenceable ?? field.elements?.referenceable ?? false])
      const { default: value } = field
      const isList = Array.isArray(value)
      if (isList ? value.length > 0 : value !== undefined)
        expect([name, row?.value]).toEqual([name, `\`${isList ? value.join(' ') : String(value)}\``])
      else if (field.required === true && !isList && !field.fields)
        expect([name, row?.value]).toEqual([name, 'required'])
    }
  })
})
