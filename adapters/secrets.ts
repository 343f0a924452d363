/** Secrets: from where they are read, and that they are said nowhere else. */
import { readFileSync } from 'node:fs'
import { visible } from '../lib/audit/formats/visible-text.ts'

/** @property env name of an environment variable. @property file path of a file; its last line feed does not count */
export type SecretSource = { readonly env: string } | { readonly file: string }

/** The secret that `<member>_env` or `<member>_file` of a configuration names; undefined where neither is there. */
export function secretSource(settings: object, member: string): SecretSource | undefined {
  const named = settings as Readonly<Record<string, unknown>>
  const [env, file] = [named[`${member}_env`], named[`${member}_file`]]
  if (typeof env === 'string') return { env }
  return typeof file === 'string' ? { file } : undefined
}

/**
 * Knows every secret it has read, so that no text with one in it is logged or written.
 *
 * A receiver may send back what it was sent (in an error, say): whatever comes from outside goes through `hide`.
 */
export class Secrets {
  readonly #known = new Set<string>()

  /**
   * Reads a secret anew: files are replaced while the process runs.
   *
   * @throws Error where there is none, naming where it should be
   */
  read(source: SecretSource): string {
    const secret = ('env' in source ? process.env[source.env] : readFileSync(source.file, 'utf8'))?.trim() ?? ''
    const where = 'env' in source ? `the environment variable ${source.env}` : source.file
    if (secret === '') throw new Error(`${where} is empty: put the secret there`)
    if (/[^\x20-\x7e]/.test(secret)) throw new Error(`${where} has something else than printable ASCII in it`)
    this.#known.add(secret)
    this.#known.add(encodeURIComponent(secret))
    this.#known.add(Buffer.from(secret).toString('base64'))
    return secret
  }

  /** A text of one line without secrets, 500 characters at most. */
  hide(text: string): string {
    let hidden = text
    for (const secret of this.#known) hidden = hidden.replaceAll(secret, '***')
    return visible(hidden).slice(0, 500)
  }
}
