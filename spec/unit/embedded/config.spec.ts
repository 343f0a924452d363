import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ConfigError, readKongConf } from '../../../embedded/gateway/start-gateway.ts'
import { fromLuaPattern } from '../../../embedded/gateway/lua-pattern.ts'
import { ask, startUpstream, startWorld, temporaryFolder } from './support/world.ts'
import type { TestPlugin } from './support/plugin-server.ts'

const onePlugin: TestPlugin = {
  name: 'greeter',
  access: () => Promise.resolve(),
  fields: [
    { greeting: { type: 'string', required: true } },
    { volume: { type: 'integer', default: 3, between: [0, 11] } },
    { language: { type: 'string', one_of: ['en', 'de'] } },
    { names: { type: 'set', elements: { type: 'string' }, default: ['world'] } },
    { secret: { type: 'string', referenceable: true } },
    { secrets: { type: 'array', elements: { type: 'string', referenceable: true } } },
    { plain: { type: 'string' } },
    { code: { type: 'string', match: '^%u%u%-%d+$' } },
    { weights: { type: 'map', keys: { type: 'string' }, values: { type: 'number', gt: 0 } } },
    {
      needed: {
        type: 'record',
        required: true,
        fields: [{ depth: { type: 'number', default: 2 } }, { width: { type: 'number' } }],
      },
    },
    { optional: { type: 'record', fields: [{ depth: { type: 'number', default: 2 } }] } },
    {
      rows: {
        type: 'array',
        elements: {
          type: 'record',
          fields: [{ id: { type: 'string', required: true } }, { active: { type: 'boolean', default: true } }],
        },
      },
    },
  ],
}

async function faultsOf(kongYml: string, plugins: readonly TestPlugin[] = [onePlugin]): Promise<readonly string[]> {
  const error = await startWorld(kongYml, plugins).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof ConfigError) return error.faults
  throw new Error(`not refused: ${String(error)}`)
}

const withConfig = (config: string): string => `plugins: [{ name: greeter, config: { ${config} } }]`

describe('the embedded gateway refuses by name what it would not honour', () => {
  it.each([
    {
      note: 'an entity',
      yml: 'certificates: []',
      fault: /^certificates: .*does not understand this entity.*real Kong/,
    },
    {
      note: 'a field of a service',
      yml: 'services: [{ host: a, tls_verify: true }]',
      fault: /^services\[0\]\.tls_verify: unknown field.*real Kong/,
    },
    {
      note: 'a protocol',
      yml: 'services: [{ host: a, protocol: grpc }]',
      fault: /^services\[0\]\.protocol: expected one of: http, https; not `grpc`/,
    },
    { note: 'a missing host', yml: 'services: [{ name: a }]', fault: /^services\[0\]\.host: required field missing/ },
    { note: 'a URL that is none', yml: 'services: [{ url: nowhere }]', fault: /^services\[0\]\.url: expected a URL/ },
    {
      note: 'a field of a nested route',
      yml: 'services: [{ host: a, routes: [{ paths: [/], snis: [a] }] }]',
      fault: /^services\[0\]\.routes\[0\]\.snis: unknown field/,
    },
    {
      note: 'the old path handling',
      yml: 'routes: [{ paths: [/], path_handling: v1 }]',
      fault: /^routes\[0\]\.path_handling: expected one of: v0/,
    },
    {
      note: 'a path without slash',
      yml: 'routes: [{ paths: [a] }]',
      fault: /^routes\[0\]\.paths\[0\]: should start with/,
    },
    {
      note: 'a regular expression it cannot compile',
      yml: "routes: [{ paths: ['~/(?i)a['] }]",
      fault: /^routes\[0\]\.paths\[0\]: .*cannot compile/,
    },
    { note: 'a route that matches by nothing', yml: 'routes: [{ name: a }]', fault: /^routes\[0\]: must set one of/ },
    {
      note: 'a wildcard in the middle',
      yml: "routes: [{ hosts: ['a.*.b'] }]",
      fault: /^routes\[0\]\.hosts\[0\]: invalid wildcard/,
    },
    {
      note: 'a reference to nothing',
      yml: 'routes: [{ paths: [/], service: ghost }]',
      fault: /^routes\[0\]\.service: there is no entry `ghost` in services/,
    },
    {
      note: 'health checks',
      yml: 'upstreams: [{ name: a, healthchecks: {} }]',
      fault: /^upstreams\[0\]\.healthchecks: unknown field/,
    },
    {
      note: 'another balancing algorithm',
      yml: 'upstreams: [{ name: a, algorithm: latency }]',
      fault: /^upstreams\[0\]\.algorithm: expected one of: round-robin/,
    },
    {
      note: 'a weight out of bounds',
      yml: 'upstreams: [{ name: a, targets: [{ target: "b:1", weight: 70000 }] }]',
      fault: /^upstreams\[0\]\.targets\[0\]\.weight: value should be between/,
    },
    {
      note: 'a plugin',
      yml: 'plugins: [{ name: jwt }]',
      fault: /^plugins\[0\]\.name: there is no plugin `jwt` here.*real Kong/,
    },
    {
      note: 'a plugin for one consumer that runs before there is one',
      yml: 'consumers: [{ username: a }]\nplugins: [{ name: cors, consumer: a }]',
      fault: /^plugins\[0\]\.consumer: value must be null; cors/,
    },
    {
      note: 'the same, nested',
      yml: 'consumers: [{ username: a, plugins: [{ name: key-auth }] }]',
      fault: /^consumers\[0\]\.plugins\[0\]\.consumer: value must be null; key-auth/,
    },
    {
      note: 'a plugin for a consumer there is not',
      yml: 'plugins: [{ name: rate-limiting, consumer: ghost, config: { hour: 1 } }]',
      fault: /^plugins\[0\]\.consumer: there is no entry `ghost` in consumers/,
    },
    {
      note: 'a plugin for a group of consumers',
      yml: 'plugins: [{ name: rate-limiting, consumer_group: g, config: { hour: 1 } }]',
      fault: /^plugins\[0\]\.consumer_group: unknown field/,
    },
    {
      note: 'the same plugin twice for one consumer, nested and by name',
      yml: 'consumers: [{ username: a, plugins: [{ name: rate-limiting, config: { hour: 1 } }] }]\nplugins: [{ name: rate-limiting, consumer: a, config: { hour: 2 } }]',
      fault: /^plugins\[0\]: the same plugin stands at consumers\[0\]\.plugins\[0\]/,
    },
    {
      note: 'a consumer without a name',
      yml: 'consumers: [{ tags: [a] }]',
      fault: /^consumers\[0\]: add a `username`/,
    },
    {
      note: 'other credentials of a consumer',
      yml: 'consumers: [{ username: a, jwt_secrets: [] }]',
      fault: /^consumers\[0\]\.jwt_secrets: unknown field/,
    },
    {
      note: 'a key that would be made up',
      yml: 'consumers: [{ username: a, keyauth_credentials: [{ tags: [a] }] }]',
      fault: /^consumers\[0\]\.keyauth_credentials\[0\]\.key: required field missing/,
    },
    {
      note: 'a key that runs out',
      yml: 'consumers: [{ username: a, keyauth_credentials: [{ key: k, ttl: 60 }] }]',
      fault: /^consumers\[0\]\.keyauth_credentials\[0\]\.ttl: unknown field/,
    },
    {
      note: 'the key of another, without saying which',
      yml: 'consumers: [{ username: a, keyauth_credentials: [{ key: s3cret }] }, { username: b, keyauth_credentials: [{ key: s3cret }] }]',
      fault:
        /^consumers\[1\]\.keyauth_credentials\[0\]: the same key stands at consumers\[0\]\.keyauth_credentials\[0\]; remove one of them$/,
    },
    {
      note: 'the custom_id of another',
      yml: 'consumers: [{ username: a, custom_id: c }, { username: b, custom_id: c }]',
      fault: /^consumers\[1\]: the same custom_id stands at consumers\[0\]/,
    },
    {
      note: 'a name that is no header for a key',
      yml: "plugins: [{ name: key-auth, config: { key_names: ['a b'] } }]",
      fault: /^plugins\[0\]\.config: key_names: bad header name `a b`/,
    },
    {
      note: 'keys in bodies',
      yml: 'plugins: [{ name: key-auth, config: { key_in_body: true } }]',
      fault: /^plugins\[0\]\.config: key_in_body: the embedded gateway looks for keys in headers and the query only/,
    },
    {
      note: 'the same service twice',
      yml: 'services: [{ name: a, host: a }, { name: a, host: b }]',
      fault: /^services\[1\]: the same service stands at services\[0\]/,
    },
    {
      note: 'the same plugin twice in one place',
      yml: 'plugins: [{ name: cors }, { name: cors }]',
      fault: /^plugins\[1\]: the same plugin stands at plugins\[0\]/,
    },
    {
      note: 'a setting the plugin does not have',
      yml: withConfig('greeting: hi, volum: 3'),
      fault: /^plugins\[0\]\.config\.volum: unknown field; .*greeter/,
    },
    {
      note: 'a setting that is missing',
      yml: withConfig('volume: 3'),
      fault: /^plugins\[0\]\.config\.greeting: required field missing/,
    },
    {
      note: 'an empty text',
      yml: withConfig('greeting: ""'),
      fault: /^plugins\[0\]\.config\.greeting: length must be at least 1/,
    },
    {
      note: 'a setting of another type',
      yml: withConfig('greeting: hi, volume: loud'),
      fault: /^plugins\[0\]\.config\.volume: the type must be integer, not `loud`/,
    },
    {
      note: 'a number out of bounds',
      yml: withConfig('greeting: hi, volume: 12'),
      fault: /^plugins\[0\]\.config\.volume: value should be between 0 and 11/,
    },
    {
      note: 'a value not on the list',
      yml: withConfig('greeting: hi, language: fr'),
      fault: /^plugins\[0\]\.config\.language: expected one of: en, de/,
    },
    {
      note: 'a text that does not match',
      yml: withConfig('greeting: hi, code: ab-1'),
      fault: /^plugins\[0\]\.config\.code: invalid value/,
    },
    {
      note: 'a value of a map',
      yml: withConfig('greeting: hi, weights: { a: 0 }'),
      fault: /^plugins\[0\]\.config\.weights\.a: value must be greater than 0/,
    },
    {
      note: 'a field of a list of records',
      yml: withConfig('greeting: hi, rows: [{ active: true }]'),
      fault: /^plugins\[0\]\.config\.rows\[0\]\.id: required field missing/,
    },
    {
      note: 'a vault it does not have',
      yml: withConfig("greeting: hi, secret: '{vault://aws/a}'"),
      fault: /^plugins\[0\]\.config\.secret: .*reads `{vault:\/\/env\/name}` only/,
    },
    {
      note: 'Redis counters',
      yml: 'plugins: [{ name: rate-limiting, config: { minute: 1, policy: redis } }]',
      fault: /^plugins\[0\]\.config: policy: the embedded gateway counts locally only/,
    },
    {
      note: 'Lua in another phase',
      yml: 'plugins: [{ name: pre-function, config: { access: ["return 1"] } }]',
      fault: /^plugins\[0\]\.config: access: the embedded gateway runs Lua in body_filter and log only/,
    },
  ])('$note', async ({ yml, fault }) => {
    expect(await faultsOf(yml)).toEqual([expect.stringMatching(fault)])
  })

  it('names every fault at once, with the file', async () => {
    const error = await startWorld(
      'vaults: []\nservices: [{ host: a, color: red, port: x }]\nplugins: [{ name: nope }]',
    ).catch((thrown: unknown) => thrown)
    expect(String(error)).toMatch(
      /kong\.yml cannot be used by the embedded gateway:\n {2}- vaults: .*\n {2}- .*port.*\n {2}- .*color.*\n {2}- .*nope/,
    )
  })

  it('refuses a file of another format version', async () => {
    const file = join(temporaryFolder(), 'kong.yml')
    writeFileSync(file, '_format_version: "1.1"\n')
    await expect(startWorld('', [], { configFile: file })).rejects.toThrow('_format_version: expected "3.0"')
  })

  it('refuses a key that stands twice', async () => {
    await expect(startWorld('services: []\nservices: []')).rejects.toThrow(/unique/)
  })

  it.each([
    {
      note: 'a phase it does not run',
      plugin: { ...onePlugin, phases: ['access', 'response'] },
      fault: /phases access and log only, not `response`/,
    },
    {
      note: 'an attribute of a schema it does not know',
      plugin: { ...onePlugin, fields: [{ a: { type: 'string', sorcery: 1 } }] },
      fault: /greeter\.a: .*schema attribute `sorcery`/,
    },
    {
      note: 'a type it does not know',
      plugin: { ...onePlugin, fields: [{ a: { type: 'json' } }] },
      fault: /greeter\.a: .*schema type `json`/,
    },
  ])('refuses a plugin with $note', async ({ plugin, fault }) => {
    expect(await faultsOf('', [plugin])).toEqual([expect.stringMatching(fault)])
  })
})

describe('the embedded gateway hands a plugin its configuration as Kong does', () => {
  async function configOf(config: string, extra = ''): Promise<Record<string, unknown>> {
    const upstream = await startUpstream()
    const yml = `services: [{ name: s, url: 'http://127.0.0.1:${upstream.port}', routes: [{ name: r, paths: [/], plugins: [{ name: greeter, ${extra} config: { greeting: hi, ${config} } }] }] }]`
    const world = await startWorld(yml, [onePlugin], { env: { GREETER_SECRET: 'sesame' } })
    expect((await ask(world.url, '/')).status).toBe(200)
    return world.plugins.started[0]?.config ?? {}
  }

  it('with defaults filled in, and nothing in the place of what has none', async () => {
    const config = await configOf('')
    expect(config).toMatchObject({ greeting: 'hi', volume: 3, names: ['world'], needed: { depth: 2 } })
    expect(Object.keys(config)).not.toEqual(expect.arrayContaining(['language']))
    expect(config).not.toHaveProperty('optional')
    expect(config).not.toHaveProperty('needed.width')
  })

  it('with defaults within a record that is given, and within each of a list', async () => {
    expect(await configOf('optional: {}, rows: [{ id: a }, { id: b, active: false }]')).toMatchObject({
      optional: { depth: 2 },
      rows: [
        { id: 'a', active: true },
        { id: 'b', active: false },
      ],
    })
  })

  it('with null in the place of a default taken as no value', async () => {
    expect(await configOf('volume: null')).not.toHaveProperty('volume')
  })

  it('with references replaced, and kept beside, only where the schema allows them', async () => {
    const reference = '{vault://env/greeter-secret}'
    const config = await configOf(`secret: '${reference}', secrets: [x, '${reference}'], plain: '${reference}'`)
    expect(config).toMatchObject({ secret: 'sesame', secrets: ['x', 'sesame'], plain: reference })
    expect(config['$refs']).toEqual({ secret: reference, secrets: ['x', reference] })
  })

  it('with an empty text for a reference that leads nowhere', async () => {
    expect(await configOf("secret: '{vault://env/unset}'")).toMatchObject({ secret: '' })
  })

  it("with Kong's own keys", async () => {
    const config = await configOf('', 'instance_name: mine,')
    expect(config).toMatchObject({
      route_id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      __plugin_id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      __key__: expect.stringContaining('plugins:greeter:') as string,
      __seq__: 1,
      __ws_id: '0dc6f45b-8f8d-40d2-a504-473544ee190b',
      plugin_instance_name: 'mine',
    })
    expect(config).not.toHaveProperty('service_id')
  })
})

describe('the embedded gateway reads YAML as Kong does', () => {
  it('with y, n and dates as texts, yes and off as booleans', async () => {
    expect(
      await faultsOf(
        'consumers: [{ username: y, tags: [n, 2026-01-02] }]\nplugins: [{ name: cors, enabled: yes, tags: [off] }]',
      ),
    ).toEqual(['plugins[0].tags[0]: the type must be string, not `false`'])
  })
})

describe('kong.conf', () => {
  it('takes lines after those of the file, and of one setting the last', () => {
    const file = join(temporaryFolder(), 'kong.conf')
    writeFileSync(file, 'lua_max_req_headers = 200\nheaders = off')
    expect(readKongConf(file, ['lua_max_req_headers = 50', '# headers = server_tokens'])).toEqual({
      maxRequestHeaders: 50,
      headers: [],
    })
  })

  it.each([
    {
      note: 'sizes with units',
      text: 'nginx_http_client_max_body_size = 5m\nnginx_http_client_body_buffer_size=64k # buffer',
      conf: { maxBodyBytes: 5 * 1024 * 1024, bodyBufferBytes: 65_536 },
    },
    { note: 'numbers', text: 'lua_max_req_headers = 200', conf: { maxRequestHeaders: 200 } },
    {
      note: 'headers',
      text: 'headers = X-Kong-Request-Id, server_tokens',
      conf: { headers: ['server_tokens', 'x-kong-request-id'] },
    },
    { note: 'headers off', text: 'headers = off', conf: { headers: [] } },
    { note: 'nothing of what is for Kong alone, or commented out', text: 'database = off\n# headers = off', conf: {} },
  ])('is read for $note', ({ text, conf }) => {
    const file = join(temporaryFolder(), 'kong.conf')
    writeFileSync(file, text)
    expect(readKongConf(file)).toEqual(conf)
  })

  it.each(['headers = X-Kong-Proxy-Latency', 'nginx_http_client_max_body_size = 1g'])(
    'is refused where it says `%s`',
    (text) => {
      const file = join(temporaryFolder(), 'kong.conf')
      writeFileSync(file, text)
      expect(() => readKongConf(file)).toThrow('does not understand')
    },
  )
})

describe('Lua patterns', () => {
  it.each([
    { pattern: '^%u+$', yes: 'GET', no: 'Get' },
    { pattern: '^[%w_]-$', yes: 'a_1', no: 'a-1' },
    { pattern: '^a%.b$', yes: 'a.b', no: 'axb' },
    { pattern: '^[^%s]+$', yes: 'ab', no: 'a b' },
    { pattern: '^%S+$', yes: 'ab', no: 'a b' },
    { pattern: 'a{2}', yes: 'a{2}', no: 'aa' },
    { pattern: '^[]x]$', yes: ']', no: 'y' },
  ])('$pattern', ({ pattern, yes, no }) => {
    expect([fromLuaPattern(pattern).test(yes), fromLuaPattern(pattern).test(no)]).toEqual([true, false])
  })

  it('that cannot be carried over are refused', () => {
    expect(() => fromLuaPattern('%b()')).toThrow(SyntaxError)
  })
})
