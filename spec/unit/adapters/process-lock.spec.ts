/** One process of a kind for one directory, however they come and go. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { holderOf, type Lock, takeLock } from '../../../adapters/process-lock.ts'

describe('a lock of a directory', () => {
  let directory = ''
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'kmcp-lock-'))
  })
  afterEach(() => rm(directory, { recursive: true }))

  const isLock = (taken: Lock | string): taken is Lock => typeof taken !== 'string'
  const take = async (name = 'one'): Promise<Lock> => {
    const taken = await takeLock(directory, name)
    if (!isLock(taken)) throw new Error(taken)
    return taken
  }

  it('says who has it, until it is given back', async () => {
    expect(await holderOf(directory, 'one')).toBeUndefined()
    const lock = await take()
    const me = `pid ${process.pid} on ${hostname()}`
    expect([await takeLock(directory, 'one'), await holderOf(directory, 'one'), await lock.isHeld()]).toEqual([
      me,
      me,
      true,
    ])
    const other = await take('another')
    await Promise.all([lock.release(), other.release()])
    expect([await readdir(directory), await lock.isHeld()]).toEqual([[], false])
    await (await take()).release()
  })

  it('is never had by two, however many come at the same moment', async () => {
    let rounds = 0
    for (let round = 0; round < 20; round++) {
      const all = await Promise.all(Array.from({ length: 6 }, () => takeLock(directory, 'one')))
      const taken = all.filter(isLock)
      expect(taken.length).toBeLessThanOrEqual(1)
      rounds += taken.length
      await taken[0]?.release()
      expect(await readdir(directory)).toEqual([])
    }
    expect(rounds).toBeGreaterThan(0)
  })

  it('is given back though somebody stays connected to it', async () => {
    const lock = await take()
    const [file = ''] = await readdir(directory)
    const socket = connect({ path: join(directory, file), allowHalfOpen: true })
    await new Promise((resolve) => socket.once('data', resolve))
    await lock.release()
    socket.destroy()
  })

  it('says where there is no directory', async () => {
    await expect(takeLock(join(directory, 'none'), 'one')).rejects.toThrow(/ENOENT.*none/)
    expect(await holderOf(join(directory, 'none'), 'one')).toBeUndefined()
  })
})
