/** Evidence of a period: its counts are right, it says what is missing, and nobody can change it or hide in it. */
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { appendFile, cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { auditCheckEvidence } from '../../../cli/audit-check-evidence.ts'
import { auditEvidence } from '../../../cli/audit-evidence.ts'
import type { Command } from '../../../cli/command.ts'
import { manifestFile, noteFile, noteText } from '../../../cli/evidence/folder.ts'
import { criteria } from '../../../cli/evidence/section.ts'
import { maxKinds, others, Tally } from '../../../cli/evidence/tally.ts'
import type { Seen } from '../../../cli/evidence/seen.ts'
import type { AuditEvent } from '../../../lib/audit/record.ts'
import { checkProof } from '../../../lib/audit/proof.ts'
import { readVerifierKey, signNote, verifierKey } from '../../../lib/audit/signed-note.ts'
import { type AuditRecord, readAllRecords } from '../../support/audit-trail.ts'
import {
  admission,
  callId,
  daysOfTrail,
  denial,
  failedLogin,
  letThrough,
  monthOfCalls,
  outcome,
  people,
  policyDigest,
  SetClock,
} from '../../support/evidence-trail.ts'
import { linesOf, segmentsOf, trailFolder, trailIn, writeLines } from '../../support/trails.ts'
import { quoted, tableUnder } from '../docs/tables.ts'
import { kmcp } from './run-kmcp.ts'

const { alice, bob, carol } = people
const firstDay = '2026-10-01'
const period = ['--from', '2026-10-02', '--to', '2026-10-05']

let trail: string
let folder: string
let out: string
let said: string[]
beforeEach(async () => {
  trail = join(await trailFolder(), 'trail')
  folder = await trailFolder()
  out = join(folder, 'evidence')
  await mkdir(trail)
  said = []
  vi.spyOn(console, 'log').mockImplementation((line: unknown) => void said.push(String(line)))
})
afterEach(() => vi.restoreAllMocks())

const run = async (command: Command, args: readonly string[]): Promise<number> => {
  said = []
  return command.run(args)
}
const evidence = (...more: readonly string[]): Promise<number> =>
  run(auditEvidence, [
    ...period,
    '--dir',
    trail,
    '--key',
    join(trail, 'node.vkey'),
    '--seed',
    'spec',
    '--out',
    out,
    ...more,
  ])
const check = (...more: readonly string[]): Promise<number> => run(auditCheckEvidence, [out, ...more])
const read = (file: string): Promise<string> => readFile(join(out, file), 'utf8')
const manifest = async (): Promise<any> => JSON.parse(await read(manifestFile))

/** Rows of a CSV file (RFC 4180) by the names in its first. */
async function csv(file: string): Promise<Record<string, string>[]> {
  const rows = cellsOf(await read(file))
  const [names = [], ...rest] = rows
  return rest.map((row) => Object.fromEntries(names.map((name, at) => [name, row[at] ?? ''])))
}
function cellsOf(text: string): string[][] {
  const rows: string[][] = []
  for (let at = 0, row: string[] = []; at < text.length;) {
    const quoted = /"((?:[^"]|"")*)"/y
    const plain = /[^,\r\n]*/y
    const match = text[at] === '"' ? quoted : plain
    match.lastIndex = at
    const [whole = '', inner] = match.exec(text) ?? []
    row.push(inner === undefined ? whole : inner.replaceAll('""', '"'))
    at = match.lastIndex
    if (text[at] === ',') at++
    else {
      rows.push(row)
      row = []
      at = text.indexOf('\n', at) + 1
      if (at === 0) break
    }
  }
  return rows
}

const newKey = () => generateKeyPairSync('ed25519').privateKey
const keyFile = async (): Promise<string> => {
  const file = join(folder, `key-${Math.random()}.pem`)
  await writeFile(file, newKey().export({ format: 'pem', type: 'pkcs8' }))
  return file
}
const signedBy = (): string => said.find((line) => line.startsWith('signed by '))?.slice('signed by '.length) ?? ''
const exceptions = (): string[] => said.filter((line) => line.startsWith('EXCEPTION: '))

describe('what evidence counts', () => {
  let records: AuditRecord[]
  const within = ({ time }: AuditRecord): boolean =>
    String(time) >= '2026-10-02T00:00:00.000Z' && String(time) < '2026-10-06T00:00:00.000Z'
  const of = (type: string): AuditRecord[] => records.filter((record) => record.type === type && within(record))
  const sum = (rows: readonly Record<string, string>[], name: string): number =>
    rows.reduce((all, row) => all + Number(row[name]), 0)
  const grouped = (all: readonly AuditRecord[], keyOf: (record: any) => string): Record<string, number> => {
    const counts: Record<string, number> = {}
    for (const record of all) counts[keyOf(record)] = (counts[keyOf(record)] ?? 0) + 1
    return counts
  }
  const asCounts = (rows: readonly Record<string, string>[], key: readonly string[], name: string) =>
    Object.fromEntries(rows.map((row) => [key.map((one) => row[one]).join(' '), Number(row[name])]))

  beforeEach(async () => {
    await daysOfTrail(trail, firstDay, monthOfCalls(8))
    records = await readAllRecords(trail)
    expect(await evidence()).toBe(0)
  })

  it('is every record of the period and no other, by day, log and type', async () => {
    const rows = await csv('records-counts.csv')
    expect(records.filter(within).length).toBeGreaterThan(150)
    expect(asCounts(rows, ['day', 'type'], 'records')).toEqual(
      grouped(records.filter(within), ({ time, type }) => `${String(time).slice(0, 10)} ${type}`),
    )
    for (const row of rows) {
      const seqs = records
        .filter((one) => within(one) && one.type === row.type && String(one.time).startsWith(row.day!))
        .map(({ seq }) => seq)
      expect([row.first_seq, row.last_seq]).toEqual([String(Math.min(...seqs)), String(Math.max(...seqs))])
    }
    expect((await manifest()).counts).toMatchObject({
      records: records.filter(within).length,
      allowed: of('admission').length,
      stopped: ['denial', 'authentication_failure', 'refusal', 'limit'].flatMap(of).length,
      denied: of('denial').length,
      nodes: 1,
    })
  })

  it('is every denial, failed login, refusal, limit and high-risk call', async () => {
    const who = (record: any): string => record.person.name
    expect(asCounts(await csv('denials.csv'), ['name', 'what', 'reason'], 'denials')).toEqual(
      grouped(of('denial'), (record) => `${who(record)} ${record.tool} ${record.reason}`),
    )
    expect(asCounts(await csv('failed-logins.csv'), ['reason', 'client_ip'], 'failures')).toEqual(
      grouped(of('authentication_failure'), ({ reason, client_ip }) => `${reason} ${client_ip}`),
    )
    expect(asCounts(await csv('refusals.csv'), ['reason'], 'refusals')).toEqual(
      grouped(of('refusal'), ({ reason }) => reason),
    )
    expect(sum(await csv('limits.csv'), 'calls')).toBe(of('limit').length)
    const risky = of('admission').filter(({ decision }: any) => decision.high_risk === true)
    expect(risky.length).toBeGreaterThan(0)
    expect(sum(await csv('high-risk.csv'), 'calls')).toBe(risky.length)
    expect((await csv('high-risk-calls.csv')).map(({ call }) => call)).toEqual(risky.map(({ call }) => call))
  })

  it('is who used what in which role, and who is new', async () => {
    const name = (record: any): string => (record.person ?? record.workload).name
    expect(asCounts(await csv('access.csv'), ['name', 'what', 'permission', 'roles'], 'calls')).toEqual(
      grouped(
        of('admission'),
        (record) => `${name(record)} ${record.tool} ${record.decision.rule} ${record.decision.roles.join(', ')}`,
      ),
    )
    const known = new Set(records.filter((one) => one.time! < '2026-10-02' && (one.person ?? one.workload)).map(name))
    const rows = await csv('people.csv')
    expect(rows.map((row) => [row.name, row.status]).sort()).toEqual(
      [...new Set(['alice', 'bob', 'build-agent', 'carol', 'dave'])].map((one) => [
        one,
        known.has(one) ? 'seen before' : 'new',
      ]),
    )
    for (const row of rows) {
      const times = ['admission', 'denial', 'limit']
        .flatMap(of)
        .filter((record) => name(record) === row.name)
        .map(({ time }) => `${String(time).slice(0, 10)} ${String(time).slice(11, 19)}Z`)
        .sort()
      expect([row.first, row.last]).toEqual([times[0], times.at(-1)])
    }
    const dave = (await csv('roles.csv')).find((row) => row.name === 'dave')
    expect(dave).toMatchObject({ start: 'developer', end: 'developer; lead', gained: 'lead', lost: '' })
  })

  it('is who came and who went, by the middle of the period', async () => {
    const middle = '2026-10-04T00:00:00.000Z'
    const names = (some: (time: string) => boolean): Set<string> =>
      new Set(
        records
          .filter(({ type, time }) => ['admission', 'denial', 'limit'].includes(type) && some(String(time)))
          .map((record: any) => (record.person ?? record.workload).name as string),
      )
    const before = names((time) => time < middle)
    const after = names((time) => time >= middle && time < '2026-10-06')
    expect((await csv('people-changes.csv')).map(({ name, status }) => [name, status])).toEqual([
      ...[...before].filter((name) => !after.has(name)).map((name) => [name, 'not seen any more']),
      ...[...after].filter((name) => !before.has(name)).map((name) => [name, 'new']),
    ])
  })

  it('balances: every call let through has its end', async () => {
    expect(await csv('open-calls.csv')).toEqual([])
    const page = await read('report.html')
    expect(page).toMatch(/the sum is the number of calls<\/dt>\s*<dd>yes</)
  })

  it('shows a change of policy though nobody put it on record', async () => {
    const rows = await csv('policies.csv')
    expect(rows.map(({ policy_sha256, change }) => [policy_sha256![0], change])).toEqual([
      ['a', ''],
      ['b', 'new in the period'],
    ])
    expect(rows.map(({ decisions }) => Number(decisions))).toEqual(
      ['a', 'b'].map(
        (letter) =>
          records.filter((one) => within(one) && (one.decision as any)?.policy_sha256 === policyDigest(letter)).length,
      ),
    )
    expect((await manifest()).observations.join('\n')).toContain(
      'The policy changed 1 time, each node counted by itself: jira',
    )
  })
})

describe('somebody who has left, and somebody who has come', () => {
  it('stand in a table of their own, with their last call and their roles', async () => {
    const dave = { name: 'dave', roles: ['lead'] }
    await daysOfTrail(trail, '2026-10-01', [
      [admission(carol, 'get_issue'), admission(bob, 'get_issue')],
      [admission(alice, 'get_issue'), admission(bob, 'get_issue')],
      [admission(bob, 'get_issue')],
      [],
      [admission(bob, 'get_issue'), admission(dave, 'get_issue')],
    ])
    expect(await evidence()).toBe(0)
    expect(await csv('people-changes.csv')).toMatchObject([
      {
        name: 'carol',
        status: 'not seen any more',
        first: 'before the period',
        last: '2026-10-01 08:00:20Z',
        roles: 'auditor',
      },
      {
        name: 'alice',
        status: 'not seen any more',
        first: '2026-10-02 08:00:20Z',
        last: '2026-10-02 08:00:20Z',
        roles: 'admin',
      },
      { name: 'dave', status: 'new', roles: 'lead' },
    ])
    expect(await read('report.html')).toMatch(/seen before the middle of the period, and not after it<\/dt>\s*<dd>2</)
    expect((await manifest()).observations.join('\n')).toContain('2 people and machines not seen after the middle')
  })
})

describe('somebody who calls through more clients than one', () => {
  it('is one person, who has not left while they call through any of them', async () => {
    const byAgent = { ...alice, kind: 'agent', agent: 'claude-code', roles: ['reader'] } as const
    await daysOfTrail(trail, '2026-10-01', [
      [admission(alice, 'get_issue')],
      [admission(byAgent, 'get_issue'), admission(alice, 'get_issue')],
      [],
      [],
      [admission(alice, 'get_issue')],
    ])
    expect(await evidence()).toBe(0)
    expect((await manifest()).counts.people).toBe(1)
    expect(await csv('people.csv')).toMatchObject([
      { name: 'alice', kind: 'agent, human', status: 'seen before', allowed: '3' },
    ])
    expect(await csv('people-changes.csv')).toEqual([])
    // What an agent may do for her is not what she may do herself, and no change of either.
    expect(await csv('roles.csv')).toMatchObject([
      { name: 'alice', kind: 'human', start: 'admin', end: 'admin', gained: '' },
      { name: 'alice', kind: 'agent', start: 'reader', end: 'reader', gained: '' },
    ])
  })

  it('is not called new where the trail has nothing from before the period', async () => {
    await daysOfTrail(trail, '2026-10-02', [[admission(alice, 'get_issue')]])
    expect(await evidence()).toBe(0)
    expect(await csv('people.csv')).toMatchObject([{ status: 'not known' }])
    expect((await manifest()).observations.join('\n')).toContain(
      'Who is new is not known: the trails that were read have no call before the period.',
    )
  })
})

describe('a policy that comes back', () => {
  it('is a change, though all its versions had decided before; a call that was under way is none', async () => {
    const clock = new SetClock('2026-10-01T08:00:00Z')
    const one = trailIn(trail, {}, clock)
    const decide = async (letter: string): Promise<void> => {
      clock.pass(3)
      await one.append(denial(bob, 'get_issue', 'tool_not_granted', { policy: policyDigest(letter) }))
    }
    await decide('a')
    await decide('b')
    clock.ms = Date.parse('2026-10-03T08:00:00Z')
    for (const letter of ['b', 'a', 'b', 'a', 'a']) await decide(letter)
    clock.pass(60)
    await decide('b')
    await one.close()
    await evidence()
    const [a, b] = [policyDigest('a'), policyDigest('b')]
    expect(await csv('policy-changes.csv')).toMatchObject([
      { time: '2026-10-03 08:00:06Z', node: 'node-1', route: 'jira', version_before: b, version: a, again: 'yes' },
      { time: '2026-10-03 08:01:18Z', version_before: a, version: b, again: 'yes' },
    ])
    expect((await manifest()).observations.join('\n')).toContain('The policy changed 2 times')
  })

  it('has not come back where another node was given it first', async () => {
    const other = await trailFolder()
    for (const [directory, node] of [
      [trail, 'node-1'],
      [other, 'node-2'],
    ] as const) {
      // prettier-ignore
      const days = ['a', 'b'].map((letter) => [
        denial(bob, 'get_issue', 'tool_not_granted', { policy: policyDigest(letter) }),
      ])
      await daysOfTrail(directory, '2026-10-02', days, node)
    }
    await evidence('--dir', other, '--key', join(other, 'node.vkey'))
    const rows = await csv('policy-changes.csv')
    expect(rows.map(({ node, again }) => [node, again])).toEqual([['node-1', ''], ['node-2', '']]) // prettier-ignore
  })
})

describe('calls over a limit behind the policy', () => {
  it('are counted: with mcp-gateway Kong counts after the admission, and no limit is on record', async () => {
    const calls = ['late-1', 'late-2']
    const late = calls.map((call) => admission(bob, 'get_issue', { call }))
    await daysOfTrail(trail, '2026-10-03', [[...late, ...calls.map((call) => outcome(call, 429))]])
    await evidence()
    expect(await read('report.html')).toMatch(/let through by the policy, and answered 429 [^<]*<\/dt>\s*<dd>2</)
  })
})

describe('samples', () => {
  beforeEach(() => daysOfTrail(trail, firstDay, monthOfCalls(8)))
  const drawn = async (): Promise<string[]> =>
    (await manifest()).samples.filter((one: any) => one.rank).map((one: any) => `${one.boot}/${one.seq}`)

  it('are the records with the lowest ranks under the seed, each of them proven', async () => {
    expect(await evidence('--sample', '7')).toBe(0)
    const rank = (record: AuditRecord): string =>
      createHmac('sha256', 'spec')
        .update(`${String(record.boot)}/${record.seq}`)
        .digest('hex')
    const all = (await readAllRecords(trail)).filter(({ time }) => time! >= '2026-10-02' && time! < '2026-10-06')
    const lowest = (types: readonly string[]): string[] =>
      all
        .filter(({ type }) => types.includes(type))
        .sort((a, b) => (rank(a) < rank(b) ? -1 : 1))
        .slice(0, 7)
        .map(({ boot, seq }) => `${String(boot)}/${seq}`)
    const expected = [...lowest(['admission']), ...lowest(['denial', 'authentication_failure', 'refusal', 'limit'])]
    expect(await drawn()).toEqual(expected)
    const keys = [readVerifierKey((await readFile(join(trail, 'node.vkey'), 'utf8')).trim())]
    const proofs = await readdir(join(out, 'samples'))
    // Every call let through is proven together with how it ended.
    expect(proofs.length).toBe(7 + 7 + 7)
    for (const file of proofs) expect(checkProof(await read(`samples/${file}`), keys)).toMatchObject({ ok: true })
  })

  it('are the same for the same seed, and others for another', async () => {
    await evidence()
    const first = await drawn()
    const [table, counts] = [await read('samples-stopped.csv'), await read('denials.csv')]
    await rm(out, { recursive: true })
    await evidence()
    expect(await drawn()).toEqual(first)
    expect([await read('samples-stopped.csv'), await read('denials.csv')]).toEqual([table, counts])
    out = join(folder, 'other')
    await run(auditEvidence, [...period, '--dir', trail, '--seed', 'another', '--out', out])
    expect(await drawn()).not.toEqual(first)
  })

  it('say the seed that was drawn where none was given', async () => {
    await run(auditEvidence, [...period, '--dir', trail, '--out', out])
    const { seed } = await manifest()
    expect(seed).toMatch(/^[0-9a-f]{32}$/)
    expect(said.join('\n')).toContain(seed)
  })
})

describe('a folder of evidence', () => {
  let evidenceKey: string
  let nodeKey: string
  beforeEach(async () => {
    await daysOfTrail(trail, firstDay, monthOfCalls(4))
    nodeKey = join(trail, 'node.vkey')
    await evidence('--sign', await keyFile(), '--sample', '3')
    evidenceKey = signedBy()
  })
  const trusted = (): string[] => ['--key', evidenceKey, '--key', nodeKey]

  it('is what was signed, without a key less so', async () => {
    expect(await check(...trusted())).toBe(0)
    expect(said.join('\n')).not.toContain('taken from the folder itself')
    expect(said.join('\n')).toContain('is the word of whoever made it')
    expect(await check()).toBe(0)
    expect(said.join('\n')).toContain('taken from the folder itself')
  })

  it('shows in every file that it was changed', async () => {
    const { files } = await manifest()
    expect(files.length).toBeGreaterThan(30)
    for (const { file } of files as { file: string }[]) {
      const before = await read(file)
      await writeFile(
        join(out, file),
        before.replace(/.$/s, (last) => (last === 'x' ? 'y' : 'x')),
      )
      expect(await check(...trusted()), file).toBe(1)
      expect(said.join('\n')).toContain(`${file} is not what the manifest says`)
      await writeFile(join(out, file), before)
    }
    expect(await check(...trusted())).toBe(0)
  })

  const linked = async (file: string): Promise<void> => {
    await cp(join(out, file), join(folder, file))
    await rm(join(out, file))
    await symlink(join(folder, file), join(out, file))
  }
  it('is none where its manifest is a link', async () => {
    await linked(manifestFile)
    await expect(check(...trusted())).rejects.toThrow('there is no manifest.json')
  })

  it.each([
    ['a file that was removed', (): Promise<void> => rm(join(out, 'denials.csv')), 'denials.csv is missing'],
    ['a file that was added', () => writeFile(join(out, 'more.csv'), ''), 'more.csv is not in the manifest'],
    ['a sample that was added', () => writeFile(join(out, 'samples', 'x.tlog-proof'), ''), 'x.tlog-proof is not in'],
    ['a note that is gone', () => rm(join(out, noteFile)), 'manifest.note is missing'],
    ['a note that is a link', () => linked(noteFile), 'manifest.note is missing, or no file'],
    ['a changed manifest', () => appendFile(join(out, manifestFile), ' '), 'was signed over another manifest.json'],
    [
      'a note without signature',
      async () => writeFile(join(out, noteFile), (await read(noteFile)).split('— ')[0]!),
      'nobody signed it',
    ],
  ])('shows %s', async (_note, change, fault) => {
    await change()
    expect(await check(...trusted())).toBe(1)
    expect(said.join('\n')).toContain(fault)
  })

  /** What somebody without the key can do: another manifest that fits what they have changed. */
  const rewrite = async (change: (about: any) => void, signer?: string, privateKey = newKey()): Promise<void> => {
    const about = await manifest()
    change(about)
    const text = `${JSON.stringify(about, undefined, 2)}\n`
    await writeFile(join(out, manifestFile), text)
    const note = noteText(text, String(about.period.from), String(about.period.to))
    await writeFile(join(out, noteFile), signNote(note, { name: signer ?? 'kong-mcp-suite-evidence', privateKey }))
  }

  it('is refused under another key than the one given, and under one nobody gave', async () => {
    await rewrite(() => undefined)
    expect(await check(...trusted())).toBe(1)
    expect(said.join('\n')).toContain('no key that is known has signed it')
    // The manifest still names the first key.
    expect(await check()).toBe(1)
  })

  it('says who signed it, not who the manifest says has', async () => {
    const [own, other] = [newKey(), newKey()]
    const name = 'kong-mcp-suite-evidence'
    await rewrite((about) => (about.signed_by = verifierKey(name, other)), name, own)
    expect(await check('--key', verifierKey(name, own), '--key', nodeKey)).toBe(1)
    expect(said.join('\n')).toContain('names another key than the one that signed it')
    await rewrite((about) => (about.signed_by = verifierKey(name, own)), name, own)
    expect(await check('--key', verifierKey(name, own), '--key', nodeKey)).toBe(0)
    expect(said.join('\n')).toContain(`signed by ${verifierKey(name, own)}`)
  })

  it('is not checked with a file of keys in which there is none', async () => {
    const empty = join(folder, 'empty.vkey')
    await writeFile(empty, '\n')
    await expect(check('--key', empty)).rejects.toThrow('there is no key in')
  })

  it.each<[string, (samples: any[], about: any) => void, string]>([
    ['of another type', ([one]) => (one.type = 'denial'), 'its record says another type or time'],
    ['of another time', ([one]) => (one.time = '2026-10-03T00:00:00.000Z'), 'its record says another type or time'],
    ['of another node', ([one]) => (one.node = 'node-2'), 'proves another record than the manifest says'],
    [
      'of the other population',
      ([one]) => (one.population = 'stopped'),
      'its record is none of the population stopped',
    ],
    ['of a rank of their own', ([one]) => (one.rank = '0'), 'its rank is not the one the seed gives'],
    ['drawn under another seed', (_, about) => (about.seed = 'mine'), 'its rank is not the one the seed gives'],
    ['drawn twice', (samples) => samples.splice(1, 0, samples[0]), 'it was drawn out of turn, or twice'],
    ['out of turn', (samples) => samples.reverse(), 'it was drawn out of turn, or twice'],
    ['of another time than the period', (_, about) => (about.period.to = about.period.from), 'is not of the period'],
    ['that end no call that was drawn', (samples) => samples.splice(0, 1), 'it is no end of a call that was drawn'],
  ])('has no samples that are said to be, or are, %s', async (_note, change, fault) => {
    await rewrite((about) => change(about.samples as any[], about))
    await check('--key', nodeKey)
    expect(said.join('\n')).toContain(fault)
  })

  it.each([
    ['a path that leads out of it', '../../etc/passwd'],
    ['an absolute path', '/etc/passwd'],
    ['a path with a second folder', 'a/b/c'],
  ])('does not follow %s', async (_note, file) => {
    await rewrite((about) => about.files.push({ file, bytes: 1, sha256: 'a' }))
    await check()
    expect(said.join('\n')).toContain(`the manifest lists \`${file}\`, which is no name`)
  })

  it('says so where its manifest names files by what is no text at all', async () => {
    const odd = { toString: 1, valueOf: null }
    await rewrite((about) => {
      about.files.push({ file: odd })
      about.samples.push({ file: odd })
    })
    expect(await check()).toBe(1)
    expect(said.join('\n')).toContain('which is no name of a file of its own')
  })

  it('proves the very records its manifest names, to whoever has the nodes’ keys', async () => {
    await rewrite((about) => (about.samples[0].seq = Number(about.samples[0].seq) + 1))
    await check('--key', nodeKey)
    expect(said.join('\n')).toContain('proves another record than the manifest says')

    await rewrite((about) => {
      about.samples[0].seq = Number(about.samples[0].seq) - 1
      about.samples[0].boot = about.samples.find((one: any) => one.boot !== about.samples[0].boot).boot
    })
    await check('--key', nodeKey)
    expect(said.join('\n')).toContain('proves another record than the manifest says')

    const other = join(await trailFolder(), 'other')
    await daysOfTrail(other, firstDay, monthOfCalls(1))
    expect(await check('--key', evidenceKey, '--key', join(other, 'node.vkey'))).toBe(1)
    expect(said.join('\n')).toContain('proves nothing: the key that signed the checkpoint is not certified')
  })

  it('that nobody signed is taken only by whoever says so', async () => {
    await rm(out, { recursive: true })
    expect(await evidence()).toBe(0)
    expect(said.join('\n')).toContain('UNSIGNED')
    expect(await read(noteFile)).toContain('unsigned')
    expect(await read('report.html')).toContain('UNSIGNED')
    expect(await check()).toBe(1)
    expect(await check('--unsigned')).toBe(0)
    expect(said.join('\n')).toContain('UNSIGNED')
    expect(await check('--unsigned', '--key', evidenceKey)).toBe(1)
  })
})

describe('exceptions', () => {
  const day = (events: readonly AuditEvent[]): Promise<void> => daysOfTrail(trail, '2026-10-03', [events])
  const someCalls = (): AuditEvent[] => [
    admission(bob, 'get_issue'),
    denial(bob, 'delete_issue'),
    admission(alice, 'get_issue'),
  ]

  it('are none for a trail that is whole', async () => {
    await day(someCalls())
    expect(await evidence()).toBe(0)
    expect(exceptions()).toEqual([])
    expect(await read('report.html')).toContain('No exceptions')
  })

  it('tell of a period without records', async () => {
    await daysOfTrail(trail, '2026-09-01', [someCalls()])
    expect(await evidence()).toBe(1)
    expect(exceptions().join('\n')).toContain('There is no record of the period')
    expect((await manifest()).counts).toMatchObject({ records: 0, allowed: 0, people: 0 })
    expect(await csv('records-counts.csv')).toEqual([])
  })

  it('tell of a record that is missing, and which', async () => {
    await day(someCalls())
    const [file = ''] = await segmentsOf(trail)
    const lines = await linesOf(trail, file)
    await writeLines(trail, file, lines.toSpliced(4, 2))
    expect(await evidence()).toBe(1)
    expect(exceptions().join('\n')).toContain('2 records missing in 1 gap')
    expect(exceptions().join('\n')).toMatch(/faults? in the trail/)
    expect(await read('report.html')).toContain('numbers 5 to 6')
    // What cannot be proven any more is not passed off as proven.
    expect(exceptions().join('\n')).toMatch(/samples? without a proof/)
  })

  it('tell of a changed record that counts all the same', async () => {
    await day(someCalls())
    const [file = ''] = await segmentsOf(trail)
    const lines = await linesOf(trail, file)
    await writeLines(
      trail,
      file,
      lines.map((line) => line.replace('"denial"', '"limit"')),
    )
    expect(await evidence()).toBe(1)
    expect(exceptions().join('\n')).toMatch(/faults in the trail/)
    expect(await read('verification.json')).toContain('signed over other records')
    expect((await manifest()).counts).toMatchObject({ allowed: 2, denied: 0, stopped: 1 })
  })

  it.each(['2026-10-03T08:00:00.000Z (or so)', 'Sat, 03 Oct 2026 08:00:00 GMT', ''])(
    'tell of a time that is none: `%s`',
    async (time) => {
      await day(someCalls())
      const [file = ''] = await segmentsOf(trail)
      const lines = await linesOf(trail, file)
      await writeLines(
        trail,
        file,
        lines.map((line, at) => (at === 3 ? JSON.stringify({ ...JSON.parse(line), time }) : line)),
      )
      expect(await evidence()).toBe(1)
      expect(exceptions().join('\n')).toContain('1 record without a time that can be read')
    },
  )

  it('tell of calls that never ended, until the next start has resolved them', async () => {
    const clock = new SetClock('2026-10-03T08:00:00Z')
    const crashed = trailIn(trail, {}, clock)
    await letThrough(crashed, clock, someCalls())
    const sealed = (await readdir(trail)).find((name) => name.startsWith('checkpoints-')) ?? ''
    const written = (await readAllRecords(trail)).length
    const covered = async (): Promise<number> =>
      Number(/\\n(\d+)\\n/.exec((await linesOf(trail, sealed)).at(-1) ?? '')?.[1])
    await vi.waitFor(async () => expect(await covered()).toBe(written), { timeout: 5_000 })
    await crashed.append(admission(carol, 'get_issue', { call: 'left-open' }))
    clock.pass(1)
    // As a crash leaves it: nothing is stopped in order.
    const after = `${trail}-after`
    await cp(trail, after, { recursive: true })
    await crashed.close()
    trail = after
    expect(await evidence()).toBe(1)
    expect(exceptions().join('\n')).toContain('silent (nothing more until the end of the period)')
    expect((await csv('open-calls.csv')).map(({ call }) => call)).toEqual(['left-open'])

    clock.pass(600)
    const next = trailIn(trail, {}, clock)
    await next.append({ type: 'heartbeat' })
    await vi.waitFor(async () =>
      expect((await readAllRecords(trail)).filter(({ type }) => type === 'recovery')).toHaveLength(1),
    )
    await next.close()
    await rm(out, { recursive: true })
    // What was written in the last second before a crash is under no checkpoint, and has no proof.
    expect(await evidence()).toBe(1)
    expect(exceptions().join('\n')).toMatch(/^EXCEPTION: 1 sample without a proof: no good checkpoint covers [^\n]*$/)
    await rm(out, { recursive: true })
    expect(await evidence('--sample', '0')).toBe(0)
    expect(await csv('open-calls.csv')).toEqual([])
    expect(await csv('intervals.csv')).toMatchObject([
      { what: 'no trail', explained: 'yes' },
      { what: 'crashed', seconds: '601', explained: 'yes', detail: expect.stringContaining('1 call resolved') },
      { what: 'stopped', explained: 'yes' },
    ])
  })

  it('tell that nobody can say what a node did in a log that is missing', async () => {
    await daysOfTrail(trail, '2026-10-02', [someCalls(), someCalls(), someCalls()])
    for (const name of await readdir(trail)) if (name.includes('00000002-')) await rm(join(trail, name))
    expect(await evidence()).toBe(1)
    expect(exceptions().join('\n')).toMatch(/no trail \(a log between the two is missing/)
    expect(await csv('intervals.csv')).toContainEqual(
      expect.objectContaining({ what: 'no trail', explained: 'NO', from: '2026-10-02 08:01:03Z' }),
    )
  })

  it('tell of a crash also where the clock was set back before the next start', async () => {
    const clock = new SetClock('2026-10-03T08:00:00Z')
    const crashed = trailIn(trail, {}, clock)
    await letThrough(crashed, clock, someCalls())
    const after = `${trail}-after`
    await cp(trail, after, { recursive: true })
    await crashed.close()
    trail = after
    clock.pass(-30)
    const next = trailIn(trail, {}, clock)
    await next.append({ type: 'heartbeat' })
    await next.close()
    await evidence('--sample', '0')
    expect(await csv('intervals.csv')).toContainEqual(
      expect.objectContaining({
        what: 'crashed',
        seconds: '30',
        detail: expect.stringContaining('the clock was set back meanwhile'),
      }),
    )
  })

  it('tell of calls of a stopped log without an end, and of ends without a call', async () => {
    const clock = new SetClock('2026-10-03T08:00:00Z')
    const one = trailIn(trail, {}, clock)
    await one.append(admission(bob, 'get_issue', { call: 'no-end' }))
    await one.append(outcome('no-call'))
    await one.close()
    expect(await evidence()).toBe(1)
    expect(exceptions().join('\n')).toContain('1 call let through in the period with neither outcome nor resolution')
    expect(exceptions().join('\n')).toContain('1 end in the period of calls nobody let through')
  })

  it('are none for a call that was refused because the disk was slow to take its admission', async () => {
    const clock = new SetClock('2026-10-03T08:00:00Z')
    const one = trailIn(trail, {}, clock)
    await one.append(admission(bob, 'get_issue', { call: 'too-late' }))
    await one.append({ type: 'refusal', call: 'too-late', route: 'jira', reason: 'not_on_record' })
    await one.append({ type: 'refusal', call: 'another', route: 'jira', reason: 'unreadable' })
    await one.append({ type: 'issuer_keys', issuer: 'https://idp.example', keys: [] })
    await one.close()
    expect(await evidence()).toBe(0)
    expect(await csv('open-calls.csv')).toEqual([])
    const page = await read('report.html')
    expect(page).toMatch(/refused after all, because the disk was slow to take the record<\/dt>\s*<dd>1</)
    expect(page).toContain('refused after all: not_on_record')
    expect((await manifest()).observations.join('\n')).toContain(
      '1 call let through by the policy and refused after all: in the counts both let through and stopped.',
    )
    // The same record is a stopped call that was drawn.
    expect((await csv('samples-allowed.csv'))[0]?.end_proof).toMatch(/^samples\/stopped-0[12]\.tlog-proof$/)
  })

  it('T25 tell of a silence, and of a disk that failed', async () => {
    const clock = new SetClock('2026-10-03T08:00:00Z')
    const one = trailIn(trail, {}, clock)
    await one.append(denial(bob, 'get_env'))
    clock.pass(89)
    await one.append(denial(bob, 'get_env'))
    clock.pass(120)
    await one.append({ type: 'fault', because: 'EIO', not_known_on_disk: { from: 3, to: 4 } })
    await one.close()
    expect(await evidence()).toBe(1)
    expect(await csv('intervals.csv')).toMatchObject([
      { what: 'no trail', explained: 'yes' },
      { what: 'silent', seconds: '120', explained: 'NO' },
      { what: 'disk failed', explained: 'NO', detail: expect.stringContaining('EIO; not known to be on disk') },
      { what: 'stopped', explained: 'yes' },
    ])
    expect(exceptions()).toHaveLength(2)
  })

  it('tell of a policy that decided without a record, where there are records of policies', async () => {
    const policy = policyDigest('b')
    const inForce = (sha256: string, use = 'active'): AuditEvent => ({
      type: 'policy',
      ...{ route: 'jira', event: 'in_force', use, source: 'jira.yml', policy_sha256: sha256 },
    })
    // Tried as a shadow, and then in force without a word.
    await daysOfTrail(trail, '2026-10-03', [
      [inForce(policyDigest('a')), inForce(policy, 'shadow'), admission(bob, 'get_issue')],
      [admission(bob, 'get_issue', { policy })],
    ])
    expect(await evidence()).toBe(1)
    expect(exceptions().join('\n')).toContain('1 policy decided without a record')

    await rm(trail, { recursive: true })
    await rm(out, { recursive: true })
    await daysOfTrail(trail, '2026-10-03', [
      [inForce(policyDigest('a')), admission(bob, 'get_issue')],
      [inForce(policy), admission(bob, 'get_issue', { policy })],
    ])
    expect(await evidence()).toBe(0)
    expect(await csv('policy-records.csv')).toMatchObject([
      { event: 'in_force', use: 'active', source: 'jira.yml', policy_sha256: policyDigest('a') },
      { event: 'in_force', use: 'active', source: 'jira.yml', policy_sha256: policy },
    ])
    expect((await manifest()).observations.join('\n')).toContain('1 change of the policy whose file names no author')
  })

  it('are none for a change whose file says whose it is, which stands beside it as the file’s word', async () => {
    const policy = policyDigest('b')
    const inForce = (sha256: string, more: object = {}): AuditEvent => ({
      type: 'policy',
      ...{ route: 'jira', event: 'in_force', use: 'active', source: 'jira.yml', policy_sha256: sha256, ...more },
    })
    await daysOfTrail(trail, '2026-10-03', [
      // A text in it is no record of another version.
      [inForce(policyDigest('a'), { author: policy }), admission(bob, 'get_issue')],
      [inForce(policy, { author: 'dana', change: 'PR-7' }), admission(bob, 'get_issue', { policy })],
    ])
    expect(await evidence()).toBe(0)
    expect(await csv('policies.csv')).toMatchObject([
      { policy_sha256: policyDigest('a'), change: '', author: policy, reference: '', source: 'jira.yml' },
      { policy_sha256: policy, change: 'new in the period', author: 'dana', reference: 'PR-7', source: 'jira.yml' },
    ])
    expect((await csv('policy-records.csv')).map(({ author, reference }) => [author, reference])).toEqual([
      [policy, ''],
      ['dana', 'PR-7'],
    ])
    expect((await manifest()).observations.join('\n')).not.toContain('names no author')

    await rm(trail, { recursive: true })
    await rm(out, { recursive: true })
    await daysOfTrail(trail, '2026-10-03', [
      [inForce(policyDigest('a'), { author: policy }), admission(bob, 'get_issue')],
      [admission(bob, 'get_issue', { policy })],
    ])
    expect(await evidence()).toBe(1)
    expect(exceptions().join('\n')).toContain('1 policy decided without a record')
  })

  it('are none for approvals of tool definitions, which stand beside the policy’s changes with who gave them', async () => {
    const pins: AuditEvent = {
      type: 'policy',
      ...{ route: 'jira', event: 'in_force', use: 'pins', source: 'jira.pins.yml', policy_sha256: policyDigest('c') },
      ...{ approved: 2, changes_count: 2 },
      changes: ['create_issue', 'get_issue'].map((tool) => ({
        ...{
          tool,
          was_sha256: null,
          sha256: policyDigest('d'),
          approved_by: 'ann',
          approved_at: '2026-10-03T08:00:00Z',
        },
        ...(tool === 'get_issue' ? { note: 'CHG-1042' } : {}),
      })),
    }
    await daysOfTrail(trail, '2026-10-03', [[pins, admission(bob, 'get_issue')]])
    expect(await evidence()).toBe(0)
    expect(await csv('policy-records.csv')).toMatchObject([
      { event: 'in_force', use: 'pins', source: 'jira.pins.yml', author: 'ann', reference: 'CHG-1042' },
    ])
    expect(await csv('policies.csv')).toMatchObject([{ author: '', source: '' }])
  })

  it('show settings at both ends of the period, and what changed between', async () => {
    const configuration = (plugin: string, settings: object): AuditEvent => ({
      type: 'configuration',
      ...{ route: 'jira', event: 'in_force', plugin, settings: settings as never },
    })
    const other = await trailFolder()
    const oauth = (more: object): AuditEvent =>
      configuration('mcp-oauth', {
        bind_sessions: true,
        issuers: [{ issuer: 'https://idp.example', audiences: ['a', 'b'] }],
        ...more,
      })
    await daysOfTrail(trail, '2026-09-30', [
      [oauth({ bind_sessions: false }), oauth({}), configuration('mcp-rbac', { directory: {} })],
      [oauth({}), admission(bob, 'get_issue')],
      // Nobody changed anything; a plugin server began anew.
      [oauth({}), admission(bob, 'get_issue')],
      [
        oauth({ bind_sessions: false, issuers: [{ issuer: 'https://other.example', audiences: ['a', 'b'] }] }),
        configuration('mcp-audit', { node: 'node-1', clear_arguments: [] }),
        { type: 'configuration', route: 'jira', event: 'refused', plugin: 'mcp-rbac', because: 'no such permission' },
      ],
    ])
    await daysOfTrail(
      other,
      '2026-10-03',
      [[configuration('mcp-audit', { node: 'node-2', clear_arguments: ['key'] }), admission(bob, 'get_issue')]],
      'node-2',
    )
    await evidence('--dir', other, '--key', join(other, 'node.vkey'))
    expect(await csv('configuration-changes.csv')).toMatchObject([
      {
        time: '2026-10-03 08:00:20Z',
        node: 'node-1',
        route: 'jira',
        setting: 'bind_sessions',
        before: 'true',
        after: 'false',
      },
      { setting: 'issuers.0.issuer', before: 'https://idp.example', after: 'https://other.example' },
      { plugin: 'mcp-rbac', setting: '', after: 'refused: no such permission' },
    ])
    const rows = await csv('configuration.csv')
    expect(
      rows.map(({ plugin, setting, at_start, at_end, nodes }) => [plugin, setting, at_start, at_end, nodes]),
    ).toEqual([
      ['mcp-audit', 'clear_arguments', '(not known)', '["key"]', 'node-2'],
      ['mcp-audit', 'clear_arguments', '(not known)', '[]', 'node-1'],
      ['mcp-audit', 'node', '(not known)', 'node-1', 'node-1'],
      ['mcp-audit', 'node', '(not known)', 'node-2', 'node-2'],
      ['mcp-oauth', 'bind_sessions', 'true', 'false', 'node-1'],
      ['mcp-oauth', 'issuers.0.audiences', '["a","b"]', '["a","b"]', 'node-1'],
      ['mcp-oauth', 'issuers.0.issuer', 'https://idp.example', 'https://other.example', 'node-1'],
      ['mcp-rbac', 'directory', '{}', '{}', 'node-1'],
    ])
    const { observations } = await manifest()
    expect(observations).toContain('2 changes of a setting of the gateway.')
    expect(observations).toContain('1 time a node refused its settings for a route.')
    expect(observations).toContain(
      'Nodes differ in settings at the end of the period: mcp-audit clear_arguments on jira.',
    )
  })

  it('show a setting that changed behind where it is cut as a change', async () => {
    const names = Array.from({ length: 100 }, (_, at) => `argument-${at}`)
    const audit = (clear: readonly string[]): AuditEvent => ({
      type: 'configuration',
      ...{ route: 'jira', event: 'in_force', plugin: 'mcp-audit', settings: { clear_arguments: clear } },
    })
    await daysOfTrail(trail, '2026-10-02', [[audit(names)], [audit([...names, 'password'])]])
    await evidence()
    const [change, ...more] = await csv('configuration-changes.csv')
    expect([change?.setting, more]).toEqual(['clear_arguments', []])
    expect(change?.before).not.toBe(change?.after)
  })

  it('show settings that nobody would give such names, and in no more than their place', async () => {
    const settings = JSON.parse(
      `{"__proto__":{"a":1},"=cmd|x":"<b>","${'long'.repeat(10_000)}":{"a":1,"b":2}}`,
    ) as object
    const told = { type: 'configuration', route: 'jira', event: 'in_force', plugin: 'mcp-audit' } as const
    await daysOfTrail(trail, '2026-10-02', [[{ ...told, settings: settings as never }]])
    await evidence()
    const rows = await csv('configuration.csv')
    expect(rows.map(({ setting, at_end: end }) => [setting?.slice(0, 12), end])).toEqual([
      ["'=cmd|x", '<b>'],
      ['__proto__.a', '1'],
      ['longlonglong', '1'],
      ['longlonglong', '2'],
    ])
    expect(Math.max(...rows.map(({ setting = '' }) => setting.length))).toBeLessThan(700)
  })

  it('do not take settings that were too long for a record for settings that nobody has made', async () => {
    const oauth = (issuers: readonly string[]): AuditEvent => ({
      type: 'configuration',
      ...{ route: 'jira', event: 'in_force', plugin: 'mcp-oauth', settings: { bind_sessions: true, issuers } },
    })
    const many = Array.from({ length: 3_000 }, (_, at) => `https://idp-${at}.example`)
    await daysOfTrail(trail, '2026-10-02', [[oauth(['https://idp.example'])], [oauth(many)]])
    await evidence()
    expect(await csv('configuration-changes.csv')).toMatchObject([
      { setting: 'bind_sessions', before: 'true', after: '(not known)' },
      { setting: 'issuers', before: '["https://idp.example"]', after: '(not known)' },
      { setting: '(all)', before: '(not set)', after: expect.stringMatching(/^too long for a record, SHA-256 /) },
    ])
  })

  it('tell of a log that somebody outside has seen and that is gone', async () => {
    await daysOfTrail(trail, '2026-10-03', [someCalls(), someCalls()])
    const names = (await readdir(trail)).sort()
    const [, checkpoints = ''] = names.filter((name) => name.startsWith('checkpoints-'))
    const key = checkpoints.slice('checkpoints-'.length, -'.jsonl'.length)
    const { note } = JSON.parse((await linesOf(trail, checkpoints)).at(-1) ?? '') as { note: string }
    const records = await readAllRecords(trail)
    const { certificate } = records.findLast(({ type }) => type === 'key') as unknown as { certificate: string }
    const anchors = join(folder, 'anchors.jsonl')
    const kept = {
      kind: 'checkpoint',
      name: 'vault',
      log: key,
      size: Number(note.split('\n')[1]),
      note,
      certificate,
      time: 't',
    }
    await writeFile(anchors, `${JSON.stringify(kept)}\n`)
    expect(await evidence('--anchors', anchors)).toBe(0)
    expect(await read('report.html')).toMatch(/anchors fetched from outside the nodes<\/dt>\s*<dd>1</)

    for (const name of names.filter((one) => one.includes(key))) await rm(join(trail, name))
    await rm(out, { recursive: true })
    expect(await evidence()).toBe(0)
    await rm(out, { recursive: true })
    expect(await evidence('--anchors', anchors)).toBe(1)
    expect(exceptions().join('\n')).toContain('that log is missing')
  })

  it('tell of two directories in which a node has written everything twice', async () => {
    await day(someCalls())
    const second = `${trail}-second`
    await daysOfTrail(second, '2026-10-03', [someCalls()])
    await run(auditEvidence, [...period, '--dir', trail, '--dir', second, '--out', out])
    expect(exceptions().join('\n')).toContain('Node node-1 has records of the same time in two directories')

    await rm(out, { recursive: true })
    await rm(second, { recursive: true })
    await daysOfTrail(second, '2026-10-03', [someCalls()], 'node-2')
    expect(await run(auditEvidence, [...period, '--dir', trail, '--dir', second, '--out', out])).toBe(0)
    expect((await manifest()).counts).toMatchObject({ allowed: 4, denied: 2, nodes: 2 })
  })
})

describe('what a hostile trail says', () => {
  const hostile = [
    '<script>alert(1)</script>',
    '"><img src=https://evil.example/x onerror=alert(1)>',
    `'><svg onload=alert(1)>`,
    '</style></title></pre><iframe src=//evil.example>',
    '&lt;script&gt;',
    "=cmd|' /C calc'!A0",
    '+1+1',
    '-2+3',
    '@SUM(A1)',
    '＝1+1',
    '\t=1+1',
    'a\r\nb,"c"',
    '\u001b[2J\u0007\u0000',
    '\u202etxt.exe\u2066',
    '${7*7}`$(id)`',
  ]
  beforeEach(async () => {
    const events = hostile.flatMap((text) => {
      const caller = { name: text, roles: [text], agent: text }
      return [
        admission(caller, text, { rule: text, policy: text, highRisk: true }),
        { ...admission(caller, text), route: text, client_ip: text },
        denial(caller, text, text),
        failedLogin(text, text),
        { type: 'refusal' as const, call: callId(), route: text, reason: text, client_ip: text },
        { type: 'policy' as const, route: text, says: text },
        { type: 'fault' as const, because: text },
        { type: 'list' as const, call: text, route: text, pins: { new: [{ tool: text, sha256: text }] } },
      ]
    })
    await daysOfTrail(trail, '2026-10-03', [events])
    await evidence('--sample', '100')
  })

  it('is text on the page: no tag, attribute or entity of its making', async () => {
    const page = await read('report.html')
    const body = page.slice(page.indexOf('<body>'))
    const tags = new Set([...body.matchAll(/<\/?([a-zA-Z!][^\s>/]*)/g)].map(([, tag]) => tag))
    expect([...tags].sort()).toEqual(
      // prettier-ignore
      ['a', 'article', 'b', 'body', 'circle', 'code', 'dd', 'defs', 'desc', 'div', 'dl', 'dt', 'figcaption', 'figure', 'footer', 'g', 'h1', 'h2', 'h3',
        'h4', 'header', 'html', 'li', 'line', 'main', 'nav', 'ol', 'p', 'pattern', 'pre', 'rect', 'section', 'span', 'strong', 'svg', 'table', 'tbody',
        'td', 'text', 'th', 'thead', 'title', 'tr', 'ul'],
    )
    const attributes = new Set(
      [...body.matchAll(/<[^>]*?\s((?:[^">]|"[^"]*")*)>/g)].flatMap(([, all = '']) =>
        [...all.matchAll(/([^\s="]+)="[^"]*"/g)].map(([, name]) => name),
      ),
    )
    expect([...attributes].filter((name) => /^on|^src$|^style$/i.test(name ?? ''))).toEqual([])
    expect(
      [...body.matchAll(/href="([^"]*)"/g)].filter(
        ([, link]) => !/^(#[a-z-]+|[a-z-]+\.csv|samples\/[a-z0-9-]+\.tlog-proof)$/.test(link!),
      ),
    ).toEqual([])
    expect(body).toContain('&lt;script&gt;alert(1)&lt;/script&gt;')
    expect(body).toContain('&amp;lt;script&amp;gt;')
    expect(page).toMatch(
      /<meta\s+http-equiv="Content-Security-Policy"\s+content="default-src 'none'; style-src 'sha256-[^']+'; base-uri 'none'; form-action 'none'"/,
    )
  })

  it('is no formula in a spreadsheet, and no command to a terminal', async () => {
    const files = await readdir(out)
    let quoted = 0
    for (const file of files.filter((name) => name.endsWith('.csv'))) {
      for (const cell of cellsOf(await read(file)).flat()) {
        expect(cell, file).not.toMatch(/^[=+\-@＝＋－＠\t\r]/)
        if (/^'[=+\-@＝]/.test(cell)) quoted++
      }
    }
    expect(quoted).toBeGreaterThan(20)
    for (const file of files.filter((name) => /\.(csv|html)$/.test(name)))
      expect(await read(file), file).not.toMatch(
        /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/,
      )
    expect(said.join('\n')).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/)
  })

  it('does not keep the folder from being checked', async () => {
    expect(await check('--unsigned')).toBe(0)
  })
})

describe('names that clients invent', () => {
  it('take no more than a bounded place, and every one of them counts', () => {
    const tally = new Tally([1], 100)
    const seen = { key: 'k', log: 'l', place: 1, seq: 1, time: '2026-10-01T00:00:00.000Z' } as Seen
    for (let n = 0; n < 5_000; n++) tally.add([n % 2 === 0 ? 'mallory' : 'bob', `tool-${n}`], seen)
    const rows = tally.rows()
    expect(rows.length).toBeLessThanOrEqual(102)
    expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(5_000)
    expect(rows.slice(0, 2).map(({ cells }) => cells)).toEqual(
      expect.arrayContaining([
        ['mallory', others],
        ['bob', others],
      ]),
    )
    expect(tally.unlisted).toContain('4900 records stand under (others)')
    expect(maxKinds).toBeLessThanOrEqual(10_000)
  })
})

describe('with the policies of the period', () => {
  const policy = (tools: string, roles: string): string => `permissions:
  'jira:read': { tools: [get_issue] }
  'jira:write': { tools: [${tools}], when: 'args.project != "SEC"' }
roles: { ${roles} }
bindings: [{ claim: groups, value: developers, role: developer }]
`
  it('says what everybody could have used at its start and at its end', async () => {
    await daysOfTrail(trail, firstDay, [
      [admission({ ...bob, roles: ['developer'] }, 'get_issue'), denial(carol, 'create_issue')],
      [denial(carol, 'create_issue')],
      [admission({ ...bob, roles: ['developer', 'lead'] }, 'get_issue')],
    ])
    const [old, now] = [join(folder, 'old.yml'), join(folder, 'new.yml')]
    await writeFile(old, policy('create_issue', "developer: ['jira:read'], lead: ['jira:write']"))
    await writeFile(
      now,
      policy('create_issue', "developer: ['jira:read'], lead: ['jira:write'], auditor: ['jira:read']"),
    )
    expect(await evidence('--policy', old, '--policy', now)).toBe(0)
    const rows = (await csv('access-by-policy.csv')).map(({ name, tool, start, end, difference }) => [
      ...[name, tool, start, end, difference],
    ])
    expect(rows).toEqual([
      ['bob', 'create_issue', 'no (tool_not_granted)', 'if (args.project)', 'no → if'],
      ['carol', 'get_issue', 'no (tool_not_granted)', 'yes (jira:read)', 'no → yes'],
      ['bob', 'get_issue', 'yes (jira:read)', 'yes (jira:read)', ''],
    ])
    expect((await csv('policies.csv'))[0]?.is).toBe('not among the files given')
    await writeFile(old, 'permissions: 7')
    await rm(out, { recursive: true })
    await expect(evidence('--policy', old)).rejects.toThrow('--policy: ')
  })
})

describe('docs/evidence.md', () => {
  it('names every criterion, and for each the files that serve it', async () => {
    await daysOfTrail(trail, '2026-10-03', [[admission(bob, 'get_issue')]])
    await evidence()
    const page = await read('report.html')
    const served = (criterion: string): string[] =>
      [...page.matchAll(/<section id="([a-z-]+)">([\s\S]*?)<\/section>/g)]
        .filter(([, , text = '']) => text.includes(`<li>${criterion}</li>`))
        .flatMap(([, , text = '']) => [...text.matchAll(/All of it: <a href="([^"]+)"/g)].map(([, file = '']) => file))
    const rows = tableUnder('evidence.md', 'Which table serves which criterion')
    expect(rows.map(({ criterion }) => criterion)).toEqual(Object.keys(criteria))
    for (const { criterion = '', files } of rows)
      expect(quoted(files).sort(), criterion).toEqual(served(criterion).sort())
  })
})

describe('use', () => {
  it.each([
    ['no period', ['--out', 'x'], 'say of which period'],
    ['half a period', ['--from', '2026-10-01', '--out', 'x'], 'say of which period'],
    ['a day there is not', ['--from', '2026-07-01', '--to', '2026-09-31', '--out', 'x'], '--to takes a day'],
    ['a time without its offset', ['--from', '2026-07-01T00:00', '--to', '2026-09-30', '--out', 'x'], '--from takes a'],
    ['a time in words', ['--from', '1 Jul 2026 00:00Z', '--to', '2026-09-30', '--out', 'x'], '--from takes a day'],
    ['no folder', period, 'say where to write it'],
    [
      'a period that ends before it begins',
      ['--from', '2026-10-02', '--to', '2026-10-01', '--out', 'x'],
      '--from must be before',
    ],
    ['half a sample', [...period, '--out', 'x', '--sample', '2.5'], '--sample takes'],
    ['a sample of everything', [...period, '--out', 'x', '--sample', '1000000'], '--sample takes'],
    ['no sample at all', [...period, '--out', 'x', '--sample', ''], '--sample takes'],
    ['two seeds', [...period, '--out', 'x', '--seed', 'one', '--seed', 'two'], '--seed was given twice'],
    ['a file to write to', [...period, '--dir', '.', '--out', 'package.json'], '--out package.json is a file'],
    ['one trail twice', [...period, '--out', 'x', '--dir', 'spec', '--dir', './spec'], '--dir ./spec was given before'],
    ['a seed nobody can type', [...period, '--out', 'x', '--seed', '\u0007'], '--seed takes'],
    ['no key there', [...period, '--out', 'x', '--sign', 'nowhere.pem'], '--sign: there is no nowhere.pem'],
  ])('says what is wrong with %s', async (_note, args, message) => {
    await expect(auditEvidence.run(args)).rejects.toThrow(message)
  })

  it('does not write over what is there, nor sign with a key of another kind', async () => {
    await day()
    await mkdir(out)
    await writeFile(join(out, 'mine.txt'), 'mine')
    await expect(evidence()).rejects.toThrow('is not empty')
    expect(await readdir(out)).toEqual(['mine.txt'])
    const rsa = join(folder, 'rsa.pem')
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    await writeFile(rsa, privateKey.export({ format: 'pem', type: 'pkcs8' }))
    await expect(evidence('--sign', rsa)).rejects.toThrow('give an Ed25519 private key')
  })
  const day = (): Promise<void> => daysOfTrail(trail, '2026-10-03', [[admission(bob, 'get_issue')]])

  it('is that of a command: 0 clean, 1 exceptions, 2 wrong use', async () => {
    await day()
    const args = ['audit', 'evidence', ...period, '--dir', trail, '--out', out]
    expect(await kmcp(args)).toMatchObject({ code: 0, err: '' })
    expect(await kmcp(['audit', 'check-evidence', out, '--unsigned'])).toMatchObject({ code: 0 })
    expect(await kmcp(['audit', 'check-evidence', out])).toMatchObject({ code: 1 })
    expect(await kmcp(args)).toMatchObject({ code: 2, err: expect.stringContaining('is not empty') })
    const empty = [
      'audit',
      'evidence',
      '--from',
      '2020-01-01',
      '--to',
      '2020-01-02',
      '--dir',
      trail,
      '--out',
      `${out}2`,
    ]
    expect(await kmcp(empty)).toMatchObject({ code: 1 })
    expect((await manifest()).command).toBe(`kmcp audit evidence ${args.slice(2).join(' ')}`)
  })
})
