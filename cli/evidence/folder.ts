/** A folder of evidence: its files, a manifest with the digest of each, and a signature over the manifest. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type NoteSigner, signNote, verifierKey } from '../../lib/audit/signed-note.ts'
import { UsageError } from '../command.ts'
import { printableJson } from '../print-rows.ts'

export const manifestFile = 'manifest.json'
export const noteFile = 'manifest.note'
export const manifestFormat = 'kong-mcp-suite/evidence@v1'
/** What the key that signs evidence is called. No node is called so: theirs have a slash. */
export const evidenceKeyName = 'kong-mcp-suite-evidence'
export const unsignedText = 'unsigned: whoever has this folder can change it and its manifest\n'

/** @property bytes of the file. @property sha256 in hex */
export interface ListedFile {
  readonly file: string
  readonly bytes: number
  readonly sha256: string
}

export const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex')

/** JSON for people, in which nothing steers a terminal. */
export const jsonText = (value: unknown): string =>
  `${JSON.stringify(value, undefined, 2).split('\n').map(printableJson).join('\n')}\n`

/** What is signed: the manifest’s digest, and the period, so that a note alone says what it is of. */
export const noteText = (manifest: string | Uint8Array, from: string, to: string): string =>
  `${manifestFormat}\n${sha256(manifest)}\n${from} ${to}\n`

/**
 * Writes a folder.
 *
 * @param files  by their names
 * @param about  what the manifest says beside the files; `period` has to be in it
 * @param signer undefined leaves a note that says nobody signed
 * @throws UsageError for a folder that is there and not empty
 */
export function writeFolder(
  folder: string,
  files: ReadonlyMap<string, string>,
  about: { readonly period: { readonly from: string; readonly to: string } } & Readonly<Record<string, unknown>>,
  signer: NoteSigner | undefined,
): void {
  const listed: ListedFile[] = []
  for (const [file, text] of files) {
    const path = join(folder, file)
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    // Who did what is nobody’s business but the auditor’s.
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' })
    listed.push({ file, bytes: Buffer.byteLength(text), sha256: sha256(text) })
  }
  listed.sort((a, b) => (a.file < b.file ? -1 : 1))
  const signedBy = signer ? verifierKey(signer.name, signer.privateKey) : null
  const manifest = jsonText({ format: manifestFormat, ...about, signed_by: signedBy, files: listed })
  const text = noteText(manifest, about.period.from, about.period.to)
  writeFileSync(join(folder, manifestFile), manifest, { mode: 0o600, flag: 'wx' })
  writeFileSync(join(folder, noteFile), signer ? signNote(text, signer) : `${text}\n${unsignedText}`, {
    mode: 0o600,
    flag: 'wx',
  })
}

/** @throws UsageError for a folder that could have something else in it */
export function newFolder(folder: string): void {
  if (existsSync(folder) && !statSync(folder).isDirectory())
    throw new UsageError(`--out ${folder} is a file: evidence is written to a new folder`)
  if (existsSync(folder) && readdirSync(folder).length > 0)
    throw new UsageError(`--out ${folder} is not empty: evidence is written to a new folder`)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
}
