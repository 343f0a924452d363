/**
 * What a tool's definition should not say: characters nobody sees, and sentences meant for the model.
 *
 * A flag is for a person to look at. It decides nothing: harmless texts have some of this, and harmful ones need none of it.
 */
import type { Json } from '../mcp/message.ts'

export const flagKinds = [
  /** Characters without width: spaces, joiners outside emoji and the scripts that need them, soft hyphens, fillers. */
  'zero_width',
  /** Characters that turn the direction of writing, so that a text reads otherwise than it runs. */
  'bidi_control',
  /** U+E0000 to U+E007F: invisible letters that models read. */
  'tag_characters',
  /** Two variation selectors or more in a row: each can carry a byte. */
  'variation_selectors',
  'private_use',
  /** ANSI escapes and other control characters: they steer the terminal of whoever reads the text. */
  'control_character',
  /** A name that mixes scripts, or has letters that only look like others. */
  'look_alike_name',
  'html_comment',
  /** A markup of its own importance, or a chat template's. */
  'model_markup',
  /** "ignore previous instructions" and the like. */
  'overrides_instructions',
  /** "do not tell the user" and the like. */
  'hides_from_user',
  /** "before using this tool", "always call this first": it wants to rule over other tools. */
  'steers_tool_use',
  'system_prompt',
  /** Files with keys and passwords. */
  'names_secrets',
  /** A run of more than 200 characters of base64. */
  'encoded_blob',
  /** Text beyond the first 100,000 characters: it was not looked at. */
  'too_long',
] as const
export type FlagKind = (typeof flagKinds)[number]

/**
 * @property at    where, as `description` or `inputSchema.properties.key.description`; a name of a member is `… (name)`
 * @property found what, up to 80 characters, with everything invisible spelled out
 */
export interface Flag {
  readonly kind: FlagKind
  readonly at: string
  readonly found: string
}

const maxCharacters = 100_000
const maxFlags = 20
const maxFound = 80

const hiddenPatterns: readonly (readonly [FlagKind, RegExp])[] = [
  ['tag_characters', /[\u{e0000}-\u{e007f}]+/u],
  ['bidi_control', /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/u],
  [
    'zero_width',
    /[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200d\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0]+/u,
  ],
  ['variation_selectors', /[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]{2,}/u],
  ['private_use', /\p{Co}+/u],
  // Tab, line feed and carriage return are what texts are made of.

  ['control_character', /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]+/u],
]

/** Asked of the text without what is invisible, in its compatibility form and with single spaces: spelling hides nothing. */
const spokenPatterns: readonly (readonly [FlagKind, RegExp])[] = [
  ['html_comment', /<!--.{0,60}/i],
  [
    'model_markup',
    /<\/?(?:important|system|instructions?|secret|hidden|assistant|admin|critical)>|<\|[a-z_]{2,20}\|>|\[\/?(?:inst|system)\]|<<sys>>/i,
  ],
  [
    'overrides_instructions',
    /\b(?:ignore|disregard|forget|override)(?: (?:all|any|every|the|of|your|my|these|those)){0,3} (?:previous|prior|above|earlier|preceding|other|existing)\b/i,
  ],
  [
    'hides_from_user',
    /\b(?:do not|don[’']?t|never|must not|without) (?:tell|telling|inform|informing|mention|mentioning|reveal|revealing|show|showing|notify|notifying|disclose|disclosing|alert|alerting|ask|asking)(?: [a-z]+){0,4} (?:user|human|person|anyone|anybody)\b/i,
  ],
  [
    'steers_tool_use',
    /\b(?:before|prior to|after|when) (?:using|calling|invoking|running|you use|you call) (?:this|any|any other|other|another|all other) tools?\b|\b(?:must|always) (?:first )?(?:call|use|invoke|run) this (?:tool|function)\b|\binstead of (?:using |calling )?(?:any|other|the other|all other)(?: [a-z_-]+)? tools?\b/i,
  ],
  ['system_prompt', /\bsystem (?:prompt|message|instructions?)\b|\bdeveloper message\b/i],
  [
    'names_secrets',
    /~\/\.(?:ssh|aws|gnupg|kube|netrc|config|cursor)\b|\bid_(?:rsa|ed25519|ecdsa)\b|\.aws\/credentials|\bmcp\.json\b|\/etc\/(?:passwd|shadow)\b/i,
  ],
  // Looked for from the start of each run only, so that a hostile text costs no more than its length.
  ['encoded_blob', /(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{201,}={0,2}/],
]

/**
 * Everything in a tool's definition that a person should look at: in its texts (names, titles, descriptions, enumerated and
 * default values …) and in the names of its members, wherever they are.
 *
 * @param definition a tool as the server lists it
 * @returns the first 20 flags, in the order of the text
 */
export function suspiciousText(definition: Json): Flag[] {
  const flags: Flag[] = []
  let left = maxCharacters
  for (const { text: whole, at, isName } of textsOf(definition, '')) {
    const text = whole.slice(0, left)
    left -= text.length
    const found = [...hiddenIn(text), ...(isName ? lookAlikesIn(text) : []), ...spokenIn(text, /^icons\b/.test(at))]
    for (const [kind, match] of found) flags.push({ kind, at: visible(at), found: cut(visible(match)) })
    if (text.length < whole.length) {
      flags.push({ kind: 'too_long', at: visible(at), found: `from character ${text.length} on` })
      break
    }
    if (flags.length >= maxFlags) break
  }
  return flags.slice(0, maxFlags)
}

/**
 * A text as a person can read all of it: whatever is invisible, moves the cursor or looks like a space stands as `\u{200b}`.
 * A backslash stays as it is, so this is for reading and not for reading back.
 */
export const visible = (text: string): string =>
  text.replace(
    /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\ufe00-\ufe0f]|(?! )\p{Zs}/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  )

interface Text {
  readonly text: string
  readonly at: string
  readonly isName: boolean
}

/** Every string of a value, keys included. A tool's own name and the keys of `properties` are names. */
function* textsOf(value: Json, at: string): Generator<Text> {
  if (typeof value === 'string') yield { text: value, at, isName: at === 'name' }
  if (typeof value !== 'object' || value === null) return
  if (Array.isArray(value)) {
    for (const [index, one] of value.entries()) yield* textsOf(one as Json, `${at}[${index}]`)
    return
  }
  const isProperties = /(^|\.)properties$/.test(at)
  for (const [key, inner] of Object.entries(value)) {
    const path = at === '' ? key : `${at}.${key}`
    yield { text: key, at: `${path} (name)`, isName: isProperties }
    yield* textsOf(inner, path)
  }
}

type Found = readonly [FlagKind, string]

function hiddenIn(text: string): Found[] {
  if (/^[\x20-\x7e\t\n\r]*$/.test(text)) return []
  const without = text.replace(emoji, '').replace(joiners, '')
  return hiddenPatterns.flatMap(([kind, pattern]): Found[] => {
    const match = pattern.exec(without)?.[0]
    if (match === undefined) return []
    return [[kind, kind === 'tag_characters' ? `${spellTags(match)} (${match.length / 2} tag characters)` : match]]
  })
}

/** Joiners and tags where they belong: in families and flags of emoji. */
const emoji =
  /(?<=\p{Extended_Pictographic}[\ufe0f\u{1f3fb}-\u{1f3ff}]?)\u200d(?=\p{Extended_Pictographic})|\u{1f3f4}\u{e0067}\u{e0062}(?:\u{e0065}\u{e006e}\u{e0067}|\u{e0073}\u{e0063}\u{e0074}|\u{e0077}\u{e006c}\u{e0073})\u{e007f}/gu
/** And joiners between letters of scripts that are written with them, as Persian and Hindi are. */
const joiners =
  /(?<=[\p{Script=Arabic}\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Tamil}\p{Script=Malayalam}\p{Script=Kannada}\p{Script=Telugu}\p{Script=Gujarati}\p{Script=Sinhala}\p{M}])[\u200c\u200d](?=[\p{L}\p{M}])/gu

/** What tag characters say to those who can read them. */
const spellTags = (text: string): string =>
  Array.from(text)
    .map((character) => String.fromCharCode((character.codePointAt(0) ?? 0) - 0xe0000))
    .filter((character) => /[\x20-\x7e]/.test(character))
    .join('')

/** Scripts whose letters are mistaken for each other. */
const scripts = [
  /\p{Script=Latin}/u,
  /\p{Script=Cyrillic}/u,
  /\p{Script=Greek}/u,
  /\p{Script=Armenian}/u,
  /\p{Script=Cherokee}/u,
]

function lookAlikesIn(name: string): Found[] {
  const isMixed = scripts.filter((script) => script.test(name)).length > 1
  return isMixed || name.normalize('NFKC') !== name ? [['look_alike_name', `${name} (${inCodes(name)})`]] : []
}

/** The characters of a name that are not ASCII, by number: `U+0435`. */
const inCodes = (name: string): string =>
  [...new Set(Array.from(name).filter((character) => character > '\x7f'))]
    .map((character) => `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`)
    .join(' ')

/** @param isIcon an icon may be a `data:` URI: its picture is no message */
function spokenIn(text: string, isIcon: boolean): Found[] {
  const said = text
    .replace(/[\p{Cf}\p{Co}\p{Default_Ignorable_Code_Point}]/gu, '')
    .normalize('NFKC')
    .replace(/\s+/g, ' ')
  return spokenPatterns.flatMap(([kind, pattern]): Found[] => {
    const match = isIcon && kind === 'encoded_blob' ? undefined : pattern.exec(said)?.[0]
    return match === undefined ? [] : [[kind, match]]
  })
}

const cut = (text: string): string => (text.length > maxFound ? `${text.slice(0, maxFound - 1)}…` : text)
