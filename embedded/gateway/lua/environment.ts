/** What Lua of `pre-function` finds around it: Kong's sandbox as far as the response tap needs it, and by name no more. */

/**
 * Of `ngx` and `kong`, what there is here. Kong has more; each further name is a promise to behave as it does there.
 */
export const offered = [
  'ngx.arg',
  'ngx.header',
  'ngx.encode_base64',
  'kong.ctx.plugin',
  'kong.ctx.shared',
  'kong.log.set_serialize_value',
]

/**
 * The names in a Lua text that are not offered, in order: found before anything runs, because a tap that catches its own
 * errors would hide them.
 */
export function unknownNames(text: string): string[] {
  const code = text.replaceAll(/--\[(=*)\[[\s\S]*?\]\1\]|--[^\n]*/g, '')
  const names = [...code.matchAll(/(?<![\w.:"'])(?:ngx|kong)(?:\s*\.\s*\w+)+/g)].map(([name]) =>
    name.replaceAll(/\s/g, ''),
  )
  const isKnown = (name: string): boolean =>
    offered.some((each) => name === each || name.startsWith(`${each}.`) || each.startsWith(`${name}.`))
  return [...new Set(names.filter((name) => !isKnown(name)))]
}

/**
 * Builds the environment; takes the functions that lead out of Lua, gives the table.
 *
 * The functions of Lua itself are those of Kong's sandbox that Lua 5.3 has, too, without `os`.
 * Source: Kong 3.9.3 `kong/tools/kong-lua-sandbox.lua`, `kong/plugins/pre-function/_handler.lua`.
 */
export const buildEnvironment = `
local arg, header, base64, plugin, shared_get, shared_set, serialize = ...

local function refused(name)
  error("the embedded gateway has no \`" .. name .. "\` for Lua: remove it, or run this file on a real Kong", 3)
end

local function closed(name, members)
  return setmetatable({}, {
    __index = function(_, key)
      local value = members[key]
      if value == nil then refused(name .. tostring(key)) end
      return value
    end,
    __newindex = function(_, key) refused(name .. tostring(key) .. " = …") end,
  })
end

local function through(name, get, set)
  return setmetatable({}, {
    __index = function(_, key) return get(key) end,
    __newindex = function(_, key, value)
      if not set then refused(name .. tostring(key) .. " = …") end
      set(key, value)
    end,
  })
end

local function some(library, names)
  local members = {}
  for name in names:gmatch("%S+") do members[name] = library[name] end
  return members
end

local base = some(_G, "_VERSION assert error ipairs next pairs pcall select tonumber tostring type xpcall")
base.unpack = table.unpack
base.string = closed("string.", some(string, "byte char find format gmatch gsub len lower match rep reverse sub upper"))
base.table = closed("table.", some(table, "concat insert remove sort"))
base.math = closed("math.", some(math, "abs acos asin ceil cos deg exp floor fmod huge log max min modf pi rad sin sqrt tan"))
base.ngx = closed("ngx.", {
  arg = through("ngx.arg.", arg),
  header = through("ngx.header.", header),
  encode_base64 = base64,
})
base.kong = closed("kong.", {
  ctx = setmetatable({}, {
    __index = function(_, key)
      if key == "plugin" then return plugin() end
      if key == "shared" then return through("kong.ctx.shared.", shared_get, shared_set) end
      refused("kong.ctx." .. tostring(key))
    end,
    __newindex = function(_, key) refused("kong.ctx." .. tostring(key) .. " = …") end,
  }),
  log = closed("kong.log.", { set_serialize_value = serialize }),
})
return setmetatable({}, {
  __index = function(_, key)
    local value = base[key]
    if value == nil then refused(tostring(key)) end
    return value
  end,
})
`
