import { appendFileSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  appendSeen,
  PinnedRoutes,
  readPinsFile,
  readSeen,
  type RoutePins,
  seenFileOf,
  writePinsFile,
} from '../../../../adapters/policy/pin-files.ts'
import { readJson } from '../../../../lib/mcp/json-reader.ts'
import type { JsonNode } from '../../../../lib/mcp/json-node.ts'
import { definitionDigest, type DefinitionReport, type Pin } from '../../../../lib/policy/pins.ts'

interface Tool {
  readonly name: string
  readonly [member: string]: unknown
}
const nodeOf = (tool: Tool): JsonNode => {
  const read = readJson(Buffer.from(JSON.stringify(tool)), { maxBytes: 1e6, maxDepth: 64, maxValues: 1000 })
  if (!read.ok) throw new Error('not read')
  return read.node
}
const digest = (tool: Tool): string => definitionDigest(tool as never)
const pin = (tool: Tool): Pin => ({ sha256: digest(tool), approvedBy: 'alice', approvedAt: '2026-11-25T08:00:00Z' })

const get = { name: 'get_issue', description: 'Gets an issue' }
const changed = { ...get, description: 'Gets an issue.' }
const fresh = { name: 'new_tool' }

describe('pins in a file', () => {
  let folder = ''
  let file = ''
  let nowMs = 0
  const logged: string[] = []
  const clock = { nowMs: () => Date.UTC(2026, 10, 25) + nowMs, monoMs: () => nowMs }
  const routes = (): PinnedRoutes => new PinnedRoutes(clock, (level, message) => logged.push(`${level}: ${message}`))
  const list = (pins: RoutePins, ...tools: readonly Tool[]): DefinitionReport =>
    pins.see(tools.map((tool) => pins.judge({ name: tool.name, node: nodeOf(tool) })))
  const approve = (...tools: readonly Tool[]): void => {
    writePinsFile(file, new Map(tools.map((tool) => [tool.name, pin(tool)])))
    nowMs += 1_000
  }
  const seenTools = (): string[] => readSeen(file).definitions.map(({ tool, sha256 }) => `${tool} ${sha256}`)

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kmcp-pins-'))
    file = join(folder, 'pins.yml')
    nowMs = 0
    logged.length = 0
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  it('says of each definition in a list whether it is the approved one', () => {
    approve(get, { name: 'other' })
    const pins = routes().open('route 1', 'enforce', file)
    expect(list(pins, changed, fresh, { name: 'other' })).toEqual({
      mode: 'enforce',
      fresh: [{ tool: 'new_tool', sha256: digest(fresh) }],
      changed: [{ tool: 'get_issue', sha256: digest(changed), approved: digest(get) }],
      flagged: [],
    })
  })

  it('judges calls by the list before, and by the pin alone where there was none', () => {
    approve(get)
    const pins = routes().open('route 1', 'enforce', file)
    expect([pins.fault('get_issue'), pins.fault('new_tool')]).toEqual([undefined, 'definition_new'])
    list(pins, changed)
    expect(pins.fault('get_issue')).toBe('definition_changed')
    list(pins, get)
    expect(pins.fault('get_issue')).toBeUndefined()
  })

  it('judges without remembering, until a list was understood', () => {
    approve(get)
    const pins = routes().open('route 1', 'enforce', file)
    expect(pins.judge({ name: 'get_issue', node: nodeOf(changed) }).fault).toBe('definition_changed')
    expect(pins.fault('get_issue')).toBeUndefined()
    expect(readSeen(file).definitions).toEqual([])
  })

  it('keeps what one route saw from the other, and through a change of its configuration', () => {
    approve(get)
    const all = routes()
    list(all.open('route 1', 'warn', file), changed)
    expect(all.open('route 1', 'enforce', file).fault('get_issue')).toBe('definition_changed')
    expect(all.open('route 2', 'enforce', file).fault('get_issue')).toBeUndefined()
    all.close('route 1')
    expect(all.of('route 1')).toBeUndefined()
    expect(all.of('route 2')).toBeDefined()
  })

  it('takes a new version of the file within a second', () => {
    approve(get)
    const pins = routes().open('route 1', 'enforce', file)
    list(pins, changed)
    writePinsFile(file, new Map([['get_issue', pin(changed)]]))
    expect(pins.fault('get_issue')).toBe('definition_changed')
    nowMs += 1_000
    expect(pins.fault('get_issue')).toBeUndefined()
    expect(logged.at(-1)).toMatch(/^info: .*new version/)
  })

  it.each<[note: string, (path: string) => unknown]>([
    ['torn in a digest', (path) => writeFileSync(path, readFileSync(path, 'utf8').slice(0, -90))],
    ['emptied', (path) => writeFileSync(path, '')],
    ['no YAML', (path) => writeFileSync(path, 'tools: {')],
    ['with a tool twice', (path) => appendFileSync(path, '  get_issue: {}\n')],
    ['removed', (path) => rm(path)],
  ])('stays with the version before when the file is %s, and says so once', async (_note, damage) => {
    approve(get)
    const pins = routes().open('route 1', 'enforce', file)
    await damage(file)
    for (let at = 0; at < 3; at++) {
      nowMs += 1_000
      expect([pins.fault('get_issue'), pins.fault('new_tool')]).toEqual([undefined, 'definition_new'])
    }
    expect(logged.filter((line) => /^error: .*the version before stays/.test(line)).length).toBe(1)
    approve(get, fresh)
    expect(pins.fault('new_tool')).toBeUndefined()
  })

  it('cannot be enforced without one usable version, and can be watched without any', () => {
    const all = routes()
    expect(() => all.open('route 1', 'enforce', file)).toThrow(/pins\.yml: ENOENT/)
    expect(all.of('route 1')).toBeUndefined()
    const pins = all.open('route 1', 'warn', file)
    expect(list(pins, get).fresh.length).toBe(1)
    expect(() => all.open('route 2', 'enforce', file)).toThrow(/ENOENT/)
    approve(get)
    expect(all.open('route 2', 'enforce', file).fault('get_issue')).toBeUndefined()
    expect(list(pins, get).fresh).toEqual([])
  })

  it('is JSON where its name says so', () => {
    file = join(folder, 'pins.json')
    approve(get)
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ tools: { get_issue: { sha256: digest(get) } } })
    expect(readPinsFile(file).get('get_issue')).toEqual(pin(get))
  })

  it('is replaced behind its link, keeps its mode, and leaves nothing beside it', async () => {
    approve(get)
    await chmod(file, 0o640)
    const link = join(folder, 'link.yml')
    symlinkSync(file, link)
    writePinsFile(link, new Map([['new_tool', pin(fresh)]]))
    expect([...readPinsFile(file).keys()]).toEqual(['new_tool'])
    expect(statSync(file).mode & 0o777).toBe(0o640)
    expect((await readdir(folder)).toSorted()).toEqual(['link.yml', 'pins.yml'])
  })

  it('takes any name a server can give', () => {
    const names = ['__proto__', 'constructor', '123', 'true', '#x', 'a: b', '\u200b', '']
    approve(...names.map((name) => ({ name })))
    const pins = routes().open('route 1', 'enforce', file)
    expect(names.map((name) => pins.fault(name))).toEqual(names.map(() => undefined))
    expect(pins.fault('toString')).toBe('definition_new')
  })

  describe('what was seen', () => {
    it('is kept once, approved or not, for its owner only', () => {
      approve(get)
      const pins = routes().open('route 1', 'warn', file)
      list(pins, { ...get, _meta: { trace: 1 } }, fresh)
      list(pins, { ...get, _meta: { trace: 2 } }, fresh)
      // Another process does not keep it again.
      list(routes().open('route 1', 'warn', file), get, fresh)
      expect(seenTools()).toEqual([`get_issue ${digest(get)}`, `new_tool ${digest(fresh)}`])
      expect(readFileSync(seenFileOf(file), 'utf8').split('\n').length).toBe(3)
      expect(readSeen(file).texts.get(digest(get))).toEqual(get)
      expect(statSync(seenFileOf(file)).mode & 0o777).toBe(0o600)
    })

    it('is told to the log once for each change, with its digest and what is odd in it', () => {
      approve(get)
      const pins = routes().open('route 1', 'enforce', file)
      const odd = { ...get, description: 'Gets\u200b' }
      for (let at = 0; at < 3; at++) list(pins, odd, get, fresh)
      const warned = logged.filter((line) => line.startsWith('warn'))
      expect(warned.length).toBe(2)
      expect(warned[0]).toContain(`\`get_issue\`: definition ${digest(odd)} is not the approved ${digest(get)}`)
      expect(warned[0]).toContain('zero_width')
      expect(warned[1]).toContain(`\`new_tool\`: definition ${digest(fresh)} has no approval`)
    })

    it('is bounded: twenty definitions of a tool wait, and there is room again once they do not', () => {
      const pins = routes().open('route 1', 'warn', file)
      const versions = Array.from({ length: 25 }, (_, at) => ({ ...get, description: `version ${at}` }))
      for (const version of versions) list(pins, version)
      expect(seenTools().length).toBe(20)
      expect(logged.some((line) => /20 definitions wait/.test(line))).toBe(true)
      list(pins, fresh)
      expect(seenTools().length).toBe(21)
      const sha256 = digest(versions[0] as Tool)
      appendSeen(file, { event: 'superseded', at: '2026-11-25T08:00:00Z', tool: 'get_issue', sha256 })
      list(pins, versions[24] as Tool)
      expect(seenTools().at(-1)).toBe(`get_issue ${digest(versions[24] as Tool)}`)
    })

    it('comes back when the file was removed, and when what was superseded is seen again', async () => {
      const pins = routes().open('route 1', 'warn', file)
      list(pins, get)
      await rm(seenFileOf(file))
      list(pins, get)
      expect(seenTools().length).toBe(1)
      appendSeen(file, { event: 'superseded', at: '2026-11-25T08:00:00Z', tool: 'get_issue', sha256: digest(get) })
      expect(seenTools()).toEqual([])
      list(pins, get)
      expect(seenTools().length).toBe(1)
    })

    it('does not keep what nobody could read, but its digest', () => {
      const pins = routes().open('route 1', 'warn', file)
      list(pins, { ...get, description: 'x'.repeat(300_000) })
      expect(readSeen(file)).toMatchObject({ definitions: [{ tool: 'get_issue', definition: undefined }] })
    })

    it('survives a torn line, and believes no line whose digest is another’s', () => {
      const pins = routes().open('route 1', 'warn', file)
      list(pins, get)
      const whole = readFileSync(seenFileOf(file), 'utf8')
      appendFileSync(seenFileOf(file), whole.slice(0, 50))
      list(pins, fresh)
      appendFileSync(seenFileOf(file), whole.replace('Gets an issue', 'Deletes everything'))
      expect(seenTools()).toEqual([`get_issue ${digest(get)}`, `new_tool ${digest(fresh)}`])
      expect(readSeen(file).unreadable).toBe(2)
      expect(readSeen(file).texts.get(digest(get))).toEqual(get)
    })

    it('may be lost without changing what is withheld', async () => {
      approve(get)
      await chmod(folder, 0o500)
      const isRoot = process.getuid?.() === 0
      // Root writes anywhere: a folder in the file's place stops it, too.
      if (isRoot) symlinkSync('/nonexistent/seen', seenFileOf(file))
      const pins = routes().open('route 1', 'enforce', file)
      expect(list(pins, changed).changed.length).toBe(1)
      expect(list(pins, changed).changed.length).toBe(1)
      expect(pins.fault('get_issue')).toBe('definition_changed')
      expect(logged.filter((line) => /could not be kept/.test(line)).length).toBe(1)
      await chmod(folder, 0o700)
    })
  })
})
