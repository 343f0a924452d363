/** Finds what `npm start` wrote about itself. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { UsageError } from './command.ts'

export interface ReadyFile {
  readonly gateway: string
  readonly issuer: string
  readonly resource: string
  readonly audit: { readonly dir: string }
}

/** @param runDir default `.run` of the project. @throws UsageError where nothing runs */
export async function readReadyFile(runDir = join(import.meta.dirname, '..', '.run')): Promise<ReadyFile> {
  const file = join(runDir, 'ready.json')
  const text = await readFile(file, 'utf8').catch(() => {
    throw new UsageError(`nothing is running (no ${file}): run \`npm start\` first`)
  })
  return JSON.parse(text) as ReadyFile
}
