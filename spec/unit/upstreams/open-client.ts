import { Client as ClientV2, StreamableHTTPClientTransport as TransportV2 } from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import {
  ElicitRequestSchema,
  ResourceListChangedNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'

/** Which client library, and which generation of the protocol it is made to speak. */
export type ClientKind = 'sdk 1.x' | 'client 2.x, legacy' | 'client 2.x, 2026-07-28'

/** Every kind there is; a server that is legacy only serves the first two. */
export const legacyKinds: readonly ClientKind[] = ['sdk 1.x', 'client 2.x, legacy']
export const everyKind: readonly ClientKind[] = [...legacyKinds, 'client 2.x, 2026-07-28']

/** What the specs need of a client, the same for every kind. */
export interface OpenClient {
  /** The session's id; modern clients have none. */
  readonly sessionId: string | undefined
  /** The revision agreed on. */
  readonly revision: string | undefined
  readonly raw: ClientV1 | ClientV2
  readonly tools: () => Promise<string[]>
  readonly call: (
    name: string,
    args?: Record<string, unknown>,
    options?: { onProgress?: (progress: number) => void; signal?: AbortSignal },
  ) => Promise<{ text: string; isError: boolean; structured: unknown }>
  readonly read: (uri: string) => Promise<string>
  /** Gets the news of changed resources, on a GET stream or on a `subscriptions/listen` stream. */
  readonly watch: (uri: string, onNews: (news: string) => void) => Promise<void>
  readonly close: () => Promise<void>
}

/** Connects a real client over HTTP. */
export async function openClient(
  kind: ClientKind,
  url: string,
  options: {
    readonly headers?: Record<string, string>
    /** Answers an elicitation; without it the client does not offer the capability. */
    readonly onAsked?: (message: string) => { action: 'accept' | 'decline'; content?: Record<string, boolean> }
  } = {},
): Promise<OpenClient> {
  return kind === 'sdk 1.x' ? openV1(url, options) : openV2(kind, url, options)
}

type Options = NonNullable<Parameters<typeof openClient>[2]>

async function openV1(url: string, { headers = {}, onAsked }: Options): Promise<OpenClient> {
  const capabilities = onAsked === undefined ? {} : { elicitation: {} }
  const client = new ClientV1({ name: 'spec', version: '1.0.0' }, { capabilities })
  if (onAsked !== undefined) client.setRequestHandler(ElicitRequestSchema, ({ params }) => onAsked(params.message))
  const transport = new TransportV1(new URL(url), { requestInit: { headers } })
  await client.connect(transport)
  return {
    sessionId: transport.sessionId,
    revision: transport.protocolVersion,
    raw: client,
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (name, args = {}, { onProgress, signal } = {}) =>
      plain(
        await client.callTool({ name, arguments: args }, undefined, {
          ...(onProgress === undefined ? {} : { onprogress: ({ progress }) => onProgress(progress) }),
          ...(signal === undefined ? {} : { signal }),
        }),
      ),
    read: async (uri) => firstText((await client.readResource({ uri })).contents),
    async watch(uri, onNews) {
      client.setNotificationHandler(ResourceListChangedNotificationSchema, () => onNews('list changed'))
      client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => onNews(params.uri))
      await client.subscribeResource({ uri })
    },
    close: () => client.close(),
  }
}

async function openV2(kind: ClientKind, url: string, { headers = {}, onAsked }: Options): Promise<OpenClient> {
  const isModern = kind === 'client 2.x, 2026-07-28'
  const client = new ClientV2(
    { name: 'spec', version: '1.0.0' },
    {
      capabilities: onAsked === undefined ? {} : { elicitation: { form: {} } },
      versionNegotiation: { mode: isModern ? { pin: '2026-07-28' } : 'legacy' },
    },
  )
  if (onAsked !== undefined) client.setRequestHandler('elicitation/create', ({ params }) => onAsked(params.message))
  const transport = new TransportV2(new URL(url), { requestInit: { headers } })
  await client.connect(transport)
  return {
    sessionId: transport.sessionId,
    revision: client.getNegotiatedProtocolVersion(),
    raw: client,
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (name, args = {}, { onProgress, signal } = {}) =>
      plain(
        await client.callTool(
          { name, arguments: args },
          {
            ...(onProgress === undefined ? {} : { onprogress: ({ progress }) => onProgress(progress) }),
            ...(signal === undefined ? {} : { signal }),
          },
        ),
      ),
    read: async (uri) => firstText((await client.readResource({ uri })).contents),
    async watch(uri, onNews) {
      client.setNotificationHandler('notifications/resources/list_changed', () => onNews('list changed'))
      client.setNotificationHandler('notifications/resources/updated', ({ params }) => onNews(params.uri))
      if (isModern) await client.listen({ resourcesListChanged: true, resourceSubscriptions: [uri] })
      else await client.subscribeResource({ uri })
    },
    close: () => client.close(),
  }
}

function plain(result: unknown): { text: string; isError: boolean; structured: unknown } {
  const { content, isError, structuredContent } = result as {
    content: { text?: string }[]
    isError?: boolean
    structuredContent?: unknown
  }
  return { text: content[0]?.text ?? '', isError: isError === true, structured: structuredContent }
}

function firstText(contents: readonly object[]): string {
  return (contents[0] as { text?: string } | undefined)?.text ?? ''
}
