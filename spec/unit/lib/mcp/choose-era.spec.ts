import { describe, expect, it } from 'vitest'
import { capabilitiesKey, claimKey, clientInfoKey } from '../../../../lib/mcp/revisions.ts'
import { claim, legacy, mirrors, modern, outcome, post } from './requests.ts'

const spoken = (read: ReturnType<typeof post>): string =>
  read.ok && 'era' in read.message ? `${read.message.era} ${read.message.revision ?? 'none'}` : outcome(read)
const header = (revision: string) => ({ 'mcp-protocol-version': revision })
const claiming = (meta: Record<string, unknown>) => legacy('tools/list', { _meta: meta })

describe('the era of a request', () => {
  it.each([
    { note: 'no claim and no header', body: legacy('tools/list'), headers: {}, is: 'legacy none' },
    {
      note: 'no claim and 2024-11-05',
      body: legacy('tools/list'),
      headers: header('2024-11-05'),
      is: 'legacy 2024-11-05',
    },
    {
      note: 'no claim and 2025-03-26',
      body: legacy('tools/list'),
      headers: header('2025-03-26'),
      is: 'legacy 2025-03-26',
    },
    {
      note: 'no claim and 2025-11-25',
      body: legacy('tools/list'),
      headers: header('2025-11-25'),
      is: 'legacy 2025-11-25',
    },
    {
      note: 'no claim and an unknown version',
      body: legacy('tools/list'),
      headers: header('2025-12-31'),
      is: 'revision_header_unknown',
    },
    { note: 'no claim and no date', body: legacy('tools/list'), headers: header('zzz'), is: 'revision_header_unknown' },
    {
      note: 'no claim and an empty version',
      body: legacy('tools/list'),
      headers: header(''),
      is: 'revision_header_unknown',
    },
    {
      note: 'no claim and a modern header',
      body: legacy('tools/list'),
      headers: mirrors('tools/list'),
      is: 'claim_missing',
    },
    {
      note: 'no claim and a modern header yet to come',
      body: legacy('tools/list'),
      headers: header('2027-01-01'),
      is: 'claim_missing',
    },
    {
      note: '_meta without the claim, legacy',
      body: claiming({ progressToken: 1 }),
      headers: header('2025-06-18'),
      is: 'legacy 2025-06-18',
    },
    {
      note: '_meta without the claim, modern header',
      body: claiming({ [capabilitiesKey]: {} }),
      headers: mirrors('tools/list'),
      is: 'claim_missing',
    },

    {
      note: 'a claim and its headers',
      body: modern('tools/list'),
      headers: mirrors('tools/list'),
      is: 'modern 2026-07-28',
    },
    {
      note: 'a claim without the version header',
      body: modern('tools/list'),
      headers: { 'mcp-method': 'tools/list' },
      is: 'header_mismatch mcp-protocol-version missing',
    },
    {
      note: 'a claim and a legacy header',
      body: modern('tools/list'),
      headers: { ...mirrors('tools/list'), ...header('2025-11-25') },
      is: 'header_mismatch mcp-protocol-version differs',
    },
    {
      note: 'a claim that is a number',
      body: claiming({ ...claim, [claimKey]: 20260728 }),
      headers: mirrors('tools/list'),
      is: 'claim_malformed',
    },
    {
      note: 'a claim that is null, no header (never falls back to legacy)',
      body: claiming({ ...claim, [claimKey]: null }),
      headers: {},
      is: 'claim_malformed',
    },
    { note: 'an empty claim', body: claiming({ ...claim, [claimKey]: '' }), headers: {}, is: 'claim_malformed' },
    {
      note: 'a claim without capabilities',
      body: claiming({ [claimKey]: '2026-07-28' }),
      headers: mirrors('tools/list'),
      is: 'claim_malformed',
    },
    {
      note: 'a claim whose capabilities are an array',
      body: claiming({ ...claim, [capabilitiesKey]: [] }),
      headers: mirrors('tools/list'),
      is: 'claim_malformed',
    },
    {
      note: 'a claim whose client is a string',
      body: claiming({ ...claim, [clientInfoKey]: 'me' }),
      headers: mirrors('tools/list'),
      is: 'claim_malformed',
    },
    {
      note: 'a claim that names its client',
      body: claiming({ ...claim, [clientInfoKey]: { name: 'me' } }),
      headers: mirrors('tools/list'),
      is: 'modern 2026-07-28',
    },
    {
      note: 'a claim of a version yet to come',
      body: claiming({ ...claim, [claimKey]: '2027-01-01' }),
      headers: { ...mirrors('tools/list'), ...header('2027-01-01') },
      is: 'revision_unsupported',
    },
    {
      note: 'a claim of a legacy version',
      body: claiming({ ...claim, [claimKey]: '2025-11-25' }),
      headers: header('2025-11-25'),
      is: 'revision_unsupported',
    },
    {
      note: 'a claim with a space',
      body: claiming({ ...claim, [claimKey]: '2026-07-28 ' }),
      headers: {},
      is: 'revision_unsupported',
    },

    {
      note: 'initialize',
      body: legacy('initialize', { protocolVersion: '2025-11-25' }),
      headers: {},
      is: 'legacy none',
    },
    {
      note: 'initialize with a legacy header',
      body: legacy('initialize', {}),
      headers: header('2025-06-18'),
      is: 'legacy 2025-06-18',
    },
    {
      note: 'initialize with a modern header',
      body: legacy('initialize', {}),
      headers: header('2026-07-28'),
      is: 'header_mismatch mcp-protocol-version differs',
    },
    {
      note: 'initialize with half a claim',
      body: legacy('initialize', { _meta: { [claimKey]: '2026-07-28' } }),
      headers: {},
      is: 'legacy none',
    },
    {
      note: 'initialize with half a claim and a modern header',
      body: legacy('initialize', { _meta: { [claimKey]: '2026-07-28' } }),
      headers: mirrors('initialize'),
      is: 'header_mismatch mcp-protocol-version differs',
    },
    {
      note: 'initialize with a whole modern claim',
      body: modern('initialize'),
      headers: mirrors('initialize'),
      is: 'modern 2026-07-28',
    },
  ])('$note: $is', ({ body, headers, is }) => {
    expect(spoken(post(body, headers))).toBe(is)
  })

  it('makes a modern `initialize` a method nobody knows', () => {
    const read = post(modern('initialize'), mirrors('initialize'))
    expect(read.ok && read.target).toEqual({ kind: 'unknown', method: 'initialize' })
  })

  it('tells a client which versions it may choose from, and cuts what it asked for', () => {
    const read = post(claiming({ ...claim, [claimKey]: 'x'.repeat(64) }))
    expect(read).toMatchObject({
      ok: false,
      refusal: {
        requested: 'x'.repeat(64),
        supported: ['2026-07-28'],
        idRaw: '1',
      },
    })
    expect(outcome(post(claiming({ ...claim, [claimKey]: 'x'.repeat(65) })))).toBe('claim_malformed')
  })
})

describe('the era of a notification', () => {
  const note = (params?: unknown) => ({
    jsonrpc: '2.0',
    method: 'notifications/cancelled',
    ...(params ? { params } : {}),
  })

  it.each([
    { note: 'no claim and no header', body: note(), headers: {}, is: 'legacy none' },
    { note: 'no claim and a modern header', body: note(), headers: header('2026-07-28'), is: 'modern 2026-07-28' },
    {
      note: 'no claim and a modern header yet to come',
      body: note(),
      headers: header('2027-01-01'),
      is: 'revision_unsupported',
    },
    {
      note: 'a claim alone',
      body: note({ _meta: { [claimKey]: '2026-07-28' } }),
      headers: {},
      is: 'modern 2026-07-28',
    },
    {
      note: 'a claim and another header',
      body: note({ _meta: claim }),
      headers: header('2025-11-25'),
      is: 'header_mismatch mcp-protocol-version differs',
    },
    { note: 'a malformed claim', body: note({ _meta: { [claimKey]: 1 } }), headers: {}, is: 'claim_malformed' },
    {
      note: 'a modern one with its method in a header',
      body: note(),
      headers: mirrors('notifications/cancelled'),
      is: 'modern 2026-07-28',
    },
    {
      note: 'a modern one with another method in a header',
      body: note(),
      headers: mirrors('notifications/progress'),
      is: 'header_mismatch mcp-method differs',
    },
    {
      note: 'a claimed one with another method in a header',
      body: note({ _meta: claim }),
      headers: mirrors('tools/list'),
      is: 'header_mismatch mcp-method differs',
    },
  ])('$note: $is', ({ body, headers, is }) => {
    expect(spoken(post(body, headers))).toBe(is)
  })
})

describe('the era of a response', () => {
  const response = { jsonrpc: '2.0', id: 1, result: { action: 'accept' } }

  it.each([
    { note: 'no header', headers: {}, is: 'legacy none' },
    { note: 'a legacy header', headers: header('2025-06-18'), is: 'legacy 2025-06-18' },
    { note: 'a modern header', headers: header('2026-07-28'), is: 'response_in_modern' },
    { note: 'an unknown version', headers: header('1'), is: 'revision_header_unknown' },
    {
      note: 'a method in a header',
      headers: { 'mcp-method': 'tools/call' },
      is: 'header_mismatch mcp-method unexpected',
    },
  ])('$note: $is', ({ headers, is }) => {
    expect(spoken(post(response, headers))).toBe(is)
  })
})
