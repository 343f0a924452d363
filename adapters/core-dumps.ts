/** What a process that crashes may leave on disk. */
import { writeFileSync } from 'node:fs'

/**
 * Leaves this process's memory, and that of those it starts, out of core dumps: tokens and arguments are in it. Whoever reads
 * one finds registers and the stack's addresses, and no bytes (core(5), `coredump_filter`).
 *
 * Does nothing where there is no such thing, which is everywhere but on Linux.
 */
export function keepMemoryOutOfCoreDumps(): void {
  try {
    writeFileSync('/proc/self/coredump_filter', '0')
  } catch {
    // Another system, or a /proc that is not ours to write to.
  }
}
