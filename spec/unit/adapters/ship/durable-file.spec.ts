/** What is appended is there, in the file of that name, whatever became of an earlier one. */
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { AppendedFile } from '../../../../adapters/ship/durable-file.ts'

let folder: string
let path: string
let file: AppendedFile
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kmcp-appended-'))
  path = join(folder, 'lines.jsonl')
  file = new AppendedFile(path)
})
afterEach(async () => {
  await file.close()
  rmSync(folder, { recursive: true, force: true })
})
const lines = (): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1)

describe('a file that is appended to', () => {
  it.each([
    { note: 'taken away', harm: () => rmSync(path) },
    { note: 'renamed, as logrotate does', harm: () => renameSync(path, `${path}.1`) },
  ])('and $note is begun again: nothing goes where nobody looks', async ({ harm }) => {
    await file.append(['one'])
    harm()
    await file.append(['two'])
    expect(lines()).toEqual(['two'])
  })

  it('on a disk that was full in the middle of a line swallows no line after it', async () => {
    await file.append(['{"n":1}'])
    const probe = await open(path, 'r')
    const handles = Object.getPrototypeOf(probe) as Pick<FileHandle, 'appendFile' | 'write'>
    await probe.close()
    const full = vi.spyOn(handles, 'appendFile').mockImplementationOnce(async function (this: typeof handles, data) {
      await this.write((data as Buffer).subarray(0, 4))
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    })
    await expect(file.append(['{"n":2}'])).rejects.toThrow(/ENOSPC/)
    full.mockRestore()
    await file.append(['{"n":2}'])
    expect(lines()).toEqual(['{"n":1}', '{"n"', '{"n":2}'])
  })
})
