/** A Go module's files, from the module proxy: test data of others that this repository has no copy of. */
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'

/**
 * @param module with its version
 * @param sum    its hash, as go.sum has it
 * @returns where it lies, in Go's own cache; or why it is not there, which a spec shows as its reason to skip
 * @throws Error for a module that is another than this
 */
export function goModule(module: string, sum: string): { readonly folder: string } | { readonly missing: string } {
  const { status, stdout } = spawnSync('go', ['mod', 'download', '-json', module], {
    cwd: tmpdir(),
    encoding: 'utf8',
    timeout: 60_000,
  })
  if (status !== 0) return { missing: `${module} cannot be had, or there is no \`go\` on the PATH` }
  const { Dir, Sum } = JSON.parse(stdout) as { readonly Dir: string; readonly Sum: string }
  if (Sum !== sum) throw new Error(`${module} has the hash ${Sum}, expected ${sum}`)
  return { folder: Dir }
}
