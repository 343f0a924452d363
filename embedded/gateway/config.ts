/** Reads a declarative Kong file, unchanged, and refuses by name whatever the embedded gateway would not honour. */
import { readFileSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { parseDocument } from 'yaml'
import type { ScalarTag, Tags } from 'yaml'
import { entityId, workspaceId } from './entity-id.ts'
import * as entities from './entities.ts'
import { checkSchema, fillRecord, isRecord } from './schema.ts'
import type { Checking, Fields } from './schema.ts'

/** What the file says, checked and complete. */
export interface Config {
  readonly services: ReadonlyMap<string, entities.Service>
  readonly routes: readonly entities.Route[]
  readonly upstreams: readonly entities.Upstream[]
  readonly consumers: readonly entities.Consumer[]
  readonly keyCredentials: readonly entities.KeyCredential[]
  readonly plugins: readonly entities.PluginUse[]
}

/** What the reader must know of a plugin to check its settings. */
export interface PluginSchema {
  readonly config: Fields
  /** checks across fields; each result is one fault */
  readonly check?: (config: Record<string, unknown>) => readonly string[]
  /** cannot be attached to one consumer (`typedefs.no_consumer`): it runs before there is one */
  readonly noConsumer?: boolean
}

/** A plugin in the file, and the entities it is nested in. */
interface PluginFound {
  readonly raw: unknown
  readonly at: string
  readonly routeId?: string
  readonly serviceId?: string
  readonly consumerId?: string
}

/** The file cannot be used. `faults` names everything that is wrong with it, not only the first. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  readonly faults: readonly string[]
  constructor(file: string, faults: readonly string[]) {
    super(`${file} cannot be used by the embedded gateway:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`)
    this.faults = faults
  }
}

type Raw = Record<string, unknown>

/**
 * Reads and checks the file.
 *
 * Source: Kong 3.9.3 `kong/db/schema/others/declarative_config.lua` (nesting, references, ids).
 *
 * @param schemas the plugins there are, by name
 * @param env     what `{vault://env/name}` reads
 * @throws ConfigError naming every fault with its place in the file
 */
export function readConfig(
  file: string,
  schemas: ReadonlyMap<string, PluginSchema>,
  env: Readonly<Record<string, string>>,
): Config {
  const document = parseDocument(readFileSync(file, 'utf8'), { version: '1.1', customTags: asLyaml })
  if (document.errors.length > 0)
    throw new ConfigError(
      file,
      document.errors.map((error) => error.message),
    )
  const reader = new ConfigReader(schemas, env)
  const config = reader.read(document.toJS() as unknown)
  if (reader.faults.length > 0) throw new ConfigError(file, reader.faults)
  return config
}

/** YAML 1.1 as Kong's reader has it (lyaml, `implicit.lua`): `yes` and `on` are booleans, `y` and dates are texts. */
function asLyaml(tags: Tags): Tags {
  const isOf = (tag: Tags[number], name: string): boolean =>
    typeof tag === 'object' && tag.tag === `tag:yaml.org,2002:${name}`
  return tags
    .filter((tag) => !isOf(tag, 'timestamp'))
    .map((tag) => {
      if (!isOf(tag, 'bool')) return tag
      const bool = tag as ScalarTag
      const isTrue = bool.test?.test('true') === true
      return {
        ...bool,
        test: isTrue ? /^(?:[Yy]es|YES|[Tt]rue|TRUE|[Oo]n|ON)$/ : /^(?:[Nn]o|NO|[Ff]alse|FALSE|[Oo]ff|OFF)$/,
      }
    })
}

const notUnderstood = 'remove it, or run this file on a real Kong'

class ConfigReader {
  readonly faults: string[] = []
  readonly #schemas: ReadonlyMap<string, PluginSchema>
  readonly #checking: Checking
  readonly #services = new Map<string, entities.Service>()
  readonly #routes: entities.Route[] = []
  readonly #upstreams: entities.Upstream[] = []
  readonly #consumers: entities.Consumer[] = []
  readonly #keyCredentials: entities.KeyCredential[] = []
  readonly #plugins: entities.PluginUse[] = []
  readonly #pluginsFound: PluginFound[] = []
  readonly #taken = new Map<string, string>()

  constructor(schemas: ReadonlyMap<string, PluginSchema>, env: Readonly<Record<string, string>>) {
    this.#schemas = schemas
    const unknownField = `the embedded gateway does not understand it: ${notUnderstood}`
    this.#checking = { faults: this.faults, env, unknownField }
  }

  read(raw: unknown): Config {
    if (!isRecord(raw)) this.faults.push('the file: expected a mapping with `_format_version` and entities')
    const {
      _format_version: version,
      services,
      routes,
      upstreams,
      consumers,
      plugins,
      ...rest
    } = (isRecord(raw) ? raw : {}) as Raw
    if (version !== '3.0') this.faults.push(`_format_version: expected "3.0", not \`${String(version)}\``)
    for (const name of Object.keys(rest).filter((each) => each !== '_transform' && each !== '_comment')) {
      this.faults.push(`${name}: the embedded gateway does not understand this entity: ${notUnderstood}`)
    }
    for (const [each, at] of this.#each(services, 'services')) this.#service(each, at)
    for (const [each, at] of this.#each(routes, 'routes')) this.#route(each, at)
    for (const [each, at] of this.#each(upstreams, 'upstreams')) this.#upstream(each, at)
    for (const [each, at] of this.#each(consumers, 'consumers')) this.#consumer(each, at)
    for (const [each, at] of this.#each(plugins, 'plugins')) this.#pluginsFound.push({ raw: each, at })
    for (const found of this.#pluginsFound) this.#plugin(found)
    return {
      services: this.#services,
      routes: this.#routes,
      upstreams: this.#upstreams,
      consumers: this.#consumers,
      keyCredentials: this.#keyCredentials,
      plugins: this.#plugins,
    }
  }

  #service(raw: unknown, at: string): void {
    const { routes, plugins, url, ...own } = asRecord(raw)
    const filled = fillRecord(entities.serviceFields, { ...own, ...this.#fromUrl(url, at) }, at, this.#checking)
    const id = this.#identify('services', filled, filled['name'], at)
    this.#services.set(id, filled as unknown as entities.Service)
    for (const [each, where] of this.#each(routes, `${at}.routes`)) this.#route(each, where, id)
    for (const [each, where] of this.#each(plugins, `${at}.plugins`)) {
      this.#pluginsFound.push({ raw: each, at: where, serviceId: id })
    }
  }

  /** The shorthand field `url` of a service, taken apart. */
  #fromUrl(url: unknown, at: string): Raw {
    if (url === undefined) return {}
    const text = typeof url === 'string' ? url : ''
    const parts = /^(https?):\/\/([^/:?#[\]]+|\[[^\]]+\])(?::(\d+))?(\/[^?#]*)?$/.exec(text)
    if (!parts) {
      this.faults.push(`${at}.url: expected a URL such as http://localhost:3000/mcp, not \`${text}\``)
      return { host: 'invalid' }
    }
    const [, protocol, host, port, path] = parts
    return { protocol, host, port: Number(port ?? (protocol === 'https' ? 443 : 80)), ...(path ? { path } : {}) }
  }

  #route(raw: unknown, at: string, nestedIn?: string): void {
    const { plugins, service, ...own } = asRecord(raw)
    const filled = fillRecord(entities.routeFields, own, at, this.#checking)
    if (!['methods', 'hosts', 'headers', 'paths'].some((field) => lengthOf(filled[field]) > 0)) {
      this.faults.push(`${at}: must set one of 'methods', 'hosts', 'headers', 'paths'`)
    }
    for (const [index, path] of ((filled['paths'] ?? []) as string[]).entries())
      this.#checkPath(path, `${at}.paths[${index}]`)
    const id = this.#identify('routes', filled, filled['name'], at)
    const serviceId = nestedIn ?? this.#reference('services', service, `${at}.service`)
    if (serviceId !== undefined) filled['service'] = { id: serviceId }
    this.#routes.push(filled as unknown as entities.Route)
    for (const [each, where] of this.#each(plugins, `${at}.plugins`)) {
      this.#pluginsFound.push({ raw: each, at: where, routeId: id })
    }
  }

  #checkPath(path: string, at: string): void {
    if (!path.startsWith('~')) return
    try {
      new RegExp(`^${path.slice(1)}`)
    } catch {
      this.faults.push(
        `${at}: the embedded gateway cannot compile the regular expression \`${path}\`: write it in a simpler way`,
      )
    }
  }

  #upstream(raw: unknown, at: string): void {
    const { targets, ...own } = asRecord(raw)
    const filled = fillRecord(entities.upstreamFields, own, at, this.#checking)
    const id = this.#identify('upstreams', filled, filled['name'], at)
    const list = this.#each(targets, `${at}.targets`).map(([each, where]) => {
      const target = fillRecord(entities.targetFields, each, where, this.#checking)
      this.#identify('targets', target, `targets:*:${id}:${String(target['target'])}`, where)
      return target as unknown as entities.Target
    })
    this.#upstreams.push({ ...filled, targets: list } as unknown as entities.Upstream)
  }

  #consumer(raw: unknown, at: string): void {
    const { keyauth_credentials: keys, plugins, ...own } = asRecord(raw)
    const filled = fillRecord(entities.consumerFields, own, at, this.#checking)
    if (!filled['username'] && !filled['custom_id']) this.faults.push(`${at}: add a \`username\` or a \`custom_id\``)
    const id = this.#identify('consumers', filled, filled['username'], at)
    if (typeof filled['custom_id'] === 'string') {
      this.#claim(`consumers custom_id ${filled['custom_id']}`, 'custom_id', at)
    }
    delete filled['ws_id']
    this.#consumers.push(filled as unknown as entities.Consumer)
    for (const [each, where] of this.#each(keys, `${at}.keyauth_credentials`)) {
      const credential = fillRecord(entities.keyCredentialFields, each, where, this.#checking)
      // Kong derives no id from a key: without one of its own a credential has another id after each start.
      this.#identify('keyauth_credentials', credential, undefined, where)
      if (typeof credential['key'] === 'string') {
        this.#claim(`keyauth_credentials key ${credential['key']}`, 'key', where)
      }
      this.#keyCredentials.push({ ...credential, consumer: { id } } as unknown as entities.KeyCredential)
    }
    for (const [each, where] of this.#each(plugins, `${at}.plugins`)) {
      this.#pluginsFound.push({ raw: each, at: where, consumerId: id })
    }
  }

  #plugin(found: PluginFound): void {
    const { at } = found
    const { config: given, route, service, consumer, ...own } = asRecord(found.raw)
    const filled = fillRecord(entities.pluginFields, own, at, this.#checking)
    const name = String(filled['name'])
    const routeId = found.routeId ?? this.#reference('routes', route, `${at}.route`)
    const serviceId = found.serviceId ?? this.#reference('services', service, `${at}.service`)
    const consumerId = found.consumerId ?? this.#reference('consumers', consumer, `${at}.consumer`)
    // Kong hashes the references as they are written, before it looks them up.
    const written = [found.routeId ?? route, found.serviceId ?? service, found.consumerId ?? consumer]
    const texts = written.flatMap((each) => (typeof each === 'string' ? [each] : isRecord(each) ? [] : ['']))
    const key = ['plugins', '*', name, ...texts].join(':')
    const place = [name, routeId, serviceId, consumerId].join(':')
    const id = this.#identify('plugins', filled, key, at, place)
    const schema = this.#schemas.get(name)
    if (!schema) {
      if (filled['name'] !== undefined)
        this.faults.push(`${at}.name: there is no plugin \`${name}\` here: ${notUnderstood}`)
      return
    }
    if (schema.noConsumer && consumerId !== undefined) {
      this.faults.push(`${at}.consumer: value must be null; ${name} cannot be attached to a consumer`)
    }
    const checking = { ...this.#checking, unknownField: `correct its name or remove it (${name} has no such setting)` }
    const before = this.faults.length
    const config = fillRecord(schema.config, given ?? {}, `${at}.config`, checking)
    if (this.faults.length === before) {
      for (const fault of schema.check?.(config) ?? []) this.faults.push(`${at}.config: ${fault}`)
    }
    this.#plugins.push({
      id,
      name,
      enabled: filled['enabled'] as boolean,
      ...(routeId === undefined ? {} : { routeId }),
      ...(serviceId === undefined ? {} : { serviceId }),
      ...(consumerId === undefined ? {} : { consumerId }),
      config: {
        ...config,
        ...(routeId === undefined ? {} : { route_id: routeId }),
        ...(serviceId === undefined ? {} : { service_id: serviceId }),
        ...(consumerId === undefined ? {} : { consumer_id: consumerId }),
        ...(filled['instance_name'] === undefined ? {} : { plugin_instance_name: filled['instance_name'] }),
        __plugin_id: id,
        __ws_id: workspaceId,
        __key__: `plugins:${name}:${routeId ?? ''}:${serviceId ?? ''}:${consumerId ?? ''}::${workspaceId}`,
        __seq__: this.#plugins.length + 1,
      },
    })
  }

  /**
   * Gives the entity its id, and refuses a second one of the same id or in the same place.
   *
   * @param key   what the id is derived from; anything but a text: the id is random
   * @param place what only one entity of its kind may have
   */
  #identify(kind: string, filled: Raw, key: unknown, at: string, place = key): string {
    const id =
      typeof filled['id'] === 'string' ? filled['id'] : typeof key === 'string' ? entityId(kind, key) : randomUUID()
    filled['id'] = id
    filled['ws_id'] = workspaceId
    filled['created_at'] ??= startedAtS
    filled['updated_at'] ??= startedAtS
    const what = kind.slice(0, -1)
    if (this.#claim(`${kind}/${id}`, what, at) && typeof place === 'string') this.#claim(`${kind}/${place}`, what, at)
    return id
  }

  /** Refuses what stands in the file for a second time. */
  #claim(taken: string, what: string, at: string): boolean {
    const other = this.#taken.get(taken)
    if (other !== undefined && other !== at) {
      this.faults.push(`${at}: the same ${what} stands at ${other}; remove one of them`)
      return false
    }
    this.#taken.set(taken, at)
    return true
  }

  /** The id of a service, route or consumer that is named by name or id. */
  #reference(kind: 'services' | 'routes' | 'consumers', given: unknown, at: string): string | undefined {
    if (given === undefined || given === null) return undefined
    const wanted = isRecord(given) ? (given['id'] ?? given['name'] ?? given['username']) : given
    const all: readonly { id: string; name?: string; username?: string }[] = {
      services: [...this.#services.values()],
      routes: this.#routes,
      consumers: this.#consumers,
    }[kind]
    const found = all.find((entity) => [entity.id, entity.name, entity.username].includes(wanted as string))
    if (!found) this.faults.push(`${at}: there is no entry \`${String(wanted)}\` in ${kind}; correct the name`)
    return found?.id
  }

  #each(list: unknown, at: string): [unknown, string][] {
    if (list === undefined || list === null) return []
    if (!Array.isArray(list)) {
      this.faults.push(`${at}: expected a list`)
      return []
    }
    return list.map((each: unknown, index) => {
      if (!isRecord(each)) this.faults.push(`${at}[${index}]: expected a record`)
      return [each, `${at}[${index}]`]
    })
  }
}

const startedAtS = Math.floor(Date.now() / 1000)

function asRecord(raw: unknown): Raw {
  return isRecord(raw) ? raw : {}
}

function lengthOf(value: unknown): number {
  return Array.isArray(value) ? value.length : isRecord(value) ? Object.keys(value).length : 0
}

/**
 * A plugin server's schema of one plugin: its settings, and whether it is for single consumers too.
 *
 * @param json as get_plugin_info gives it: `{name, fields: [{config: {type: 'record', fields: […]}}]}`
 * @param faults gets a line for each part that is not understood
 */
export function parsePluginSchema(name: string, json: string, faults: string[]): PluginSchema {
  const at = `the schema of plugin ${name}`
  const schema = JSON.parse(json) as { fields?: Fields; entity_checks?: unknown }
  let config: Fields = []
  let noConsumer = false
  for (const [field, definition] of (schema.fields ?? []).flatMap((entry) => Object.entries(entry))) {
    if (field === 'config') config = definition.fields ?? []
    else if (field === 'consumer') noConsumer = definition.eq === null
    else if (field !== 'protocols') faults.push(`${at}: field \`${field}\` is not understood`)
  }
  if (schema.entity_checks !== undefined) faults.push(`${at}: \`entity_checks\` is not understood`)
  checkSchema(config, at, faults)
  return { config, noConsumer }
}
