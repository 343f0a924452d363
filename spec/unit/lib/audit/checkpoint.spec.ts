import { describe, expect, it } from 'vitest'
import { checkpointText, isNodeName, originOf, readCheckpoint } from '../../../../lib/audit/checkpoint.ts'

const root = Buffer.alloc(32, 7)
const encoded = root.toString('base64')

describe('a node’s name', () => {
  it.each(['node-1', 'gateway.example', 'é', '節点', 'n'.repeat(255)])('may be %j', (name) =>
    expect(isNodeName(name)).toBe(true),
  )

  it.each(['', 'a b', 'a+b', 'a/b', 'a\nb', 'a\u00a0b', 'a\u200bb', 'a\ufeffb', 'a\u202eb', 'a\ud800b', 'a\u0085b'])(
    'may not be %j: what is on record of it, or of its keys, would be another name',
    (name) => expect(isNodeName(name)).toBe(false),
  )

  it('has at most 255 bytes: a checkpoint with a name of thousands would be longer than its readers take', () => {
    expect(isNodeName('é'.repeat(128))).toBe(false)
  })
})

describe('T27 a checkpoint', () => {
  it.each([0, 1, 7, 1_000, Number.MAX_SAFE_INTEGER])('of %d leaves is read as what was written', (size) => {
    const checkpoint = { origin: originOf('node-1', 'boot'), size, root }
    expect(checkpointText(checkpoint)).toBe(`kong-mcp-suite/node-1/boot\n${size}\n${encoded}\n`)
    expect(readCheckpoint(checkpointText(checkpoint))).toEqual(checkpoint)
  })

  it('may have lines of others behind it', () => {
    expect(readCheckpoint(`log\n7\n${encoded}\nextension 1\n— not a signature\n`)).toEqual({
      origin: 'log',
      size: 7,
      root,
    })
  })

  it.each([
    ['a size with leading zeros', `log\n007\n${encoded}\n`],
    ['a size of two zeros', `log\n00\n${encoded}\n`],
    ['a negative size', `log\n-1\n${encoded}\n`],
    ['a size with a sign', `log\n+7\n${encoded}\n`],
    ['a size in hex', `log\n0x7\n${encoded}\n`],
    ['a size with an exponent', `log\n7e1\n${encoded}\n`],
    ['a size in other digits', `log\n٧\n${encoded}\n`],
    ['a size no double can hold', `log\n9007199254740993\n${encoded}\n`],
    ['a size with a space', `log\n7 \n${encoded}\n`],
    ['no size', `log\n\n${encoded}\n`],
    ['no origin', `\n7\n${encoded}\n`],
    ['no root', 'log\n7\n'],
    ['an empty root', 'log\n7\n\n'],
    ['a root that is too short', `log\n7\n${root.subarray(1).toString('base64')}\n`],
    ['a root that is too long', `log\n7\n${Buffer.alloc(33).toString('base64')}\n`],
    ['a root without padding', `log\n7\n${encoded.replace('=', '')}\n`],
    ['a root with a second spelling', `log\n7\n${encoded.replace('c=', 'd=')}\n`],
    ['an empty line behind it', `log\n7\n${encoded}\n\n`],
    ['an empty line among the lines of others', `log\n7\n${encoded}\none\n\ntwo\n`],
    ['no last line feed', `log\n7\n${encoded}`],
    ['no last line feed behind the lines of others', `log\n7\n${encoded}\none`],
    ['nothing', ''],
  ])('is none with %s', (_how, text) => {
    expect(readCheckpoint(text)).toBeUndefined()
  })
})
