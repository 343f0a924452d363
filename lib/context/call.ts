/** Everything the suite knows about one call on its way through the stages. Lives in the plugin server's memory. */
import type { Challenge } from '../identity/challenge.ts'
import type { Principal } from '../identity/principal.ts'
import type { Message } from '../mcp/message.ts'
import type { Target } from '../mcp/methods.ts'
import type { Circumstances, Grants, Verdict } from '../policy/decide.ts'
import type { DefinitionReport } from '../policy/pins.ts'
import type { Refusal } from './refusal.ts'

/** The stages in the order a call passes them. */
export const stageNames = ['oauth', 'jsonrpc', 'rbac', 'audit', 'tools-filter', 'upstream'] as const
export type StageName = (typeof stageNames)[number]

/** A request header as Kong hands it over: lower-case name; a list where the header came more than once. */
export type Headers = Readonly<Record<string, string | readonly string[]>>

/** @property path as the client wrote it, without the query */
export interface HttpRequest {
  readonly verb: string
  readonly path: string
  readonly query: string
  readonly headers: Headers
}

/**
 * A decision on record: what was decided, by which rule of which policy.
 *
 * @property id           unguessable, names this decision in the record, the denial and the upstream's token
 * @property policyDigest the policy's version
 * @property external     what a decision point outside said to it, the first no where several were asked
 * @property shadow       what a policy that decides nothing would have said
 */
export interface Decision {
  readonly id: string
  readonly verdict: Verdict
  readonly grants: Grants
  readonly policyDigest: string
  readonly external?: External
  readonly shadow?: { readonly verdict: Verdict; readonly policyDigest: string }
}

/**
 * What became of a list.
 *
 * @property reasons     why entries were withheld, and how many for each
 * @property definitions of a list of tools where they are pinned: those that are not approved, and what is odd in any
 */
export interface Listed {
  readonly kept: readonly string[]
  readonly withheld: readonly string[]
  readonly reasons?: Readonly<Record<string, number>>
  readonly definitions?: DefinitionReport
}

/** What a decision point outside said. @property because it could not say, which counts as a no */
export interface External {
  readonly allow: boolean
  readonly reason?: string
  readonly decisionId?: string
  readonly because?: string
}

/** Proof that the call is on record. @property seq the record's number in its log */
export interface Admission {
  readonly seq: number
}

/**
 * One call. Each stage fills in its own part and no other's; `mayOpen` reads them all.
 *
 * @property id          unguessable; what `kong.ctx.shared` carries
 * @property startedMs   wall clock, milliseconds since the Unix epoch
 * @property startedMono monotonic clock, milliseconds
 * @property stages      the stages that have run, in order
 * @property route       the one it came in on, as `routeOf` names it
 * @property circumstances what decisions need to know of the moment
 * @property directory   what a directory was asked for, and how old its answer is
 * @property askOutside  the decision point's word on entries of a list, where there is one
 * @property keysAreStale the caller's token was verified with keys of a provider that is away
 * @property provenBy    what the caller has proven to hold beside the token
 * @property challenge   how a client gets a token for this route: what a refusal for lack of scope says
 * @property hasFreeSessions sessions of this route are anybody's, as an administrator wants it
 * @property sentDigest  digest of the body as it was sent on, where that is not what the client sent
 * @property switchedOff what neither side may offer the other
 * @property isFromKong  Kong's own plugin authenticated the caller, with credentials the inner request needs again
 * @property asked       of a call that is answered by an exchange: Kong's log of the inner request, once it is there
 * @property tellOuter   takes that log, of the inner request
 * @property isAnswered  the suite gave the client its answer itself, and it was no refusal
 * @property exchangeOf  the outer call's id where this is the suite's own inner request for a list
 * @property exchangeBody digest of the one body that inner request may have
 */
export interface Call {
  readonly id: string
  readonly startedMs: number
  readonly startedMono: number
  readonly request: HttpRequest
  readonly stages: StageName[]
  route?: string
  exchangeOf?: string
  asked?: Promise<unknown>
  tellOuter?: (serialized: unknown) => void
  isAnswered?: boolean
  exchangeBody?: string
  principal?: Principal
  circumstances?: Circumstances
  directory?: { readonly ageS: number; readonly isActive?: boolean } | { readonly because: string }
  askOutside?: (
    asked: readonly { readonly target: Target; readonly verdict: Verdict }[],
  ) => Promise<readonly External[]>
  keysAreStale?: boolean
  provenBy?: 'dpop' | 'certificate'
  challenge?: Pick<Challenge, 'scheme' | 'metadataUrl' | 'scopes' | 'algorithms'>
  isFromKong?: boolean
  hasFreeSessions?: boolean
  switchedOff?: ReadonlySet<string>
  sentDigest?: string
  message?: Message
  target?: Target
  bodyDigest?: string
  bodyBytes?: number
  decision?: Decision
  admission?: Admission
  clientCredentialsRemoved?: boolean
  clientIp?: string
  refusal?: Refusal
  listed?: Listed
}
