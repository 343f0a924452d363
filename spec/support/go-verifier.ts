/** The second verifier (spec/support/verifier-go), built where there is a Go compiler. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** What it prints for a directory. @property error why it could not look */
export interface GoReport {
  readonly records: number
  readonly logs: number
  readonly checkpoints: number
  readonly faults: readonly string[]
  readonly error?: string
}

/** @param folder where it goes. @returns path of the program; or why there is none, which a spec shows as its reason to skip */
export function buildGoVerifier(folder: string): { readonly program: string } | { readonly missing: string } {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' })
  } catch {
    return { missing: 'there is no `go` on the PATH: the second verifier was not asked' }
  }
  const program = join(folder, 'go-verifier')
  execFileSync('go', ['build', '-o', program, join(import.meta.dirname, 'verifier-go', 'main.go')])
  return { program }
}

/** The verifier as a process that answers for one directory after another. */
export function startGoVerifier(
  program: string,
  keys: readonly string[],
): { verify(directory: string): Promise<GoReport>; stop(): Promise<void> } {
  const child = spawn(program, ['--serve', ...keys.flatMap((key) => ['--key', key])], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  return {
    async verify(directory) {
      child.stdin.write(`${directory}\n`)
      const { value, done } = await lines.next()
      if (done === true) throw new Error('the second verifier has ended')
      return JSON.parse(value) as GoReport
    },
    async stop() {
      child.stdin.end()
      await ended
    },
  }
}
