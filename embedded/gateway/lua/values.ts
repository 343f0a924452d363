/** Values between Lua and here, as Kong's JSON and its log have them. */
import type { LuaState } from 'fengari'
import type { Plain } from '../../../pluginserver/wire/messages.ts'
import type { Fengari } from './lua-sandbox.ts'

const maxDepth = 16

/**
 * A Lua value as it looks in JSON. A table with the keys 1 to n is a list, any other a record; an empty one is a record.
 *
 * Source: lua-cjson (`json_append_data`), Kong 3.9.3 `kong/pdk/log.lua` (is_valid_value).
 *
 * @throws Error for a function, and for tables in each other deeper than 16
 */
export function fromLua(fengari: Fengari, L: LuaState, index: number, depth = 0): Plain | undefined {
  const { lua } = fengari
  const type = lua.lua_type(L, index)
  if (type === lua.LUA_TNIL) return undefined
  if (type === lua.LUA_TBOOLEAN) return lua.lua_toboolean(L, index)
  if (type === lua.LUA_TNUMBER) return lua.lua_tonumber(L, index)
  if (type === lua.LUA_TSTRING) return Buffer.from(lua.lua_tostring(L, index) ?? []).toString('utf8')
  if (type !== lua.LUA_TTABLE || depth === maxDepth)
    throw new Error('expected plain data: texts, numbers, booleans, tables')
  const entries: [string | number, Plain][] = []
  const at = index < 0 ? lua.lua_gettop(L) + index + 1 : index
  lua.lua_pushnil(L)
  while (lua.lua_next(L, at) !== 0) {
    const key = fromLua(fengari, L, -2, depth + 1)
    const value = fromLua(fengari, L, -1, depth + 1)
    lua.lua_pop(L, 1)
    if (typeof key !== 'string' && typeof key !== 'number') throw new Error('a key must be a text or a number')
    entries.push([key, value ?? null])
  }
  const isPlace = (key: string | number): boolean =>
    typeof key === 'number' && Number.isInteger(key) && key >= 1 && key <= entries.length
  const isList = entries.length > 0 && entries.every(([key]) => isPlace(key))
  if (!isList) return Object.fromEntries(entries)
  return entries.sort(([a], [b]) => Number(a) - Number(b)).map(([, value]) => value)
}

/** Pushes a text, number, boolean or nil. @throws Error for anything else */
export function pushPlain({ lua }: Fengari, L: LuaState, value: unknown): void {
  if (value === undefined || value === null) lua.lua_pushnil(L)
  else if (typeof value === 'boolean') lua.lua_pushboolean(L, value)
  else if (typeof value === 'number') lua.lua_pushnumber(L, value)
  else if (typeof value === 'string' || value instanceof Uint8Array) {
    const bytes = Uint8Array.from(typeof value === 'string' ? Buffer.from(value) : value)
    lua.lua_pushlstring(L, bytes, bytes.length)
  } else throw new Error('the embedded gateway gives Lua texts, numbers and booleans only')
}
