/** Signed notes and Merkle trees of others (golang.org/x/mod/sumdb, github.com/transparency-dev), as a program. */
import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'

/** What the program printed. @property code 0: what was asked for is so */
export interface NoteGo {
  readonly code: number
  readonly out: string
}

const source = join(import.meta.dirname, 'note-go')

/**
 * @param folder where the program goes
 * @returns it; or why there is none: no Go, or its modules cannot be had (a program that does not compile is a defect)
 */
export function buildNoteGo(
  folder: string,
): { run(args: readonly string[], input: string): NoteGo } | { readonly missing: string } {
  for (const [args, missing] of [
    [['version'], 'there is no `go` on the PATH: Go’s packages were not asked'],
    [['mod', 'download'], 'the modules of spec/support/note-go cannot be downloaded: Go’s packages were not asked'],
  ] as const) {
    if (spawnSync('go', args, { cwd: source, stdio: 'ignore', timeout: 60_000 }).status !== 0) return { missing }
  }
  const program = join(folder, 'note-go')
  execFileSync('go', ['build', '-o', program, '.'], { cwd: source })
  return {
    run(args, input) {
      const { status, stdout } = spawnSync(program, args, { input, encoding: 'utf8' })
      return { code: status ?? -1, out: stdout }
    },
  }
}
