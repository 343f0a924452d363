/** The part of fengari that is used here: Lua's C API, with a state in front of every argument list. */
declare module 'fengari' {
  /** A Lua state; only ever handed on. */
  export type LuaState = object
  type LuaFunction = (L: LuaState) => number

  export function to_luastring(text: string): Uint8Array
  export const lua: {
    readonly LUA_OK: 0
    readonly LUA_TNIL: number
    readonly LUA_TBOOLEAN: number
    readonly LUA_TNUMBER: number
    readonly LUA_TSTRING: number
    readonly LUA_TTABLE: number
    readonly LUA_TFUNCTION: number
    lua_createtable(L: LuaState, list: number, record: number): void
    lua_getfield(L: LuaState, index: number, key: Uint8Array): number
    lua_getglobal(L: LuaState, name: Uint8Array): number
    lua_gettop(L: LuaState): number
    lua_isinteger(L: LuaState, index: number): boolean
    lua_next(L: LuaState, index: number): number
    lua_pcall(L: LuaState, takes: number, gives: number, handler: number): number
    lua_pop(L: LuaState, count: number): void
    lua_pushboolean(L: LuaState, value: boolean): void
    lua_pushcfunction(L: LuaState, value: LuaFunction): void
    lua_pushlstring(L: LuaState, bytes: Uint8Array, length: number): void
    lua_pushnil(L: LuaState): void
    lua_pushnumber(L: LuaState, value: number): void
    lua_pushinteger(L: LuaState, value: number): void
    lua_pushvalue(L: LuaState, index: number): void
    lua_rawgeti(L: LuaState, index: number, at: number): number
    lua_rawseti(L: LuaState, index: number, at: number): void
    lua_setfield(L: LuaState, index: number, key: Uint8Array): void
    lua_setmetatable(L: LuaState, index: number): void
    lua_setupvalue(L: LuaState, index: number, at: number): Uint8Array | null
    lua_settop(L: LuaState, index: number): void
    lua_toboolean(L: LuaState, index: number): boolean
    lua_tonumber(L: LuaState, index: number): number
    lua_toproxy(L: LuaState, index: number): (L: LuaState) => void
    lua_tostring(L: LuaState, index: number): Uint8Array | null
    lua_type(L: LuaState, index: number): number
  }
  export const lauxlib: {
    luaL_error(L: LuaState, format: Uint8Array, ...args: unknown[]): number
    luaL_loadbuffer(L: LuaState, code: Uint8Array, length: number, name: Uint8Array): number
    luaL_newstate(): LuaState
    luaL_tolstring(L: LuaState, index: number): Uint8Array
  }
  export const lualib: { luaL_openlibs(L: LuaState): void }
}
