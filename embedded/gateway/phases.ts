/** The way of one request: route, access phase, upstream; and the log phase once the answer is out. */
import { errorAnswer, faultAnswer, serverTokens } from './answers.ts'
import type { PluginUse, Route, Service } from './entities.ts'
import { GrowingPlan } from './plan.ts'
import type { Planner, Plugin } from './plan.ts'
import type { PluginInfo, PluginServer } from './plugin-server.ts'
import type { Proxy } from './proxy.ts'
import { BodyFailure, discardBody } from './request-body.ts'
import { escapePath, normalizePath, upstreamPath } from './request-path.ts'
import { pathOf } from './request-state.ts'
import type { RequestState } from './request-state.ts'
import { sendAnswer } from './response.ts'
import type { Asked, Match } from './router.ts'
import { refusalStatus } from './screening.ts'

/** What a gateway is made of, as far as a request needs it. */
export interface Machinery {
  readonly router: (asked: Asked) => Match | undefined
  readonly planner: Planner
  readonly services: ReadonlyMap<string, Service>
  readonly proxy: Proxy
}

/**
 * Brings a request to its answer.
 *
 * Source: Kong 3.9.3 `kong/init.lua` (Kong.access, execute_collecting_plugins_iterator), `kong/runloop/handler.lua` (access.before).
 *
 * @throws BodyFailure when the body cannot be had
 */
export async function handle(state: RequestState, machinery: Machinery): Promise<void> {
  state.plan = machinery.planner.global
  const refusal = refusalStatus(state)
  if (refusal !== undefined) {
    refuse(state, refusal)
    return
  }
  const path = normalizePath(pathOf(state.requestUri))
  const { headers, request, around } = state
  const host = headers.get('host')
  const match = machinery.router({ method: request.method ?? 'GET', path, host, headers, ...around })
  if (!match) {
    exitWith(state, 404, 'no Route matched with those values')
    return
  }
  enterRoute(state, match, path, host, machinery)
  if (around.scheme === 'http' && !match.route.protocols.includes('http')) {
    redirectToHttps(state, match.route)
    return
  }

  await runAccess(state, match.route, machinery.planner)
  if (state.answer) {
    sendAnswer(state, state.answer)
    return
  }
  if (!state.service) {
    exitWith(state, 503, 'no Service found with those values')
    return
  }
  if (!state.response.destroyed) await machinery.proxy.send(state, state.service)
}

/** Runs the plugins until one answers; those after it are collected all the same, for the phases to come. */
async function runAccess(state: RequestState, route: Route, planner: Planner): Promise<void> {
  const plan = new GrowingPlan()
  state.plan = plan
  for (const { plugin, useFor } of planner.candidatesFor(route)) {
    const use = useFor(state.consumer?.['id'] as string | undefined)
    if (!use) continue
    plan.add({ plugin, use })
    if (state.answer) continue
    try {
      const running = plugin.access?.(state, use)
      if (running) await running
    } catch (error) {
      if (error instanceof BodyFailure) throw error
      state.around.log(`[error] ${error instanceof Error ? error.message : String(error)}, request_id: "${state.id}"`)
      state.isUnexpected = true
      state.answer = errorAnswer(state, 500, 'An unexpected error occurred')
    }
  }
}

/** Answers what nginx itself refuses, and ends the connection. */
export function refuse(state: RequestState, status: number): void {
  state.isUnexpected = true
  state.response.shouldKeepAlive = false
  sendAnswer(state, faultAnswer(state, status))
}

/**
 * The log phase, once the answer is out or the client gone.
 *
 * Source: Kong 3.9.3 `kong/init.lua` (Kong.log). nginx calls a request 499 whose client went away before the answer began.
 */
export function finish(state: RequestState): void {
  state.endedAtMs = Date.now()
  state.bytesSent = state.request.socket.bytesWritten - state.bytesWrittenBefore
  if (state.status === 0) leftBeforeAnswer(state)
  for (const { plugin, use } of state.plan.log) {
    try {
      plugin.log?.(state, use)
    } catch (error) {
      state.around.log(`[error] ${String(error)}, request_id: "${state.id}"`)
    }
  }
  if (state.body !== undefined) void discardBody(state)
}

/** To nginx a server that was asked and has not answered has the status `-`; Kong counts how long it was waited for. */
function leftBeforeAnswer(state: RequestState): void {
  state.status = 499
  if (state.balancerEndedAtMs === 0) return
  state.upstreamStatus += state.upstreamStatus ? ', -' : '-'
  state.waitingMs ??= state.endedAtMs - state.balancerEndedAtMs
}

/** A plugin of the plugin server, with the phases it has. */
export function externalPlugin(info: PluginInfo, server: PluginServer, pending: Set<Promise<void>>): Plugin {
  const { name, priority, phases } = info
  const log = (state: RequestState, use: PluginUse): void => {
    const running = server
      .handleEvent(state, use, 'log')
      .catch((error: unknown) => state.around.log(`[error] ${String(error)}, request_id: "${state.id}"`))
      .finally(() => pending.delete(running))
    pending.add(running)
  }
  return {
    name,
    priority,
    ...(phases.includes('access')
      ? { access: (state: RequestState, use: PluginUse) => server.handleEvent(state, use, 'access') }
      : {}),
    ...(phases.includes('log') ? { log } : {}),
  }
}

function enterRoute(
  state: RequestState,
  match: Match,
  path: string,
  host: string | undefined,
  machinery: Machinery,
): void {
  const { route, matchedPath } = match
  const service = route.service && machinery.services.get(route.service.id)
  const prefix = route.strip_path ? matchedPath : undefined
  state.route = route
  state.service = service
  state.balancerHost = service?.host ?? ''
  state.upstreamUri = escapePath(
    upstreamPath(service?.path ?? '/', path, route.strip_path ? (prefix ?? '/') : undefined),
  )
  state.upstreamHost = route.preserve_host ? (host ?? '') : ''
  const connection = state.headers.get('connection')
  state.hopByHop = connection === undefined || /^(keep-alive|close|upgrade)$/.test(connection) ? [] : list(connection)
  state.forwarding = forwarding(state, prefix)
}

/** Header lines that nginx writes over whatever came (`kong/templates/nginx_kong.lua`). */
function forwarding(state: RequestState, prefix: string | undefined): string[] {
  const { headers, clientIp } = state
  const forwardedFor = headers.get('x-forwarded-for')
  const via = headers.get('via')
  const own = `${state.request.httpVersion} ${serverTokens}`
  return [
    ...(list(headers.get('te') ?? '').includes('trailers') ? ['TE', 'trailers'] : []),
    ...['Via', via === undefined ? own : `${via}, ${own}`],
    ...['X-Forwarded-For', forwardedFor === undefined ? clientIp : `${forwardedFor}, ${clientIp}`],
    ...[
      'X-Forwarded-Proto',
      state.around.scheme,
      'X-Forwarded-Host',
      state.hostName,
      'X-Forwarded-Port',
      String(state.around.serverPort),
    ],
    ...['X-Forwarded-Path', pathOf(state.requestUri)],
    ...(prefix !== undefined && prefix !== '/' ? ['X-Forwarded-Prefix', prefix] : []),
    ...['X-Real-IP', clientIp, 'X-Kong-Request-Id', state.id],
  ]
}

function list(header: string): string[] {
  return header
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
}

function redirectToHttps(state: RequestState, route: Route): void {
  if (route.https_redirect_status_code === 426) {
    const answer = errorAnswer(state, 426, 'Please use HTTPS protocol')
    answer.headers.raw.push('Upgrade', 'TLS/1.2, HTTP/1.1')
    sendAnswer(state, answer)
    return
  }
  const answer = errorAnswer(state, route.https_redirect_status_code)
  answer.headers.raw.push('Location', `https://${state.hostName}${state.requestUri}`)
  sendAnswer(state, answer)
}

function exitWith(state: RequestState, status: number, message: string): void {
  state.isExited = true
  sendAnswer(state, errorAnswer(state, status, message))
}
