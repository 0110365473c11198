-- The words of rule test files; see rules.lua for the three functions.
local declare, mark, line = ...

-- case "name" { ... }: the name comes first, the body in a second call.
local function named(kind)
  return function(name)
    local at = line()
    declare(kind, name, nil, at)
    return function(body)
      declare(kind, name, body, at)
    end
  end
end

return {
  -- base { model = "claude-sonnet-5-5", tokens = 1200 }: facts of every test below it
  base = function(body)
    declare("base", nil, body, line())
  end,
  -- case "60 001 tokens go long" { given = { tokens = 60001 }, expect = { by = "long-context" } }
  case = named("case"),
  -- sweep "share" { over = { "session", 20000, "s-%d" }, given = { bucket = "hash" }, expect = { share = { cheap = { 9, 11 } } } }
  sweep = named("sweep"),
  -- flow "529, then the net" { { expect = { ... } }, { on = "error", given = { status = 529 }, expect = { ... } } }
  flow = named("flow"),
  -- expect = { set = { temperature = remove } }
  remove = mark("remove"),
}
