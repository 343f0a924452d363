/**
 * What the audit trail costs: alone (`npx node spec/perf/audit.ts`) or as part of `npm run bench`. Writing, in records a
 * second; what a call waits for its admission; and how long, and in how much memory, a million records are verified.
 *
 *   --records N   how many are written and verified, default 1,000,000: about 900 MB in the folder for temporary files
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Trail, type TrailSettings } from '../../adapters/audit-sink/trail.ts'
import { newId, systemClock } from '../../adapters/clock.ts'
import { type AuditEvent, admissionEvent, outcomeEvent, type RecordRules } from '../../lib/audit/record.ts'
import type { Call } from '../../lib/context/call.ts'
import type { JsonObject } from '../../lib/mcp/message.ts'
import { decide, grantsOf } from '../../lib/policy/decide.ts'
import { compilePolicy } from '../../lib/policy/policy.ts'
import { principalOf } from '../support/principal-of.ts'

const rules: RecordRules = { name: 'jira', redaction: { clear: ['key', 'project'] } }
const serialized = {
  response: { status: 200, size: 812 },
  latencies: { request: 14, kong: 6, proxy: 8 },
  request: { id: 'b773d9291bd441fc8c5ab4df8f14f4c3', size: 991 },
  client_ip: '127.0.0.1',
  upstream_status: '200',
}

/** A call as a client makes one, allowed. */
function makeCall(): Call {
  const id = newId()
  const target = { kind: 'tool', name: 'get_issue' } as const
  const params: JsonObject = {
    name: 'get_issue',
    arguments: { key: 'OPS-1', project: 'OPS', comment: 'please have a look' },
  }
  const grants = grantsOf(principal, policy)
  const verdict = decide(grants, target, { areRevocationsStale: false })
  return {
    id,
    startedMs: 0,
    startedMono: 0,
    stages: [],
    request: { verb: 'POST', path: '/mcp/jira', query: '', headers: { 'mcp-session-id': id } },
    clientIp: '127.0.0.1',
    principal,
    message: { kind: 'request', era: 'legacy', method: 'tools/call', idRaw: '7', params, revision: '2025-11-25' },
    target,
    bodyDigest: 'c'.repeat(64),
    bodyBytes: 180,
    decision: { id: newId(), verdict, grants, policyDigest: policy.digest },
    admission: { seq: 1 },
  }
}
const principal = principalOf({ groups: ['developers'] })
const policy = compilePolicy({
  permissions: { 'jira:read': { tools: ['get_*'] } },
  roles: { developer: ['jira:read'] },
  bindings: [{ claim: 'groups', value: 'developers', role: 'developer' }],
})

type Make = (saltKey: Buffer) => AuditEvent
const admissionOf =
  (call: Call): Make =>
  (saltKey) =>
    admissionEvent(call, rules, saltKey)
const outcomeOf =
  (call: Call): Make =>
  (saltKey) =>
    outcomeEvent(call, rules, saltKey, serialized)

const openTrail = (directory: string, settings: Partial<TrailSettings> = {}): Trail =>
  new Trail(directory, { node: 'bench', ...settings }, systemClock, (level, message) => {
    if (level !== 'info') console.log(`  ${level}: ${message}`)
  })

/** Prints what it measures. */
export async function benchAudit(records = 1_000_000): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kmcp-bench-audit-'))
  try {
    console.log('audit')
    for (const durability of ['os', 'disk'] as const) {
      for (const callers of [1, 32]) await benchAdmission(join(folder, `${durability}-${callers}`), durability, callers)
    }
    const directory = join(folder, 'trail')
    await benchWriting(directory, records)
    await benchVerify(directory, records)
    console.log('')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What a call waits for, in milliseconds: each caller admits, completes, and admits the next. */
async function benchAdmission(directory: string, durability: 'os' | 'disk', callers: number): Promise<void> {
  const trail = openTrail(directory, { durability })
  await trail.append({ type: 'heartbeat' })
  const waits: number[] = []
  const until = performance.now() + measuredMs
  const caller = async (): Promise<void> => {
    while (performance.now() < until) {
      const call = makeCall()
      const begun = performance.now()
      await trail.append(admissionOf(call), true)
      waits.push(performance.now() - begun)
      await trail.append(outcomeOf(call))
      // What else a plugin server does meanwhile: others have their turn.
      await new Promise(setImmediate)
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  await trail.close()
  waits.sort((one, other) => one - other)
  const at = (part: number): string => (waits[Math.floor(waits.length * part)] ?? Number.NaN).toFixed(3).padStart(8)
  console.log(
    `  admission, ${durability.padEnd(4)} ${String(callers).padStart(2)} callers   p50 ${at(0.5)} ms   p99 ${at(0.99)} ms   ${((waits.length / measuredMs) * 1000).toFixed(0).padStart(6)} calls/s`,
  )
}
const measuredMs = 3_000

/** Admissions and outcomes as fast as they can be made, the event loop let go once a hundred. */
async function benchWriting(directory: string, records: number): Promise<void> {
  const trail = openTrail(directory)
  await trail.append({ type: 'heartbeat' })
  const cpu = process.cpuUsage()
  const begun = performance.now()
  for (let at = 0; at < records / 2; at++) {
    const call = makeCall()
    await trail.append(admissionOf(call), true)
    await trail.append(outcomeOf(call))
    if (at % 50 === 0) await new Promise(setImmediate)
  }
  const seconds = (performance.now() - begun) / 1000
  const { user, system } = process.cpuUsage(cpu)
  await trail.close()
  console.log(
    `  writing ${records} records, os   ${(records / seconds).toFixed(0)} records/s   ${((user + system) / records).toFixed(1)} µs of CPU a record   ${seconds.toFixed(1)} s`,
  )
}

/** `kmcp audit verify` as people run it. */
async function benchVerify(directory: string, records: number): Promise<void> {
  const main = join(import.meta.dirname, '..', '..', 'cli', 'main.ts')
  const begun = performance.now()
  const child = spawn(
    process.execPath,
    [main, 'audit', 'verify', '--dir', directory, '--key', join(directory, 'node.vkey')],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  let peak = 0
  let cpuTicks = 0
  const polling = setInterval(() => {
    void readFile(`/proc/${child.pid ?? 0}/status`, 'utf8')
      .then((status) => (peak = Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? peak)))
      .catch(() => undefined)
    void readFile(`/proc/${child.pid ?? 0}/stat`, 'utf8')
      .then((stat) => {
        const [, , , , , , , , , , , user = 0, system = 0] = stat.slice(stat.lastIndexOf(')')).split(' ').map(Number)
        cpuTicks = user + system
      })
      .catch(() => undefined)
  }, 50)
  const [code] = (await once(child, 'exit')) as [number]
  clearInterval(polling)
  const seconds = (performance.now() - begun) / 1000
  console.log(
    `  verifying them   ${seconds.toFixed(1)} s   ${(records / seconds).toFixed(0)} records/s   ${(cpuTicks / 100).toFixed(1)} s of CPU   ${(peak / 1024).toFixed(0)} MiB at most   ${code === 0 ? 'good' : `EXIT ${code}`}`,
  )
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { records: { type: 'string', default: '1000000' } } })
  await benchAudit(Number(values.records))
}
