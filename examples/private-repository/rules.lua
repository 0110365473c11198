alias { home = "local,qwen3-coder" }

-- Work below these folders never leaves the house.
local private = { "/srv/secret", "/srv/secret/*", "*/customer-data/*" }

rule "at-home" {
  when = { project = private },
  to = "home",
  headers = { ["x-private"] = "yes" },
}

-- A client that names another provider itself is told so.
rule "no-way-out" {
  when = { project = private, model = "*,*", function(req) return not req.model:find("^local,") end },
  deny = { status = 403, message = "only local models for this repository" },
}

-- At home there is no second choice: better an error than a leak.
rule "no-net" {
  when = { project = private },
  fallback = { "home" },
}
