import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import type { ProviderStore } from '../../../embedded/idp/store.ts'
import { openStore, storeFile } from '../../../embedded/idp/store.ts'
import { temporaryFolder } from './start.ts'

/** A store that must not meet a defect before the test is over. */
function open(folder: string, nowMs: () => number): ProviderStore {
  const defects: string[] = []
  const store = openStore(folder, nowMs, (line) => defects.push(line))
  onTestFinished(() => {
    store.save()
    expect(defects).toEqual([])
  })
  return store
}

it('forgets what has expired, to the millisecond', async () => {
  let nowMs = 1_000_000
  const codes = open(temporaryFolder(), () => nowMs).adapterFor('AuthorizationCode')
  await codes.upsert('a', { grantId: 'g' }, 60)
  nowMs += 59_999
  expect(await codes.find('a')).toEqual({ grantId: 'g' })
  nowMs += 1
  expect(await codes.find('a')).toBeUndefined()
})

it('finds sessions by their uid as well, until they are destroyed', async () => {
  const sessions = open(temporaryFolder(), () => 0).adapterFor('Session')
  await sessions.upsert('id', { uid: 'the-uid' }, 60)
  expect(await sessions.findByUid('the-uid')).toEqual({ uid: 'the-uid' })
  expect(await sessions.findByUid('id')).toBeUndefined()
  await sessions.destroy('id')
  expect(await sessions.findByUid('the-uid')).toBeUndefined()
})

it('revokes everything of one grant, whatever its kind, and nothing of another', async () => {
  const store = open(temporaryFolder(), () => 0)
  const [codes, tokens] = [store.adapterFor('AuthorizationCode'), store.adapterFor('RefreshToken')]
  await codes.upsert('c', { grantId: 'one' }, 60)
  await tokens.upsert('r', { grantId: 'one' }, 60)
  await tokens.upsert('other', { grantId: 'two' }, 60)
  await tokens.revokeByGrantId('one')
  expect([await codes.find('c'), await tokens.find('r')]).toEqual([undefined, undefined])
  expect(await tokens.find('other')).toEqual({ grantId: 'two' })
})

it('notes when something was used up', async () => {
  const codes = open(temporaryFolder(), () => 5500).adapterFor('AuthorizationCode')
  await codes.upsert('c', {}, 60)
  await codes.consume('c')
  expect(await codes.find('c')).toEqual({ consumed: 5 })
})

it('writes refresh tokens soon after they change, without being closed, and never writes codes', async () => {
  const folder = temporaryFolder()
  const store = open(folder, Date.now)
  await store.adapterFor('AuthorizationCode').upsert('the-code', {}, 60)
  await store.adapterFor('RefreshToken').upsert('the-token', { grantId: 'g' }, 60)
  await store.adapterFor('RefreshToken').upsert('expired-token', { grantId: 'g' }, 0)
  expect(existsSync(join(folder, storeFile))).toBe(false)
  await vi.waitFor(() => expect(readFileSync(join(folder, storeFile), 'utf8')).toContain('the-token'))
  expect(readFileSync(join(folder, storeFile), 'utf8')).not.toMatch(/the-code|expired-token/)
  const reopened = open(folder, Date.now).adapterFor('RefreshToken')
  expect(await reopened.find('the-token')).toEqual({ grantId: 'g' })
})

it('goes on in memory and says so when its folder is taken away', async () => {
  const folder = temporaryFolder()
  const defects: string[] = []
  const tokens = openStore(folder, Date.now, (line) => defects.push(line)).adapterFor('RefreshToken')
  rmSync(folder, { recursive: true })
  await tokens.upsert('t', { grantId: 'g' }, 60)
  await vi.waitFor(() => expect(defects).toEqual([expect.stringMatching(/^the store cannot be written: ENOENT/)]))
  expect(await tokens.find('t')).toEqual({ grantId: 'g' })
})
