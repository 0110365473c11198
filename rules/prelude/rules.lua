-- The words of rule files. The engine runs this file with its three functions, and every word in the table it returns
-- becomes a built-in that rule files cannot replace.
--   declare(kind, name, body, line)   hands a declaration to the engine, which reads the body at once; without a body
--                                     it announces one that must follow
--   mark(word, body)                  makes a value that the engine knows by its word
--   line()                            the line of the rule file that is running
local declare, mark, line = ...

-- rule "name" { ... }: the name comes first, the body in a second call.
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
  -- rule "night" { when = { ... }, to = "cheap" }
  rule = named("rule"),
  -- override "default#background" { off = true }
  override = named("override"),
  -- alias { cheap = "ollama,qwen3-coder:30b" }
  alias = function(body)
    declare("alias", nil, body, line())
  end,

  -- Conditions: one of them holds; none of them holds.
  any = function(body)
    return mark("any", body)
  end,
  none = function(body)
    return mark("none", body)
  end,

  -- Effects: take a field or header away; the target the request's model names ("provider,model"); the provider that lists
  -- the request's model; an entry of a table by a fact (no entry: the rule does not match).
  remove = mark("remove"),
  requested = mark("requested"),
  serving = mark("serving"),
  pick = function(fact, entries)
    return mark("pick", { fact = fact, entries = entries })
  end,
}
