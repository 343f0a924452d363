/** An authority and a certificate for a server with an address, by the OpenSSL every machine has. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export function makeAuthority(address: string): {
  readonly ca: string
  readonly server: { readonly cert: string; readonly key: string }
} {
  const folder = mkdtempSync(join(tmpdir(), 'kmcp-ca-'))
  const at = (name: string): string => join(folder, name)
  const openssl = (...args: readonly string[]): void => {
    execFileSync('openssl', args, { stdio: 'ignore' })
  }
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  try {
    openssl(
      'req',
      '-x509',
      ...key,
      '-keyout',
      at('ca.key'),
      '-out',
      at('ca.pem'),
      '-subj',
      '/CN=spec authority',
      '-days',
      '2',
    )
    openssl('req', ...key, '-keyout', at('server.key'), '-out', at('server.csr'), '-subj', '/CN=spec')
    writeFileSync(at('ext'), `subjectAltName=IP:${address}\n`)
    openssl('x509', '-req', '-in', at('server.csr'), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-out', at('server.pem'), '-days', '2', '-extfile', at('ext')) // prettier-ignore
    const read = (name: string): string => readFileSync(at(name), 'utf8')
    return { ca: read('ca.pem'), server: { cert: read('server.pem'), key: read('server.key') } }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
