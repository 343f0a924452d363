/** From stages to a Kong plugin: what all seven plugins have in common. */
import { type SchemaFields, shownSettings, withoutAccess } from '../../lib/audit/configuration.ts'
import { type Answer, errorAnswer } from '../../lib/context/answer.ts'
import { type Call, type StageName, stageNames } from '../../lib/context/call.ts'
import { type Refusal, toWire } from '../../lib/context/refusal.ts'
import type { Stage, StageEnd } from '../../lib/context/stage.ts'
import type { JsonObject } from '../../lib/mcp/message.ts'
import { readRequest } from '../../lib/mcp/read-request.ts'
import { type Runtime, runtime as sharedRuntime } from '../runtime.ts'
import { type Begun, beginCall, callKey, resumeCall, stoppedBefore } from './call-context.ts'
import { type Config, routeOf, withoutNulls } from './config.ts'
import type { Kong, PluginModule } from './pdk.ts'
import { readLog } from './read-log.ts'
import { KongPort } from './port.ts'

/**
 * A stage before it has a configuration.
 *
 * @property prepare makes the stage; throws an Error for a configuration that cannot work, and says what to change.
 *                   `route` names the route it is run for (`routeOf`)
 */
export interface StageDefinition<C> {
  readonly name: StageName
  prepare(config: C, runtime: Runtime, route: string): Stage
}

/**
 * @property stages  the stages of this plugin's access phase, in order
 * @property log     completes a call's record in the log phase
 * @property instead answers every request of a route in place of the stages, where the configuration says so
 * @property toldApart fields that are on record in another way than as a part of the configuration
 */
export interface PluginDefinition<C> {
  readonly name: string
  readonly priority: number
  readonly schema: SchemaFields
  readonly stages: readonly StageDefinition<C>[]
  readonly log?: (config: C, runtime: Runtime, route: string) => Complete
  readonly instead?: (config: C, runtime: Runtime) => (() => Promise<Answer>) | undefined
  readonly toldApart?: readonly string[]
}

type Complete = (call: Call, serialized: unknown) => void | Promise<void>

export const version = '0.1.0'

/**
 * Makes a Kong plugin module of stages.
 *
 * Whatever goes wrong in a stage ends in an answer, never in a pass: a configuration that cannot be prepared answers 503
 * on every request, and so does a stage that throws or runs out of order.
 */
export function definePlugin<C>(definition: PluginDefinition<C>): PluginModule {
  class Plugin {
    readonly #config: C & Config
    readonly #runtime: Runtime
    /** By the route it is run for: on a service, or on all, a plugin is run for several. */
    readonly #prepared = new Map<string, Prepared>()
    readonly #completers = new Map<string, Complete>()
    #instead: (() => Promise<Answer>) | undefined

    constructor(rawConfig: Record<string, unknown>) {
      this.#runtime = sharedRuntime()
      this.#config = withoutNulls(rawConfig) as C & Config
    }

    async access(kong: Kong): Promise<void> {
      this.#instead ??= definition.instead?.(this.#config, this.#runtime)
      if (this.#instead) return exit(kong, await this.#instead())
      const isFirst = definition.stages[0]?.name === stageNames[0]
      const begun = await (isFirst ? beginCall : resumeCall)(kong, this.#runtime)
      const route = await routeOf(kong, this.#config, begun.call)
      const prepared = this.#prepared.get(route) ?? this.#prepare(route)
      this.#prepared.set(route, prepared)
      await runStages(kong, definition, begun, prepared)
    }

    async log(kong: Kong): Promise<void> {
      const id = await kong.ctx.shared.get(callKey)
      const call = typeof id === 'string' ? this.#runtime.calls.take(id) : undefined
      // One that a plugin server before this one began: that log has it, if it was admitted.
      if (typeof id === 'string' && !call) return
      const serialized = await readLog(kong, call)
      const ended = call ?? stoppedBefore(serialized, this.#runtime)
      if (!ended) return
      const route = await routeOf(kong, this.#config, ended)
      const complete = this.#completers.get(route) ?? this.#prepareLog(route)
      this.#completers.set(route, complete)
      await complete(ended, serialized)
    }

    /**
     * With the first request, not with the instance: a configuration that has been replaced comes once more, for the log of
     * a call that began under it, and what it says (a policy, say) has not come into force again.
     */
    #prepare(route: string): Prepared {
      const [config, runtime] = [this.#config, this.#runtime]
      const told = { type: 'configuration', plugin: definition.name } as const
      try {
        const stages = definition.stages.map((stage) => stage.prepare(config, runtime, route))
        const settings = shownSettings(definition.schema, config as JsonObject, new Set(definition.toldApart))
        runtime.recorders.note(route, { ...told, event: 'in_force', settings })
        return { stages, fault: undefined, runtime, route }
      } catch (error) {
        const fault = this.#refused(error, route)
        runtime.recorders.note(route, { ...told, event: 'refused', because: fault })
        return { stages: [], fault, runtime, route }
      }
    }

    #prepareLog(route: string): Complete {
      try {
        return definition.log?.(this.#config, this.#runtime, route) ?? (() => undefined)
      } catch (error) {
        this.#refused(error, route)
        return () => undefined
      }
    }

    #refused(error: unknown, route: string): string {
      const fault = withoutAccess(error instanceof Error ? error.message : String(error))
      this.#runtime.log('error', `${definition.name} on ${route}: configuration refused: ${fault}`)
      return fault
    }
  }
  // Kong asks a plugin for its phases by the methods its class has, and each phase is a round trip.
  if (!definition.log) Reflect.deleteProperty(Plugin.prototype, 'log')
  return { Plugin, Name: definition.name, Version: version, Priority: definition.priority, Schema: definition.schema }
}

/** @property fault why the configuration cannot work; then there are no stages, and every request is refused */
interface Prepared {
  readonly stages: readonly Stage[]
  readonly fault: string | undefined
  readonly runtime: Runtime
  readonly route: string
}

async function runStages<C>(
  kong: Kong,
  definition: PluginDefinition<C>,
  begun: Begun,
  { stages, fault, runtime, route }: Prepared,
): Promise<void> {
  const port = new KongPort(kong, definition.stages.length === stageNames.length)
  const { call } = begun
  let end: StageEnd = begun.refuse ? { refuse: begun.refuse } : undefined
  if (fault !== undefined) end ??= { refuse: { why: 'config_refused', because: fault } }
  const open = await runtime.doors.fault(kong, route, call.request.path)
  if (open !== undefined) end ??= { refuse: open }
  for (const [index, stage] of stages.entries()) {
    if (end) break
    const name = definition.stages[index]?.name as StageName
    if (stageNames[call.stages.length] !== name) {
      end = { refuse: { why: 'stage_out_of_order', stage: name, ran: [...call.stages] } }
      break
    }
    try {
      end = await stage(call, port)
    } catch (error) {
      end = { refuse: refusalOf(error) }
    }
    call.stages.push(name)
  }
  if (!end) {
    await port.flush()
    return
  }
  await exit(kong, await settle(end, call, port, runtime, route))
}

/** A client that leaves while a stage still asks for its body is no defect of the stage's. */
function refusalOf(error: unknown): Refusal {
  if (!(error instanceof Error)) return { why: 'stage_failed', because: String(error) }
  return error.name === 'EventOver'
    ? { why: 'request_over' }
    : { why: 'stage_failed', because: error.stack ?? error.message }
}

const exit = (kong: Kong, answer: Answer): Promise<void> =>
  kong.response.exit(answer.status, answer.body, { ...answer.headers })

/**
 * The request's id as the client spelled it, so that clients can tell which request failed. Before the message has been
 * read (no token, say) a short body is looked at for it, and for nothing else.
 */
async function idOf(call: Call, refusal: Refusal, port: KongPort): Promise<string | undefined> {
  const { message, request } = call
  if (refusal.why === 'unreadable') return refusal.refusal.idRaw
  if (message) return message.kind === 'request' ? message.idRaw : undefined
  if (request.verb !== 'POST' || !(Number(request.headers['content-length']) <= maxBodyForId)) return undefined
  const read = readRequest({ verb: 'POST', headers: request.headers, body: await port.body() })
  if (!read.ok) return read.refusal.idRaw
  return read.message.kind === 'request' ? read.message.idRaw : undefined
}

const maxBodyForId = 16 * 1024

/** Turns a stage's end into the client's answer; a refusal is put on record before the client learns of it. */
async function settle(
  end: NonNullable<StageEnd>,
  call: Call,
  port: KongPort,
  runtime: Runtime,
  route: string,
): Promise<Answer> {
  const withHeaders = (answer: Answer): Answer => ({
    ...answer,
    headers: { ...port.responseHeaders, ...answer.headers },
  })
  if (!('refuse' in end)) {
    call.isAnswered = true
    return withHeaders(end.answer)
  }
  call.refusal = end.refuse
  if (toWire(end.refuse).httpStatus === 503) runtime.log('error', `${route}: closed: ${JSON.stringify(end.refuse)}`)
  // A client that has left is on record all the same.
  const clientIp = await port.clientIp().catch(() => undefined)
  if (clientIp !== undefined) call.clientIp = clientIp
  const isOnRecord = await runtime.recorders.recordRefusal(route, call)
  if (end.answer && isOnRecord) return withHeaders(end.answer)
  const refusal: Refusal = isOnRecord ? end.refuse : { why: 'not_on_record', because: 'the refusal' }
  const { httpStatus, headers, ...error } = toWire(refusal)
  return withHeaders(errorAnswer(httpStatus, error, await idOf(call, end.refuse, port), { ...headers, ...end.headers }))
}
