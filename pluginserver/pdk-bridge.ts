/** The `kong` object a handler gets: each method is one PDK call, sent over the event's connection. */
import { readFile, stat } from 'node:fs/promises'
import type { HeaderValue, Kong, KongConsumer } from '../adapters/kong/pdk.ts'
import { type PdkCallName, fromStruct, fromValue, toStruct, toValue } from './wire/messages.ts'

/**
 * One PDK call over the wire.
 *
 * @returns the decoded reply, or undefined for an empty one (Kong's nil)
 * @throws EventOver once the event has ended or its connection is gone
 */
export type CallPdk = (name: PdkCallName, argument: object) => Promise<Record<string, unknown> | undefined>

/** The event this handler works for is over: there is nobody left to ask. */
export class EventOver extends Error {
  override readonly name = 'EventOver'
}

/** @param call how a PDK call is made; kept apart so that the object can be built once per event and stay small */
export function bridge(call: CallPdk): Kong {
  const text = async (name: PdkCallName, argument: object): Promise<string | undefined> =>
    (await call(name, argument))?.v as string | undefined
  const done = async (name: PdkCallName, argument: object): Promise<void> => {
    await call(name, argument)
  }
  return {
    client: {
      authenticate: (consumer, credential) =>
        done('kong.client.authenticate', consumer ? { consumer, credential } : { credential }),
      getConsumer: async () => readConsumer(await call('kong.client.get_consumer', {})),
      getCredential: async () => readCredential(await call('kong.client.get_credential', {})),
      getForwardedIp: async () => (await text('kong.client.get_forwarded_ip', {})) ?? '',
      loadConsumer: async (id, byUsername) =>
        readConsumer(await call('kong.client.load_consumer', { id, by_username: byUsername })),
    },
    ctx: {
      shared: {
        get: async (key) => fromValue((await call('kong.ctx.shared.get', { v: key })) ?? {}),
        set: (key, value) => done('kong.ctx.shared.set', { k: key, v: toValue(value) }),
      },
    },
    log: {
      err: (...values) => done('kong.log.err', { values: values.map(toValue) }),
      serialize: async () => JSON.parse((await text('kong.log.serialize', {})) ?? 'null') as unknown,
    },
    nginx: { getVar: (name) => text('kong.nginx.get_var', { v: name }) },
    request: {
      getHeaders: async (max) =>
        fromStruct((await call('kong.request.get_headers', { v: max })) ?? {}) as Record<string, HeaderValue>,
      getRawBody: async () => readBody(await call('kong.request.get_raw_body', {})),
    },
    response: {
      exit: (status, body, headers) =>
        done('kong.response.exit', {
          status,
          body: typeof body === 'string' ? Buffer.from(body) : body,
          headers: toStruct(headers),
        }),
      setHeaders: (headers) => done('kong.response.set_headers', toStruct(headers)),
    },
    router: {
      getRoute: async () => call('kong.router.get_route', {}),
      getService: async () => call('kong.router.get_service', {}),
    },
    service: {
      setUpstream: (name) => done('kong.service.set_upstream', { v: name }),
      request: {
        setHeaders: (headers) => done('kong.service.request.set_headers', toStruct(headers)),
        setRawBody: (body) => done('kong.service.request.set_raw_body', { v: body }),
        setRawQuery: (query) => done('kong.service.request.set_raw_query', { v: query }),
      },
    },
  }
}

interface ConsumerMessage {
  readonly id: string
  readonly username: string
  readonly custom_id: string
  readonly tags: readonly string[]
}

/** On the wire what a consumer does not have is empty. */
function readConsumer(reply: Record<string, unknown> | undefined): KongConsumer | undefined {
  if (!reply) return undefined
  const { id, username, custom_id: customId, tags } = reply as unknown as ConsumerMessage
  return {
    id,
    ...(username === '' ? {} : { username }),
    ...(customId === '' ? {} : { custom_id: customId }),
    ...(tags.length === 0 ? {} : { tags }),
  }
}

function readCredential(reply: Record<string, unknown> | undefined): { id: string; consumer_id?: string } | undefined {
  if (!reply) return undefined
  const { id, consumer_id: consumerId } = reply as unknown as { id: string; consumer_id: string }
  return { id, ...(consumerId === '' ? {} : { consumer_id: consumerId }) }
}

/** The most `max_body_bytes` can be set to. */
const maxBodyBytes = 16 * 1024 * 1024

/** The body's bytes: inline, or from the file nginx wrote a larger one to (kong-gateway's client_body_buffer_size). */
async function readBody(reply: Record<string, unknown> | undefined): Promise<Uint8Array> {
  if (typeof reply?.body_filepath === 'string' && reply.body_filepath !== '') {
    const { size } = await stat(reply.body_filepath)
    // Larger than any message may be: its bytes are not needed to say so.
    return size > maxBodyBytes ? new Uint8Array(maxBodyBytes + 1) : readFile(reply.body_filepath)
  }
  if (reply?.content instanceof Uint8Array && Object.hasOwn(reply, 'content')) return reply.content
  if (typeof reply?.error === 'string' && Object.hasOwn(reply, 'error')) throw new Error(`no body: ${reply.error}`)
  return new Uint8Array(0)
}
