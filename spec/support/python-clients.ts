/** MCP's Python client, in the versions a spec names: each in a virtual environment of its own, kept between runs. */
import { execFile, spawn } from 'node:child_process'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { root } from '../../embedded/world.ts'

const script = join(import.meta.dirname, 'python-client', 'ask.py')
const environments = join(root, 'node_modules', '.cache', 'kmcp-python')

/** How long pip may take for one version, in milliseconds. */
const installTimeoutMs = 120_000

/** A tool to call. */
export interface PythonCall {
  readonly name: string
  readonly arguments: Readonly<Record<string, unknown>>
}

/**
 * What python-client/ask.py is asked; the meaning of each member is told there.
 *
 * @property era modern is for `mcp` 2.x only
 */
export interface PythonJob {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly era: 'legacy' | 'modern'
  readonly calls: readonly PythonCall[]
  readonly timeout_s: number
}

/** What became of a connection or a call. */
export interface CallOutcome {
  readonly outcome: 'result' | 'error' | 'exception' | 'hang'
  readonly type: string | null
  readonly code: number | null
  readonly message: string
}

/** A Python process that waits for jobs. */
export interface PythonClient {
  /**
   * Does one job: the connection's outcome, then that of each call that could still be made.
   *
   * @throws Error when the process ends, or says nothing for twice as long as the job may take
   */
  readonly ask: (job: PythonJob) => Promise<CallOutcome[]>
  readonly close: () => void
}

/**
 * A version of the library.
 *
 * @property python  the interpreter that has it; absent where it cannot be had
 * @property missing why it cannot be had, for the spec to print
 */
export interface PythonVersion {
  readonly version: string
  readonly python?: string
  readonly missing?: string
}

/**
 * Makes a version of PyPI's `mcp` available: takes the environment of an earlier run, or makes one with `python3 -m venv`
 * and pip.
 */
export async function findPythonVersion(version: string): Promise<PythonVersion> {
  const folder = join(environments, version)
  const python = join(folder, 'bin', 'python')
  const run = promisify(execFile)
  const isThere = (): Promise<boolean> =>
    run(python, ['-c', 'import importlib.metadata as m; print(m.version("mcp"))'], { timeout: 20_000 }).then(
      ({ stdout }) => stdout.trim() === version,
      () => false,
    )
  if (await isThere()) return { version, python }
  // Built beside its place and moved there whole, so that two runs at once, or half a run, leave nothing broken.
  const building = join(environments, `${version}.${process.pid}`)
  try {
    await mkdir(environments, { recursive: true })
    await run('python3', ['-m', 'venv', building], { timeout: installTimeoutMs })
    const pip = ['-m', 'pip', 'install', '--quiet', '--no-input', '--disable-pip-version-check', '--retries', '1']
    await run(join(building, 'bin', 'python'), [...pip, `mcp==${version}`], { timeout: installTimeoutMs })
    if (!(await isThere())) {
      await rm(folder, { recursive: true, force: true })
      await rename(building, folder)
    }
  } catch (error) {
    const [because] = (error instanceof Error ? error.message : String(error)).split('\n')
    return { version, missing: `skipped: mcp ${version} for Python cannot be had here: ${because ?? ''}` }
  } finally {
    await rm(building, { recursive: true, force: true })
  }
  return { version, python }
}

/** Starts a process of this version. */
export function startPythonClient(python: string): PythonClient {
  const child = spawn(python, ['-W', 'ignore', script], { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4_000)))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  // A process that is gone is noticed by the missing line.
  child.stdin.on('error', () => undefined)
  const ask: PythonClient['ask'] = async (job) => {
    child.stdin.write(`${JSON.stringify(job)}\n`)
    const boundMs = 2_000 * job.timeout_s * (1 + job.calls.length) + 10_000
    let timer: NodeJS.Timeout | undefined
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`python said nothing within ${boundMs} ms`)), boundMs)
    })
    try {
      const line = await Promise.race([lines.next(), tooLate])
      if (line.done === true) throw new Error(`python ended: ${said}`)
      return JSON.parse(line.value) as CallOutcome[]
    } finally {
      clearTimeout(timer)
    }
  }
  return { ask, close: () => child.kill() }
}
