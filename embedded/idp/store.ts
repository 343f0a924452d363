import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Adapter, AdapterPayload } from 'oidc-provider'

/** The provider's memory: everything it knows between two requests. */
export interface ProviderStore {
  /** What oidc-provider asks for: one adapter for each of its models. */
  readonly adapterFor: (model: string) => Adapter
  /** Writes what has to survive a restart; called on close, and soon after every change. */
  save(): void
}

/** The name of the file under the state directory. It holds refresh tokens: readable by its owner only. */
export const storeFile = 'identity-provider-store.json'

/** Models that survive a restart. Sessions, codes and half-finished logins do not: they live for minutes. */
const keptModels = new Set(['Client', 'Grant', 'RefreshToken', 'RegistrationAccessToken'])

/** How long changes are collected before the file is written again. */
const saveDelayMs = 100

interface Entry {
  readonly payload: AdapterPayload
  /** Milliseconds since the epoch; undefined never expires. */
  readonly expiresAtMs?: number
}

/**
 * Opens the store: in memory, with refresh tokens, grants and registered clients kept in one file.
 *
 * @param stateDir has to exist
 * @param nowMs    the clock, milliseconds since the epoch
 * @param onDefect told when the file could not be written between two requests; the memory stays good
 * @throws Error when the file is there but is not JSON; it is never overwritten
 */
export function openStore(stateDir: string, nowMs: () => number, onDefect: (line: string) => void): ProviderStore {
  const path = join(stateDir, storeFile)
  const entries = readEntries(path)
  /** Sessions are also looked up by their uid. */
  const sessionIds = new Map<string, string>()
  let timer: NodeJS.Timeout | undefined

  function isLive(entry: Entry): boolean {
    return entry.expiresAtMs === undefined || nowMs() < entry.expiresAtMs
  }

  function prune(): void {
    for (const [key, entry] of entries) {
      if (isLive(entry)) continue
      entries.delete(key)
      if (entry.payload.uid !== undefined) sessionIds.delete(entry.payload.uid)
    }
  }

  function save(): void {
    clearTimeout(timer)
    timer = undefined
    prune()
    const kept = [...entries].filter(([key]) => keptModels.has(modelOf(key)))
    writeFileSync(`${path}.new`, JSON.stringify(kept), { mode: 0o600 })
    renameSync(`${path}.new`, path)
  }

  function saveLater(): void {
    try {
      save()
    } catch (error) {
      onDefect(`the store cannot be written: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  function changed(model: string): void {
    if (keptModels.has(model)) timer ??= setTimeout(saveLater, saveDelayMs).unref()
  }

  function live(key: string): AdapterPayload | undefined {
    const entry = entries.get(key)
    return entry !== undefined && isLive(entry) ? entry.payload : undefined
  }

  function adapterFor(model: string): Adapter {
    const keyOf = (id: string): string => `${model}:${id}`
    return {
      upsert(id, payload, expiresInS) {
        if (model === 'Session' && payload.uid !== undefined) sessionIds.set(payload.uid, id)
        entries.set(keyOf(id), {
          payload,
          ...(expiresInS === undefined ? {} : { expiresAtMs: nowMs() + expiresInS * 1000 }),
        })
        changed(model)
        return Promise.resolve()
      },
      find: (id) => Promise.resolve(live(keyOf(id))),
      findByUid: (uid) => Promise.resolve(live(keyOf(sessionIds.get(uid) ?? ''))),
      // Only the device flow has user codes, and it is switched off.
      findByUserCode: () => Promise.resolve(undefined),
      consume(id) {
        const payload = live(keyOf(id))
        if (payload !== undefined) payload.consumed = Math.floor(nowMs() / 1000)
        changed(model)
        return Promise.resolve()
      },
      destroy(id) {
        entries.delete(keyOf(id))
        changed(model)
        return Promise.resolve()
      },
      revokeByGrantId(grantId) {
        for (const [key, { payload }] of entries) if (payload.grantId === grantId) entries.delete(key)
        changed('Grant')
        return Promise.resolve()
      },
    }
  }

  return { adapterFor, save }
}

function modelOf(key: string): string {
  return key.slice(0, key.indexOf(':'))
}

function readEntries(path: string): Map<string, Entry> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map()
    throw error
  }
  try {
    return new Map(JSON.parse(text) as [string, Entry][])
  } catch {
    throw new Error(`the store in \`${path}\` cannot be read; remove the file to start with an empty one`)
  }
}
