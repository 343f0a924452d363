/**
 * Runs the Lua of `pre-function`: a Lua 5.3 written in JavaScript (fengari) in the place of LuaJIT. It is loaded when a
 * configuration has Lua, and is no part of a gateway that has none.
 */
import { createRequire } from 'node:module'
import type * as fengari from 'fengari'
import type { HeaderLines } from '../header-lines.ts'
import type { RequestState } from '../request-state.ts'
import { buildEnvironment } from './environment.ts'
import { fromLua, pushPlain } from './values.ts'

type LuaState = fengari.LuaState
export type Fengari = typeof fengari

/** What one run of Lua works on. @property chunk and @property isLast are `ngx.arg`; there are none in the log phase */
export interface Run {
  readonly state: RequestState
  readonly chunk?: Buffer
  readonly isLast?: boolean
}

/** A compiled text. @throws Error with Lua's own words when the text does */
export type Snippet = (run: Run) => void

export class LuaSandbox {
  readonly #fengari = createRequire(import.meta.url)('fengari') as Fengari
  readonly #state: LuaState
  readonly #environment: (L: LuaState) => void
  /** `kong.ctx.plugin`: a table for each request, gone with it */
  readonly #tables = new WeakMap<RequestState, (L: LuaState) => void>()
  #run: Run | undefined

  constructor() {
    const { lua, lauxlib, lualib } = this.#fengari
    const L = (this.#state = lauxlib.luaL_newstate())
    lualib.luaL_openlibs(L)
    this.#load(buildEnvironment, '=environment')
    const functions = this.#functions()
    for (const each of functions) lua.lua_pushcfunction(L, this.#guarded(each))
    this.#call(functions.length, 1)
    this.#environment = lua.lua_toproxy(L, -1)
    lua.lua_pop(L, 1)
  }

  /**
   * Makes a text ready to run, as Kong does: where its first run gives a function, that is what runs from then on.
   *
   * Source: Kong 3.9.3 `kong/plugins/pre-function/_handler.lua` (compile_phase_array).
   *
   * @throws Error when it is no Lua
   */
  compile(text: string): Snippet {
    const { lua } = this.#fengari
    const L = this.#state
    this.#load(text, '=pre-function')
    this.#environment(L)
    lua.lua_setupvalue(L, -2, 1)
    let push = lua.lua_toproxy(L, -1)
    lua.lua_pop(L, 1)
    let isFirst = true
    return (run) => {
      this.#run = run
      try {
        push(L)
        this.#call(0, isFirst ? 1 : 0)
        if (!isFirst) return
        isFirst = false
        if (lua.lua_type(L, -1) === lua.LUA_TFUNCTION) {
          push = lua.lua_toproxy(L, -1)
          this.#call(0, 0)
        }
      } finally {
        lua.lua_settop(L, 0)
        this.#run = undefined
      }
    }
  }

  #load(text: string, name: string): void {
    const { lua, lauxlib, to_luastring: bytesOf } = this.#fengari
    const code = Uint8Array.from(Buffer.from(text))
    if (lauxlib.luaL_loadbuffer(this.#state, code, code.length, bytesOf(name)) !== lua.LUA_OK) throw this.#error()
  }

  #call(takes: number, gives: number): void {
    const { lua } = this.#fengari
    if (lua.lua_pcall(this.#state, takes, gives, 0) !== lua.LUA_OK) throw this.#error()
  }

  #error(): Error {
    const message = this.#fengari.lauxlib.luaL_tolstring(this.#state, -1)
    this.#fengari.lua.lua_settop(this.#state, 0)
    return new Error(Buffer.from(message).toString('utf8'))
  }

  /** An Error thrown in here becomes one of Lua's, which its `pcall` catches. */
  #guarded(work: (L: LuaState) => number): (L: LuaState) => number {
    const { lauxlib, to_luastring: bytesOf } = this.#fengari
    return (L) => {
      let message: string
      try {
        return work(L)
      } catch (error) {
        message = error instanceof Error ? error.message : String(error)
      }
      return lauxlib.luaL_error(L, bytesOf('%s'), bytesOf(message))
    }
  }

  get #current(): Run {
    if (!this.#run) throw new Error('there is no request')
    return this.#run
  }

  /** In the order `buildEnvironment` takes them. */
  #functions(): ((L: LuaState) => number)[] {
    const { lua } = this.#fengari
    const push = (L: LuaState, value: unknown): number => {
      pushPlain(this.#fengari, L, value)
      return 1
    }
    const read = (L: LuaState, index: number): unknown => fromLua(this.#fengari, L, index)
    return [
      (L) => push(L, { 1: this.#current.chunk, 2: this.#current.isLast }[read(L, 1) as number]),
      (L) => this.#pushHeader(L, this.#current.state.sentLines, String(read(L, 1))),
      (L) => push(L, Buffer.from(lua.lua_tostring(L, 1) ?? []).toString('base64')),
      (L) => this.#pushTable(L, this.#current.state),
      (L) => push(L, this.#current.state.shared.get(String(read(L, 1)))),
      (L) => {
        const value = read(L, 2)
        if (typeof value === 'object') throw new Error('the embedded gateway keeps no tables in kong.ctx.shared')
        if (value === undefined) this.#current.state.shared.delete(String(read(L, 1)))
        else this.#current.state.shared.set(String(read(L, 1)), value as string)
        return 0
      },
      (L) => {
        if (lua.lua_gettop(L) > 2) throw new Error('the embedded gateway knows no options of set_serialize_value')
        this.#current.state.serializeValues.push([String(read(L, 1)), fromLua(this.#fengari, L, 2) ?? null])
        return 0
      },
    ]
  }

  /** A response header as `ngx.header` gives it: `_` is `-`; a list where there are several. */
  #pushHeader(L: LuaState, lines: HeaderLines, name: string): number {
    const { lua } = this.#fengari
    const values = lines.all(name.replaceAll('_', '-').toLowerCase()).map((value) => Buffer.from(value, 'latin1'))
    if (values.length < 2) {
      pushPlain(this.#fengari, L, values[0])
      return 1
    }
    lua.lua_createtable(L, values.length, 0)
    for (const [at, value] of values.entries()) {
      pushPlain(this.#fengari, L, value)
      lua.lua_rawseti(L, -2, at + 1)
    }
    return 1
  }

  #pushTable(L: LuaState, state: RequestState): number {
    const { lua } = this.#fengari
    const known = this.#tables.get(state)
    if (known) {
      known(L)
      return 1
    }
    lua.lua_createtable(L, 0, 0)
    this.#tables.set(state, lua.lua_toproxy(L, -1))
    return 1
  }
}
