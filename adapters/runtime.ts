/** What all plugins of one plugin server share: one process is one Kong node (architecture.md, rule 6). */
import { pinsEvent } from '../lib/audit/record.ts'
import type { CompileCondition } from '../lib/policy/condition.ts'
import { Calls } from './calls.ts'
import { compileCondition } from './cel/compile-condition.ts'
import { type Clock, systemClock } from './clock.ts'
import { Consumers } from './kong/consumers.ts'
import { ServiceDoors } from './kong/service-door.ts'
import { Issuers } from './jwks/issuers.ts'
import { Passes } from './loopback/passes.ts'
import { operationalLog } from './operational-log.ts'
import { Recorders } from './audit-sink/recorders.ts'
import { Directories } from './directory/directory.ts'
import { OpaClients } from './opa/opa-client.ts'
import { PinnedRoutes } from './policy/pin-files.ts'
import { PolicyFiles } from './policy/policy-files.ts'
import { SharedStates } from './shared-state.ts'
import { SigningKeys } from './token/signing-keys.ts'

export interface Runtime {
  readonly clock: Clock
  readonly calls: Calls
  readonly passes: Passes
  readonly doors: ServiceDoors
  readonly issuers: Issuers
  readonly recorders: Recorders
  readonly signingKeys: SigningKeys
  readonly shared: SharedStates
  readonly consumers: Consumers
  readonly policyFiles: PolicyFiles
  readonly pins: PinnedRoutes
  readonly directories: Directories
  readonly opa: OpaClients
  readonly compileCondition: CompileCondition
  readonly log: (level: 'info' | 'warn' | 'error', message: string) => void
}

/** A runtime of its own; specs make one each. */
export function createRuntime(clock: Clock = systemClock): Runtime {
  const logger = operationalLog('mcp')
  const log: Runtime['log'] = (level, message) => logger[level](message)
  const recorders = new Recorders(clock, log)
  const issuers = new Issuers(clock, log)
  issuers.onKeys = (issuer, keys) =>
    recorders.noteAll({ type: 'issuer_keys', issuer, keys: keys.map(({ id, digest }) => ({ id: id ?? null, digest })) })
  const pins = new PinnedRoutes(clock, log)
  pins.onNews = (route, news) =>
    recorders.note(
      route,
      'pins' in news
        ? pinsEvent(news.source, news.pins, news.before)
        : { type: 'policy', event: 'refused', use: 'pins', source: news.source, because: news.because },
    )
  return {
    clock,
    calls: new Calls(clock),
    passes: new Passes(clock),
    doors: new ServiceDoors(clock),
    issuers,
    recorders,
    signingKeys: new SigningKeys(),
    shared: new SharedStates(clock, log),
    consumers: new Consumers(clock),
    policyFiles: new PolicyFiles(clock, log),
    pins,
    directories: new Directories(clock, log),
    opa: new OpaClients(clock),
    compileCondition,
    log,
  }
}

let shared: Runtime | undefined

/** The process's runtime, made on first use. */
export const runtime = (): Runtime => (shared ??= createRuntime())
