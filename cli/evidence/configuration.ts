/** The gateway's settings at the start and at the end of the period, and what changed between. */
import { isRecord } from '../../lib/is-record.ts'
import { sha256 } from './folder.ts'
import type { Section } from './section.ts'
import { count, counted, Extent, type Seen, said, timeText } from './seen.ts'
import { maxKinds } from './tally.ts'

const maxChanges = 1_000
const absent = '(not set)'
/** Stands for the settings of a record that was too long to have them. */
const all = '(all)'

/** @property atStart undefined where nothing before the period tells of it */
interface Known {
  readonly node: string
  readonly route: string
  readonly plugin: string
  atStart: ReadonlyMap<string, string> | undefined
  now: ReadonlyMap<string, string>
}

export class Configuration {
  readonly #known = new Map<string, Known>()
  readonly #extent = new Extent()
  readonly #changes: Record<string, string>[] = []
  #changesCount = 0
  #refused = 0
  #left = 0

  add(seen: Seen): void {
    const { record, type, when } = seen
    if (type !== 'configuration' || (when !== 'before' && when !== 'within')) return
    const [route, plugin] = [said(record.route), said(record.plugin)]
    if (when === 'within') this.#extent.add(seen)
    if (record.event === 'refused') {
      if (when === 'before') return
      this.#refused++
      this.#change(seen, { setting: '', before: '', after: `refused: ${said(record.because)}` })
      return
    }
    const key = JSON.stringify([seen.directory, seen.node, route, plugin])
    const now = flat(record.settings)
    const known = this.#known.get(key)
    if (!known) {
      if (this.#known.size >= maxKinds) this.#left++
      else this.#known.set(key, { node: seen.node, route, plugin, atStart: when === 'before' ? now : undefined, now })
      return
    }
    if (when === 'before') known.atStart = now
    else for (const change of differences(known.now, now)) this.#change(seen, change)
    known.now = now
  }

  section(): Section {
    const apart = this.#apart()
    return {
      id: 'configuration',
      title: 'Settings of the gateway',
      criteria: ['CC8.1', 'CC6.1', 'CC6.6', 'CC6.8'],
      shows:
        'Every setting of the suite’s plugins, for each route, at the start and at the end of the period, and each change between: which issuers of tokens are accepted, whether sessions are bound, which arguments are recorded in the clear, whether tool definitions are pinned. Each node records its own when it first runs a plugin for a route, and again when they are others than before. Policies are told in their own section.',
      doesNotShow:
        'Who changed them, and why: ask for the change of kong.yml. Values that are secret, and whether they changed. When exactly: a node notices with the first request after the change. Settings of Kong’s own plugins, such as its rate limits.',
      tables: [
        {
          title: 'Changes',
          file: 'configuration-changes.csv',
          empty: 'no setting changed within the period',
          extent: this.#extent,
          unlisted: this.#changesCount > maxChanges ? counted(this.#changesCount - maxChanges, 'more change') : '',
          columns: [
            { name: 'time', label: 'noticed' },
            { name: 'node', label: 'node' },
            { name: 'record', label: 'record' },
            { name: 'route', label: 'route' },
            { name: 'plugin', label: 'plugin' },
            { name: 'setting', label: 'setting' },
            { name: 'before', label: 'before' },
            { name: 'after', label: 'after' },
          ],
          rows: this.#changes,
        },
        {
          title: 'Settings',
          file: 'configuration.csv',
          empty: 'no record up to the end of the period tells of settings',
          unlisted: this.#left === 0 ? '' : `${counted(this.#left, 'record')} of further routes`,
          isOnlyInFile: true,
          columns: [
            { name: 'route', label: 'route' },
            { name: 'plugin', label: 'plugin' },
            { name: 'setting', label: 'setting' },
            { name: 'at_start', label: 'at the start' },
            { name: 'at_end', label: 'at the end' },
            { name: 'nodes', label: 'nodes' },
          ],
          rows: this.#settings(),
        },
      ],
      exceptions: [],
      observations: [
        ...(this.#changesCount > this.#refused
          ? [`${counted(this.#changesCount - this.#refused, 'change')} of a setting of the gateway.`]
          : []),
        ...(this.#refused === 0 ? [] : [`${counted(this.#refused, 'time')} a node refused its settings for a route.`]),
        ...(apart.length === 0 ? [] : [`Nodes differ in settings at the end of the period: ${named(apart)}.`]),
      ],
    }
  }

  #change(seen: Seen, change: Difference): void {
    this.#changesCount++
    if (this.#changes.length >= maxChanges) return
    this.#changes.push({
      time: timeText(seen.time),
      node: seen.node,
      record: `${seen.key}:${seen.place}`,
      route: said(seen.record.route),
      plugin: said(seen.record.plugin),
      ...change,
    })
  }

  /** One row for all nodes that say the same. */
  #settings(): (SettingRow & { readonly nodes: string })[] {
    const rows = new Map<string, { readonly row: SettingRow; readonly nodes: Set<string> }>()
    for (const { node, route, plugin, atStart, now } of this.#known.values()) {
      for (const setting of new Set([...(atStart ?? now).keys(), ...now.keys()])) {
        const before = atStart ? valueIn(atStart, setting) : unknown
        const row = { route, plugin, setting, at_start: before, at_end: valueIn(now, setting) }
        const key = JSON.stringify(row)
        rows.set(key, { row, nodes: (rows.get(key)?.nodes ?? new Set()).add(node) })
      }
    }
    return [...rows]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { row, nodes }]) => ({ ...row, nodes: [...nodes].sort().join(', ') }))
  }

  /** Settings that are not the same on all nodes; a node's own name never is. */
  #apart(): string[] {
    const places = Map.groupBy(this.#known.values(), ({ route, plugin }) => JSON.stringify([route, plugin]))
    return [...places.values()].flatMap((all) =>
      [...new Set(all.flatMap(({ now }) => [...now.keys()]))]
        .filter((setting) => !/(?:^|\.)node$/.test(setting) && new Set(all.map(({ now }) => now.get(setting))).size > 1)
        .map((setting) => `${all[0]?.plugin} ${setting} on ${all[0]?.route}`),
    )
  }
}

type SettingRow = Readonly<Record<'route' | 'plugin' | 'setting' | 'at_start' | 'at_end', string>>

interface Difference {
  readonly setting: string
  readonly before: string
  readonly after: string
}

function differences(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): Difference[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((setting) => before.get(setting) !== after.get(setting))
    .map((setting) => ({ setting, before: valueIn(before, setting), after: valueIn(after, setting) }))
}

const unknown = '(not known)'
const valueIn = (settings: ReadonlyMap<string, string>, setting: string): string =>
  settings.get(setting) ?? (settings.has(all) && setting !== all ? unknown : absent)

/** `oauth.dpop.mode` and the like, each with its value; lists stay whole, but for those of records. */
function flat(settings: unknown, prefix = '', into = new Map<string, string>()): ReadonlyMap<string, string> {
  if (prefix === '' && isRecord(settings) && settings.cut === true)
    return into.set(all, `too long for a record, SHA-256 ${said(settings.sha256)}`)
  const isList = Array.isArray(settings) && settings.some(isRecord)
  if (isList || (isRecord(settings) && Object.keys(settings).length > 0)) {
    for (const [name, value] of Object.entries(settings as object))
      flat(value, whole(prefix === '' ? name : `${prefix}.${name}`), into)
  } else if (prefix !== '') into.set(prefix, whole(settings))
  return into
}

/** A setting's name, or what it says; two that differ only behind where they are cut do not look the same. */
function whole(text: unknown): string {
  const shown = said(text)
  return shown.endsWith('…') ? `${shown} (SHA-256 ${sha256(JSON.stringify(text))})` : shown
}

const maxNamed = 10
const named = (all: readonly string[]): string =>
  all.slice(0, maxNamed).join(', ') + (all.length > maxNamed ? ` and ${count(all.length - maxNamed)} more` : '')
