/** Runs the official conformance suite (`@modelcontextprotocol/conformance`) against a server, and reads what it found. */
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from '../../../embedded/world.ts'

/** Packages under package.json's aliases: the suite's released line and its newest pre-release. */
export type SuiteVersion = 'conformance-released' | 'conformance-next'

/**
 * One way to run the suite.
 *
 * @property args after `server --url …`: which scenarios, at which revision
 */
export interface Run {
  readonly version: SuiteVersion
  readonly args: readonly string[]
}

export type Status = 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO'

/** One thing the suite looked at. @property key scenario, check id, and which one of that id, such as `ping/ping#1` */
export interface Check {
  readonly key: string
  readonly status: Status
  readonly why: string
}

/** Less than a spec may take, so that what the suite printed is seen; a run takes two seconds. */
const timeoutMs = 55_000

/**
 * Runs the suite in a process of its own; scenarios come one after the other.
 *
 * @returns every check of every scenario, in the order of the scenarios' names
 * @throws Error with what the suite printed, when it ran no scenario or did not end
 */
export async function runSuite({ version, args }: Run, url: string): Promise<readonly Check[]> {
  const output = await mkdtemp(join(tmpdir(), 'kmcp-conformance-'))
  try {
    const printed = await print([entryOf(version), 'server', '--url', url, ...args, '-o', output])
    const checks = await readChecks(output)
    if (checks.length === 0) throw new Error(`${version} ${args.join(' ')} checked nothing:\n${printed.slice(-2_000)}`)
    return checks
  } finally {
    await rm(output, { recursive: true, force: true })
  }
}

const entryOf = (version: SuiteVersion): string => join(root, 'node_modules', version, 'dist', 'index.js')

/** Its exit code says whether something failed: the checks say it better. */
async function print(args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (printed += chunk.toString()))
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  const ending = await new Promise<string | undefined>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (_, signal) => resolve(signal ?? undefined))
  })
  clearTimeout(timer)
  if (ending !== undefined) throw new Error(`the suite was ended by ${ending}:\n${printed.slice(-2_000)}`)
  return printed
}

/** Each scenario has a folder, `server-<scenario>-<time>`. */
async function readChecks(output: string): Promise<readonly Check[]> {
  const folders = (await readdir(output)).sort()
  const perScenario = await Promise.all(
    folders.map(async (folder) => {
      const scenario = folder.replace(/^server-/, '').replace(/-\d{4}-\d{2}-\d{2}T[\d-]+Z$/, '')
      const written = await readFile(join(output, folder, 'checks.json'), 'utf8').catch(() => undefined)
      // A scenario that threw has written nothing.
      if (written === undefined) return [{ key: `${scenario}/threw#1`, status: 'FAILURE' as const, why: 'it threw' }]
      const found = JSON.parse(written) as { id: string; status: Status; errorMessage?: string }[]
      const seen = new Map<string, number>()
      return found.map(({ id, status, errorMessage = '' }): Check => {
        const nth = (seen.get(id) ?? 0) + 1
        seen.set(id, nth)
        return { key: `${scenario}/${id}#${nth}`, status, why: errorMessage }
      })
    }),
  )
  return perScenario.flat()
}
