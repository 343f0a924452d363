import { createHash, X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { certificateThumbprint, isBoundTo } from '../../../../lib/identity/client-certificate.ts'

/** Self-signed, P-256, `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256`. */
const pem = `-----BEGIN CERTIFICATE-----
MIIBnTCCAUOgAwIBAgIUEDFv3V1gKbmzgJ8i3MqKEpYXUXMwCgYIKoZIzj0EAwIw
IzEQMA4GA1UECgwHRXhhbXBsZTEPMA0GA1UEAwwGY2xpZW50MCAXDTI2MTEyNTA4
MDk0N1oYDzIxMjYxMTAxMDgwOTQ3WjAjMRAwDgYDVQQKDAdFeGFtcGxlMQ8wDQYD
VQQDDAZjbGllbnQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQVcxefs5R7/Y8R
BVU899oNZFSopEPP9NywWuCBZGuWJeY3hZyCRhWe4QEGxZ5fwlzJtUvPtR0WamLQ
jTrr8cOqo1MwUTAdBgNVHQ4EFgQU2YxQTTx58UPH8Ll6ukExSPPsZF4wHwYDVR0j
BBgwFoAU2YxQTTx58UPH8Ll6ukExSPPsZF4wDwYDVR0TAQH/BAUwAwEB/zAKBggq
hkjOPQQDAgNIADBFAiBLYyHlzKysyN8mM8kgRm4+oQFuvtbe0OHObUgIo1m52AIh
APxzN5/D5TArHE+axmrepuC7CkfGrcUagfrILSl9ktJM
-----END CERTIFICATE-----
`
/** Another one, standing for the authority that issued the first. */
const authority = `-----BEGIN CERTIFICATE-----
MIIBozCCAUmgAwIBAgIUVOuJ9FGQRyu3MOFF4FB6eAQWGV0wCgYIKoZIzj0EAwIw
JjEQMA4GA1UECgwHRXhhbXBsZTESMBAGA1UEAwwJYXV0aG9yaXR5MCAXDTI2MTEy
NTA4MDk0N1oYDzIxMjYxMTAxMDgwOTQ3WjAmMRAwDgYDVQQKDAdFeGFtcGxlMRIw
EAYDVQQDDAlhdXRob3JpdHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQzG+lh
S9mHuXevpS6a24GPIeN4BVHDr/hBEQtwis8MeaYyrvXtTSDc1IIA1Bch0qSwWpZG
214XXWccgC1K5md6o1MwUTAdBgNVHQ4EFgQUTlIK2uRPmqbTlb2bjwM//6omK1gw
HwYDVR0jBBgwFoAUTlIK2uRPmqbTlb2bjwM//6omK1gwDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNIADBFAiEAo4DEUZKn9IB4xy8h/0h5gi9MMSCTzEzJ0MvA
FnjQIWACIE2WvQTY/NAMzowL8/XcX76rZUIwomCb3zM44L89bI8e
-----END CERTIFICATE-----
`

/** As nginx escapes: everything but unreserved characters. */
const escapedBy = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)

const der = new X509Certificate(pem).raw
const thumbprint = createHash('sha256').update(der).digest('base64url')
/** PEM of any bytes. */
const pemOf = (bytes: Uint8Array): string => {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

describe('the thumbprint of a client certificate', () => {
  it('is what openssl says', () => {
    expect(certificateThumbprint(escapedBy(pem))).toBe('f_F-36ITwcOr2v7_YCqChGydr8w6TJ7BE8p3FUfFlrM')
  })

  it.each([
    { note: 'without the last line end', text: pem.trimEnd() },
    { note: 'with CRLF', text: pem.replaceAll('\n', '\r\n') },
    { note: 'with its chain after it', text: pem + authority },
    { note: 'made from its DER', text: pemOf(der) },
  ])('is the same $note', ({ text }) => {
    expect(certificateThumbprint(escapedBy(text))).toBe(thumbprint)
  })

  it("is the authority's where the authority comes first", () => {
    const other = certificateThumbprint(escapedBy(authority + pem))
    expect(other).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(other).not.toBe(thumbprint)
  })

  it('takes escapes in small letters', () => {
    expect(certificateThumbprint(escapedBy(pem).replace(/%../g, (text) => text.toLowerCase()))).toBe(thumbprint)
  })
})

const [, firstLine = ''] = pem.split('\n')
const last = pem.trimEnd().split('\n').at(-2) ?? ''
const length = der.readUInt16BE(2)
/** The outer sequence's length spelled by the spec. */
const withLength = (...spelled: number[]): Buffer => Buffer.concat([Buffer.from([0x30, ...spelled]), der.subarray(4)])

describe('what is no certificate', () => {
  it('has a nearest neighbour that is one', () => {
    expect([der[0], der[1]]).toEqual([0x30, 0x82])
    expect(certificateThumbprint(escapedBy(pemOf(withLength(0x82, length >> 8, length & 0xff))))).toBe(thumbprint)
  })

  it.each([
    { note: 'nothing', escaped: '' },
    { note: 'PEM that is not escaped', escaped: pem },
    { note: 'escaped with plus signs for spaces', escaped: escapedBy(pem).replaceAll('%20', '+') },
    { note: 'escaped twice', escaped: escapedBy(escapedBy(pem)) },
    { note: 'half an escape', escaped: escapedBy(pem).slice(0, -1) },
    { note: 'escapes that are no UTF-8', escaped: `${escapedBy(pem)}%FF` },
    { note: 'over 64 KiB', escaped: escapedBy(pem + authority.repeat(100)) },
    { note: 'the bare base64', escaped: escapedBy(der.toString('base64')) },
    { note: 'text before', escaped: escapedBy(`subject=x\n${pem}`) },
    { note: 'text after', escaped: escapedBy(`${pem}x`) },
    { note: 'an empty line after', escaped: escapedBy(`${pem}\n\n`) },
    { note: 'a key after it', escaped: escapedBy(pem + authority.replaceAll('CERTIFICATE', 'PRIVATE KEY')) },
    { note: 'another label', escaped: escapedBy(pem.replaceAll('CERTIFICATE', 'TRUSTED CERTIFICATE')) },
    { note: 'no end', escaped: escapedBy(pem.slice(0, pem.indexOf('-----END'))) },
    { note: 'a space in a line', escaped: escapedBy(pem.replace(firstLine, `${firstLine.slice(0, 63)} `)) },
    {
      note: 'a line broken in two',
      escaped: escapedBy(pem.replace(firstLine, `${firstLine.slice(0, 32)}\n${firstLine.slice(32)}`)),
    },
    { note: 'base64url', escaped: escapedBy(pem.replaceAll('+', '-').replaceAll('/', '_')) },
    { note: 'padding in the middle', escaped: escapedBy(pem.replace(firstLine, `${firstLine.slice(0, 63)}=`)) },
    { note: 'padding too much', escaped: escapedBy(pem.replace(`${last}\n-`, `${last}=\n-`)) },
    { note: 'a byte after the sequence', escaped: escapedBy(pemOf(Buffer.concat([der, Buffer.alloc(1)]))) },
    { note: 'a byte less', escaped: escapedBy(pemOf(der.subarray(0, -1))) },
    {
      note: 'a length in more bytes than needed',
      escaped: escapedBy(pemOf(withLength(0x83, 0, length >> 8, length & 0xff))),
    },
    { note: 'a length without end (BER)', escaped: escapedBy(pemOf(withLength(0x80))) },
    {
      note: 'a length in five bytes',
      escaped: escapedBy(pemOf(withLength(0x85, 0, 0, 0, length >> 8, length & 0xff))),
    },
    { note: 'a SET for a SEQUENCE', escaped: escapedBy(pemOf(Buffer.concat([Buffer.from([0x31]), der.subarray(1)]))) },
    { note: 'a sequence that is no certificate', escaped: escapedBy(pemOf(Buffer.from([0x30, 3, 2, 1, 5]))) },
    { note: 'an empty sequence', escaped: escapedBy(pemOf(Buffer.from([0x30, 0]))) },
  ])('$note', ({ escaped }) => {
    expect(certificateThumbprint(escaped)).toBeUndefined()
  })

  it('never has the thumbprint of another one, whatever byte is changed', () => {
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const changed = Buffer.from(der)
        changed[at] = (changed[at] ?? 0) ^ by
        expect(certificateThumbprint(escapedBy(pemOf(changed)))).not.toBe(thumbprint)
      }),
    )
  })

  it('is never taken for one, whatever character of the text is changed', () => {
    const good = escapedBy(pem)
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.string({ unit: 'binary', maxLength: 2 }), (at, text) => {
        fc.pre(good.slice(at, at + 1).toLowerCase() !== text.toLowerCase())
        expect(certificateThumbprint(good.slice(0, at) + text + good.slice(at + 1))).not.toBe(thumbprint)
      }),
      { numRuns: 500 },
    )
  })
})

describe('a certificate-bound token', () => {
  it('is bound to the certificate whose thumbprint it has', () => {
    expect(isBoundTo(thumbprint, escapedBy(pem))).toBe(true)
  })

  it.each([
    { note: 'another certificate', claim: thumbprint, escaped: escapedBy(authority) },
    { note: 'a certificate further down the chain', claim: thumbprint, escaped: escapedBy(authority + pem) },
    { note: 'no certificate', claim: thumbprint, escaped: undefined },
    { note: 'an empty variable', claim: thumbprint, escaped: '' },
    { note: 'no claim and no certificate', claim: undefined, escaped: '' },
    { note: 'no claim', claim: undefined, escaped: escapedBy(pem) },
    { note: 'a claim that is no string', claim: [thumbprint], escaped: escapedBy(pem) },
    { note: 'a claim with padding', claim: `${thumbprint}=`, escaped: escapedBy(pem) },
    { note: 'a claim in hex', claim: Buffer.from(thumbprint, 'base64url').toString('hex'), escaped: escapedBy(pem) },
  ])('is not with $note', ({ claim, escaped }) => {
    expect(isBoundTo(claim, escaped)).toBe(false)
  })
})
