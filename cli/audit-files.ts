/** Reads the trails of a directory. */
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { UsageError } from './command.ts'
import { readReadyFile } from './ready-file.ts'

/** The directory named, or the one `npm start` writes to. */
export async function auditDirectory(named: string | undefined, runDir: string | undefined): Promise<string> {
  return named ?? (await readReadyFile(runDir)).audit.dir
}

/** Names of the trails in a directory, oldest first. @throws UsageError where there are none */
export async function trailFiles(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch(() => [])
  const trails = names.filter((name) => /^trail-.*\.jsonl$/.test(name)).sort()
  if (trails.length === 0) throw new UsageError(`there is no audit trail in ${directory}`)
  return trails
}

/** A trail's lines one by one, without line feeds; what stands after the last line feed comes as `torn`. */
export async function* trailLines(
  directory: string,
  file: string,
): AsyncGenerator<{ line: string } | { torn: string }> {
  let rest = ''
  for await (const chunk of createReadStream(join(directory, file), 'utf8')) {
    const lines = `${rest}${chunk as string}`.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) yield { line }
  }
  if (rest !== '') yield { torn: rest }
}
