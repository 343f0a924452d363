import { describe, expect, it } from 'vitest'
import { connectionFault } from '../../../../lib/context/connection-options.ts'

describe('connectionFault', () => {
  it.each<[note: string, headers: Record<string, string | string[]>, fault: string | undefined]>([
    ['nothing', {}, undefined],
    ['keep-alive', { connection: 'keep-alive' }, undefined],
    ['close, in another case', { connection: ' Close ' }, undefined],
    ['what Java offers', { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c' }, undefined],
    ['a header of the gateway', { connection: 'close, x-mcp-principal' }, 'connection'],
    ['credentials', { connection: 'authorization' }, 'connection'],
    ['the length', { connection: 'Content-Length' }, 'connection'],
    ['the same in a second header', { connection: ['keep-alive', 'authorization'] }, 'connection'],
    ['a websocket', { connection: 'upgrade', upgrade: 'websocket' }, 'upgrade'],
    ['a websocket among others', { upgrade: ['h2c', 'websocket'] }, 'upgrade'],
  ])('%s', (_note, headers, fault) => {
    expect(connectionFault(headers)).toBe(fault)
  })
})
