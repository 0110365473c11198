-- The words of rule test files; see rules.lua for the three functions.
local declare, mark, line = ...

return {
  -- base { model = "claude-sonnet-5-5", tokens = 1200 }: facts of every case below it
  base = function(body)
    declare("base", nil, body, line())
  end,
  -- case "60 001 tokens go long" { given = { tokens = 60001 }, expect = { by = "long-context" } }
  case = function(name)
    local at = line()
    declare("case", name, nil, at)
    return function(body)
      declare("case", name, body, at)
    end
  end,
  -- expect = { set = { temperature = remove } }
  remove = mark("remove"),
}
