/** `kmcp revoke`: takes access back before tokens run out, on all nodes that share a Redis. */
import { userInfo } from 'node:os'
import { parseArgs } from 'node:util'
import { newId, systemClock } from '../adapters/clock.ts'
import {
  addRevocation,
  listRevocations,
  readListState,
  removeRevocation,
  resetRevocations,
} from '../adapters/redis/revocation-store.ts'
import { RedisAway, RedisClients, type SharedRedis } from '../adapters/redis/shared-redis.ts'
import { readRevocation, type Revocation } from '../lib/identity/revocation.ts'
import { type Command, UsageError } from './command.ts'

// A person waits, and nothing else does: Redis gets longer than on the way of a call.
const patienceMs = 3_000
const betweenTriesMs = 200

const options = {
  subject: { type: 'string' },
  client: { type: 'string' },
  'token-id': { type: 'string' },
  'issued-before': { type: 'string' },
  issuer: { type: 'string' },
  until: { type: 'string' },
  reason: { type: 'string' },
  list: { type: 'boolean' },
  json: { type: 'boolean' },
  undo: { type: 'string' },
  reset: { type: 'boolean' },
  redis: { type: 'string' },
  prefix: { type: 'string' },
  cluster: { type: 'boolean' },
} as const

type Values = ReturnType<typeof parseArgs<{ options: typeof options }>>['values']

export const revoke: Command = {
  usage: 'revoke --subject|--client|--token-id|--issued-before VALUE, --list, --undo ID, --reset',
  does: 'refuse tokens from now on, on all nodes; see and undo that',
  async run(args) {
    const { values } = parseArgs({ args: [...args], options })
    const act = readAct(values, systemClock.nowMs())
    const clients = new RedisClients(systemClock, () => undefined)
    try {
      const redis = clients.get({
        url: values.redis ?? process.env.KMCP_REDIS_URL ?? noUrl(),
        cluster: values.cluster ?? false,
        key_prefix: values.prefix ?? 'kmcp',
      })
      return await perform(act, redis)
    } catch (error) {
      if (!(error instanceof RedisAway)) throw error
      console.error(
        `kmcp: ${error.message}\n  nothing is certain to have changed: check the address in --redis or KMCP_REDIS_URL, then do it again`,
      )
      return 1
    } finally {
      clients.close()
    }
  },
}

function noUrl(): never {
  throw new UsageError('say which Redis the nodes share: --redis redis://host:port, or KMCP_REDIS_URL')
}

type Act =
  | { readonly do: 'add'; readonly revocation: Revocation }
  | { readonly do: 'list'; readonly asJson: boolean }
  | { readonly do: 'undo'; readonly id: string }
  | { readonly do: 'reset' }

/** @throws UsageError */
function readAct(values: Values, nowMs: number): Act {
  const narrowing = [values.subject, values.client, values['token-id'], values['issued-before']]
  const about = [...narrowing, values.issuer, values.until, values.reason].some((value) => value !== undefined)
  const wanted = [narrowing.some((value) => value !== undefined), values.list, values.undo !== undefined, values.reset]
  if (wanted.filter((one) => one === true).length !== 1) {
    throw new UsageError('say one thing: whom to revoke, --list, --undo ID or --reset')
  }
  if (values.json === true && values.list !== true) throw new UsageError('--json goes with --list')
  if (narrowing.every((value) => value === undefined) && about) {
    throw new UsageError('--issuer, --until and --reason go with what is to be revoked')
  }
  if (values.list === true) return { do: 'list', asJson: values.json === true }
  if (values.undo !== undefined) return { do: 'undo', id: values.undo }
  if (values.reset === true) return { do: 'reset' }
  return { do: 'add', revocation: readEntry(values, nowMs) }
}

function readEntry(values: Values, nowMs: number): Revocation {
  const { subject, client, issuer, until, reason } = values
  const tokenId = values['token-id']
  const before = values['issued-before']
  if ([subject, client, tokenId].filter((value) => value !== undefined).length > 1) {
    throw new UsageError('one revocation hits a subject, a client or a token: write one for each')
  }
  if (tokenId !== undefined && before !== undefined) {
    throw new UsageError('--token-id names one token, whenever it was issued: leave out --issued-before')
  }
  // A token says its second only: what was issued in the one that has begun is older than its end.
  const issuedBeforeS = before === undefined ? undefined : Math.ceil(readTime('--issued-before', before, nowMs) / 1000)
  if (issuedBeforeS !== undefined && issuedBeforeS > Math.ceil(nowMs / 1000)) {
    throw new UsageError(
      '--issued-before is in the future: it would refuse tokens that people are yet to get; write `now`',
    )
  }
  const untilMs = until === undefined ? undefined : readTime('--until', until, nowMs)
  if (untilMs !== undefined && untilMs <= nowMs) {
    throw new UsageError('--until is over already: write a time to come, or leave it out')
  }
  const value = subject ?? client ?? tokenId
  const revocation: Revocation = {
    id: newId(),
    kind:
      subject !== undefined
        ? 'subject'
        : client !== undefined
          ? 'client'
          : tokenId !== undefined
            ? 'token'
            : 'issued_before',
    ...(issuer === undefined ? {} : { issuer }),
    ...(value === undefined ? {} : { value }),
    ...(issuedBeforeS === undefined ? {} : { issuedBeforeS }),
    ...(untilMs === undefined ? {} : { untilS: Math.ceil(untilMs / 1000) }),
    ...(reason === undefined ? {} : { reason }),
    by: userInfo().username,
    atS: Math.floor(nowMs / 1000),
  }
  const read = readRevocation(JSON.stringify(revocation))
  if (!read.ok) throw new UsageError(`the revocation ${read.fault}: give it text of 1 to 2048 characters`)
  return revocation
}

/** @returns milliseconds since the epoch */
function readTime(option: string, text: string, nowMs: number): number {
  if (text === 'now') return nowMs
  const parts = /^(\d{4}-\d\d-(\d\d))T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.exec(text)
  const time = Date.parse(text)
  // The 30th of February is read as a day in March.
  const day = new Date(`${parts?.[1] ?? ''}T00:00:00Z`).getUTCDate()
  if (!parts || Number.isNaN(time) || time < 0 || day !== Number(parts[2])) {
    throw new UsageError(`${option} must be \`now\` or a time with its zone, such as 2026-11-25T08:00:00Z`)
  }
  return time
}

async function perform(act: Act, redis: SharedRedis): Promise<number> {
  switch (act.do) {
    case 'add': {
      const before = await patiently(() => readListState(redis))
      await patiently(() => addRevocation(redis, act.revocation))
      console.log(`revoked: ${inWords(act.revocation)}\nid: ${act.revocation.id}`)
      console.log('in force on every node that reaches this Redis within 2 seconds')
      if (before.version === undefined || before.version.count !== before.count) {
        console.error(
          'note: this Redis held no whole list before. If there was one, it was lost: nodes that know it keep it, and do not trust this ' +
            'one, until you have written again what was lost and run `kmcp revoke --reset`',
        )
      }
      return 0
    }
    case 'list': {
      const { revocations, faults } = await patiently(() => listRevocations(redis))
      const sorted = [...revocations].sort((a, b) => a.atS - b.atS)
      if (act.asJson) console.log(JSON.stringify(sorted, null, 2))
      else for (const entry of sorted) console.log(inLine(entry, systemClock.nowMs()))
      for (const fault of faults) console.error(`FAULT: ${fault}: no node loads the list until it is undone`)
      if (!act.asJson) console.log(`${sorted.length} revocations`)
      return faults.length === 0 ? 0 : 2
    }
    case 'undo': {
      // Tried again after its answer got lost, it finds nothing to undo: that is a success as well.
      let tries = 0
      const isGone = await patiently(() => (tries++, removeRevocation(redis, act.id)))
      if (!isGone && tries === 1) {
        throw new Error(`there is no revocation with the id \`${act.id}\`: see \`kmcp revoke --list\``)
      }
      console.log(`undone: ${act.id}\nin force on every node that reaches this Redis within 2 seconds`)
      return 0
    }
    case 'reset': {
      await patiently(() => resetRevocations(redis))
      const { count } = await patiently(() => readListState(redis))
      console.log(`what this Redis holds is the whole list: ${count} revocations; nodes let go of any others they kept`)
      return 0
    }
  }
}

/** Tries for three seconds. What it does may be done twice, so it must be such that this changes nothing. */
async function patiently<T>(action: () => Promise<T>): Promise<T> {
  const deadline = systemClock.monoMs() + patienceMs
  for (;;) {
    try {
      return await action()
    } catch (error) {
      if (!(error instanceof RedisAway) || systemClock.monoMs() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, betweenTriesMs))
    }
  }
}

/** What an entry hits. Names come from outside and go to a terminal: quoted, with nothing in them that moves its cursor. */
function inWords({ kind, issuer, value, issuedBeforeS, untilS }: Revocation): string {
  const name = quoted(value ?? '')
  const what = {
    subject: `every token of the subject ${name}, or with it among its actors`,
    client: `every token of the client ${name}, or with it among its actors`,
    token: `the token with the id ${name}`,
    issued_before: 'every token',
  }[kind]
  return [
    what,
    issuer === undefined ? 'from any issuer' : `from ${quoted(issuer)}`,
    ...(issuedBeforeS === undefined ? [] : [`issued before ${inTime(issuedBeforeS)} or without a time of issue`]),
    ...(untilS === undefined ? ['for good'] : [`until ${inTime(untilS)}`]),
  ].join(', ')
}

function inLine(entry: Revocation, nowMs: number): string {
  const isOver = entry.untilS !== undefined && entry.untilS * 1000 <= nowMs
  const by = entry.by === undefined ? '' : ` by ${quoted(entry.by)}`
  const reason = entry.reason === undefined ? '' : `: ${quoted(entry.reason)}`
  return `${entry.id}  ${inTime(entry.atS)}${by}  ${isOver ? '(over) ' : ''}${inWords(entry)}${reason}`
}

const inTime = (seconds: number): string => {
  const time = new Date(seconds * 1000)
  return Number.isNaN(time.getTime()) ? `second ${seconds}` : time.toISOString().replace('.000', '')
}

// The escapes of JSON, and those controls that it leaves as they are.
const quoted = (text: string): string =>
  JSON.stringify(text).replace(
    /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
