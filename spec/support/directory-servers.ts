/** Directories of a spec's own, on loopback, that answer as SCIM servers and Microsoft Graph do. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** Answers in place of the directory; undefined lets it answer. */
type Instead = ((request: Asked, response: ServerResponse) => boolean) | undefined

/** @property path without its query. @property query decoded. @property form of a POST */
export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly form: URLSearchParams
}

/**
 * @property asked   what came in
 * @property instead may be set at any time. @property delayMs before each answer
 * @property away    cuts connections instead of answering
 */
export interface DirectoryServer {
  readonly origin: string
  readonly asked: Asked[]
  instead: Instead
  delayMs: number
  away: boolean
}

/** A status and nothing else. */
export const status =
  (code: number, headers: Record<string, string> = {}): Instead =>
  (_asked, response) => {
    response.writeHead(code, headers).end()
    return true
  }

/** A document in place of the directory's. */
export const document =
  (body: unknown): Instead =>
  (_asked, response) => {
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
    return true
  }

async function start(answer: (asked: Asked, response: ServerResponse) => void): Promise<DirectoryServer> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const url = new URL(request.url ?? '', 'http://directory')
      const one: Asked = {
        method: request.method ?? '',
        path: url.pathname,
        query: url.searchParams,
        url: request.url ?? '',
        headers: request.headers,
        form: new URLSearchParams(Buffer.concat(chunks).toString()),
      }
      fixture.asked.push(one)
      const reply = (): void => {
        if (fixture.away) response.destroy()
        else if (fixture.instead?.(one, response) !== true) answer(one, response)
      }
      if (fixture.delayMs > 0) setTimeout(reply, fixture.delayMs)
      else reply()
    })
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  })
  const fixture: DirectoryServer = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: [],
    instead: undefined,
    delayMs: 0,
    away: false,
  }
  return fixture
}

const json = (response: ServerResponse, code: number, body: unknown, type = 'application/json'): void =>
  void response.writeHead(code, { 'content-type': type }).end(JSON.stringify(body))

export interface ScimUser {
  readonly id: string
  readonly [attribute: string]: unknown
}

export interface ScimGroup {
  readonly id: string
  readonly displayName: string
  readonly members: readonly string[]
}

/**
 * A SCIM server at `/scim/v2` (RFC 7644): `eq` filters, paging, `attributes`, the token `scim-token`.
 *
 * @param users  as they are; what is in them is given
 * @param limits the most resources of a page; whether filters are heeded at all
 */
export async function startScim(
  users: ScimUser[],
  groups: ScimGroup[] = [],
  limits: { pageSize?: number; ignoresFilters?: boolean } = {},
): Promise<DirectoryServer & { readonly url: string }> {
  const { pageSize = 50, ignoresFilters = false } = limits
  const scimError = (response: ServerResponse, code: number, scimType?: string): void =>
    json(
      response,
      code,
      { schemas: ['urn:ietf:params:scim:api:messages:2.0:Error'], status: String(code), scimType },
      'application/scim+json',
    )
  const server = await start((asked, response) => {
    if (asked.headers.authorization !== 'Bearer scim-token') {
      scimError(response, 401)
      return
    }
    const kind = /^\/scim\/v2\/(Users|Groups)$/.exec(asked.path)?.[1]
    const filter = /^([\w.]+) eq ("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-f]{4}))*")$/i.exec(
      asked.query.get('filter') ?? '',
    )
    if (kind === undefined) {
      scimError(response, 404)
      return
    }
    if (!filter) {
      scimError(response, 400, 'invalidFilter')
      return
    }
    const [, attribute = '', text = ''] = filter
    const wanted = JSON.parse(text) as string
    const all: readonly ScimUser[] =
      kind === 'Users'
        ? users
        : groups.map(({ members, ...group }) => ({ ...group, members: members.map((value) => ({ value })) }))
    const found = ignoresFilters ? all : all.filter((resource) => valuesOf(resource, attribute).includes(wanted))
    const startIndex = Number(asked.query.get('startIndex') ?? 1)
    const count = Math.min(pageSize, Number(asked.query.get('count') ?? pageSize))
    const page = found.slice(startIndex - 1, startIndex - 1 + count)
    const named = asked.query.get('attributes')?.split(',')
    json(
      response,
      200,
      {
        schemas: ['urn:ietf:params:scim:api:messages:2.0:ListResponse'],
        totalResults: found.length,
        startIndex,
        itemsPerPage: page.length,
        Resources: page.map((resource) =>
          Object.fromEntries(Object.entries(resource).filter(([name]) => !named || ['id', ...named].includes(name))),
        ),
      },
      'application/scim+json',
    )
  })
  return Object.assign(server, { url: `${server.origin}/scim/v2` })
}

function valuesOf(resource: Readonly<Record<string, unknown>>, attribute: string): unknown[] {
  const [name = '', sub] = attribute.split('.')
  const value = resource[name]
  if (sub === undefined) return [value]
  return Array.isArray(value) ? value.map((item: Record<string, unknown>) => item[sub]) : []
}

export interface GraphGroup {
  readonly id: string
  readonly displayName: string | null
  readonly securityEnabled: boolean | null
}

export const graphTenant = '11111111-2222-4333-8444-555555555555'

/**
 * Microsoft Graph at `/v1.0`, and the tenant's token endpoint: tokens `token-1`, `token-2`, … each of which the server stops
 * accepting when the next is given out, or when `revoke` is called.
 *
 * @property lifeS `expires_in` of tokens given out from now on
 */
export async function startGraph(
  users: Readonly<Record<string, readonly GraphGroup[]>>,
  servicePrincipals: Readonly<Record<string, readonly GraphGroup[]>> = {},
  pageSize = 999,
): Promise<DirectoryServer & { readonly url: string; readonly tokenUrl: string; lifeS: unknown; revoke(): void }> {
  let given = 0
  let isRevoked = false
  const graphError = (response: ServerResponse, code: number, name: string): void =>
    json(response, code, { error: { code: name, message: 'as Graph would say it', innerError: {} } })
  const server = await start((asked, response) => {
    if (asked.path === `/${graphTenant}/oauth2/v2.0/token`) {
      const { form } = asked
      const isGood =
        asked.method === 'POST' &&
        asked.headers['content-type'] === 'application/x-www-form-urlencoded' &&
        form.get('grant_type') === 'client_credentials' &&
        form.get('client_id') === 'gateway' &&
        form.get('client_secret') === 's3cret&' &&
        form.get('scope') === `${server.origin}/.default`
      if (!isGood) {
        json(response, 401, { error: 'invalid_client' })
        return
      }
      isRevoked = false
      json(response, 200, { token_type: 'Bearer', expires_in: fixture.lifeS, access_token: `token-${++given}` })
      return
    }
    if (isRevoked || asked.headers.authorization !== `Bearer token-${given}`) {
      graphError(response, 401, 'InvalidAuthenticationToken')
      return
    }
    const [, kind, id = ''] =
      /^\/v1\.0\/(users|servicePrincipals)\/([^/]+)\/transitiveMemberOf\/microsoft\.graph\.group$/.exec(asked.path) ??
      []
    if (kind === undefined) {
      graphError(response, 400, 'BadRequest')
      return
    }
    const groups = (kind === 'users' ? users : servicePrincipals)[id]
    if (!groups) {
      graphError(response, 404, 'Request_ResourceNotFound')
      return
    }
    const size = Math.min(pageSize, Number(asked.query.get('$top') ?? 100))
    const from = Number(asked.query.get('$skiptoken') ?? 0)
    const next = new URL(`${server.origin}${asked.path}`)
    for (const [name, value] of asked.query) next.searchParams.set(name, value)
    next.searchParams.set('$skiptoken', String(from + size))
    json(response, 200, {
      '@odata.context': `${server.origin}/v1.0/$metadata#groups(id,displayName,securityEnabled)`,
      ...(from + size < groups.length ? { '@odata.nextLink': next.href } : {}),
      value: groups.slice(from, from + size),
    })
  })
  const fixture = Object.assign(server, {
    url: `${server.origin}/v1.0`,
    tokenUrl: `${server.origin}/${graphTenant}/oauth2/v2.0/token`,
    lifeS: 3_599,
    revoke: () => {
      isRevoked = true
    },
  })
  return fixture
}
