import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { JWK } from 'jose'
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose'

/** What the provider signs with. */
export interface ProviderKeys {
  /** Private keys; the public halves are what `/jwks` serves. */
  readonly jwks: { readonly keys: readonly JWK[] }
  /** Secrets for the signatures of the login cookies. */
  readonly cookieKeys: readonly string[]
}

/** The name of the file under the state directory. It holds private keys: readable by its owner only. */
export const keysFile = 'identity-provider-keys.json'

/**
 * The provider's keys, made on the first start and kept, so that a restart keeps every token valid.
 *
 * @param stateDir created when it is missing
 * @returns one ES256 key with its RFC 7638 thumbprint as `kid`, and one cookie secret
 * @throws Error when the file is there but cannot be read as such; it is never overwritten
 */
export async function loadKeys(stateDir: string): Promise<ProviderKeys> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 })
  const path = join(stateDir, keysFile)
  const text = await readFile(path, 'utf8').catch(ifMissing)
  if (text !== undefined) return parseKeys(text, path)
  const keys = await makeKeys()
  await writeFile(`${path}.new`, JSON.stringify(keys), { mode: 0o600 })
  await rename(`${path}.new`, path)
  return keys
}

async function makeKeys(): Promise<ProviderKeys> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = await exportJWK(privateKey)
  const kid = await calculateJwkThumbprint(jwk)
  return {
    jwks: { keys: [{ ...jwk, kid, use: 'sig', alg: 'ES256' }] },
    cookieKeys: [randomBytes(32).toString('base64url')],
  }
}

function parseKeys(text: string, path: string): ProviderKeys {
  try {
    const keys = JSON.parse(text) as Partial<ProviderKeys>
    if (keys.jwks?.keys[0]?.kid !== undefined && keys.cookieKeys?.[0] !== undefined) return keys as ProviderKeys
  } catch {
    // falls through to the one message below
  }
  throw new Error(`the keys in \`${path}\` cannot be read; remove the file to make new ones`)
}

function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
