/** Kong's `key-auth`. Source: Kong 3.9.3 `kong/plugins/key-auth` (handler). */
import { errorAnswer, headerValues } from '../answers.ts'
import type { Consumer, KeyCredential } from '../entities.ts'
import type { RequestState } from '../request-state.ts'
import { queryTable } from '../serialize-log.ts'
import type { BundledPlugin } from './index.ts'

type Config = Readonly<Record<string, unknown>>

/** A yes with whom it is, or what is answered with 401. */
type Outcome = { readonly credential: KeyCredential; readonly consumer: Consumer | undefined } | { readonly no: string }

export function keyAuth(): BundledPlugin {
  return {
    name: 'key-auth',
    priority: 1250,
    schema: {
      noConsumer: true,
      config: [
        { key_names: { type: 'array', required: true, default: ['apikey'], elements: { type: 'string' } } },
        { hide_credentials: { type: 'boolean', required: true, default: false } },
        { anonymous: { type: 'string' } },
        { key_in_header: { type: 'boolean', required: true, default: true } },
        { key_in_query: { type: 'boolean', required: true, default: true } },
        { key_in_body: { type: 'boolean', required: true, default: false } },
        { run_on_preflight: { type: 'boolean', required: true, default: true } },
        { realm: { type: 'string' } },
      ],
      check: (config) => [
        ...names(config)
          .filter((name) => !/^[a-zA-Z0-9-_]+$/.test(name))
          .map(
            (name) => `key_names: bad header name \`${name}\`, allowed characters are A-Z, a-z, 0-9, \`_\`, and \`-\``,
          ),
        ...(config['key_in_body'] === true
          ? ['key_in_body: the embedded gateway looks for keys in headers and the query only: remove it']
          : []),
      ],
    },
    access(state, { config }) {
      if (config['run_on_preflight'] !== true && state.request.method === 'OPTIONS') return
      const { anonymous } = config
      // With `anonymous`, one of several ways to authenticate is enough.
      if (typeof anonymous === 'string' && state.credential) return
      const outcome = authenticate(state, config)
      if ('credential' in outcome) {
        establish(state, outcome.consumer, outcome.credential)
      } else if (typeof anonymous === 'string') {
        const consumer = state.around.consumers.load(anonymous, true)
        if (!consumer) throw new Error('either credential or consumer must be provided')
        establish(state, consumer, undefined)
      } else {
        const { realm } = config
        state.isExited = true
        state.answer = errorAnswer(state, 401, outcome.no)
        state.answer.headers.add('WWW-Authenticate', typeof realm === 'string' ? `Key realm="${realm}"` : 'Key')
      }
    },
  }
}

function authenticate(state: RequestState, config: Config): Outcome {
  const headers = state.headers.toTable(state.around.maxRequestHeaders)
  const query = queryTable(state.args)
  let key = ''
  for (const name of names(config)) {
    const inHeader = config['key_in_header'] === true ? headerOf(headers, name) : undefined
    const value = inHeader ?? (config['key_in_query'] === true ? query[name] : undefined)
    if (Array.isArray(value)) return { no: 'Duplicate API key found' }
    if (typeof value !== 'string') continue
    key = value
    if (config['hide_credentials'] === true) hide(state, name)
    break
  }
  if (key === '') return { no: 'No API key found in request' }
  const credential = state.around.consumers.keyCredential(key)
  if (!credential) return { no: 'Unauthorized' }
  return { credential, consumer: state.around.consumers.load(credential.consumer.id, false) }
}

/** A header as Lua's table of them finds it (lua-resty-core, `ngx.req.get_headers`): by its name, else with dashes for `_`. */
function headerOf(headers: Readonly<Record<string, unknown>>, name: string): unknown {
  const lower = name.toLowerCase()
  return headers[lower] ?? headers[lower.replaceAll('_', '-')]
}

/** The query is written anew as a form, as Kong's does (lua-resty-ada, `search.remove`): `%20` becomes `+`. */
function hide(state: RequestState, name: string): void {
  if (state.args) {
    const query = new URLSearchParams(Buffer.from(state.args, 'latin1').toString())
    query.delete(name)
    state.args = query.toString()
  }
  state.headers.clear(name)
}

/** Tells the plugins after it, and the upstream, who it is; what the client itself says of that is overwritten. */
function establish(state: RequestState, consumer: Consumer | undefined, credential: KeyCredential | undefined): void {
  state.consumer = consumer && { ...consumer }
  state.credential = credential && { id: credential.id }
  const headers = {
    'X-Consumer-ID': consumer?.id,
    'X-Consumer-Custom-ID': consumer?.custom_id,
    'X-Consumer-Username': consumer?.username,
    'X-Credential-Identifier': credential?.id,
    'X-Anonymous-Consumer': credential ? undefined : true,
  }
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) state.headers.clear(name)
    else state.headers.set(name, ...headerValues(value))
  }
}

function names(config: Config): readonly string[] {
  return config['key_names'] as readonly string[]
}
