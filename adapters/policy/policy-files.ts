/** Policies in files of their own: read again when they change, and never replaced by one that cannot be used. */
import { statSync } from 'node:fs'
import { readPolicyDocument, type SaidOfItself } from '../../lib/policy/read-document.ts'
import type { PolicyConfig } from '../../lib/policy/policy.ts'
import type { Clock } from '../clock.ts'
import { readYaml } from '../read-yaml.ts'

const lookEveryMs = 1_000
const maxBytes = 8 * 1024 * 1024

type Log = (level: 'info' | 'error', message: string) => void

/**
 * One file, as one route uses it.
 *
 * @property current what was made of the newest version that could be used
 */
export interface PolicyFile<T> {
  current(): T
}

export class PolicyFiles {
  readonly #clock: Clock
  readonly #log: Log

  constructor(clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
  }

  /**
   * Opens a file.
   *
   * It is looked at once a second at most, when somebody asks; a version that cannot be read or made into anything is
   * logged once, and the one before stays.
   *
   * @param make makes of a policy, and what its file says of itself, what is needed of it; throws for one that cannot be used
   * @param refused is told why a later version is not used
   * @throws Error when not even the first version can be used
   */
  open<T>(
    path: string,
    make: (config: PolicyConfig, says: SaidOfItself) => T,
    refused?: (because: string) => void,
  ): PolicyFile<T> {
    const read = (): T => {
      const { policy, says } = readPolicyFile(path)
      return make(policy, says)
    }
    let mark = markOf(path)
    let made = read()
    let lookedMono = this.#clock.monoMs()
    return {
      current: () => {
        if (this.#clock.monoMs() - lookedMono < lookEveryMs) return made
        lookedMono = this.#clock.monoMs()
        const seen = markOf(path)
        if (seen === mark) return made
        mark = seen
        try {
          made = read()
          this.#log('info', `policy ${path}: a new version is in force`)
        } catch (error) {
          const because = error instanceof Error ? error.message : String(error)
          refused?.(because)
          this.#log('error', `policy ${path}: not used, the version before stays in force: ${because}`)
        }
        return made
      },
    }
  }
}

/**
 * Reads a policy from a file of YAML or JSON.
 *
 * @throws Error naming every fault of it
 */
function readPolicyFile(path: string): { readonly policy: PolicyConfig; readonly says: SaidOfItself } {
  const { size } = statSync(path)
  if (size > maxBytes) throw new Error(`${path} is larger than ${maxBytes} bytes`)
  const read = readPolicyDocument(readYaml(path))
  if (!read.ok) throw new Error(read.faults.join('; '))
  return read
}

/** What changes when a file does, replacing it by another (as Kubernetes does) included. */
function markOf(path: string): string {
  try {
    const { ino, size, mtimeMs, ctimeMs } = statSync(path)
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`
  } catch {
    return 'absent'
  }
}
