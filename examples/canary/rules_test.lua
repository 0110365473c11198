base { model = "claude-sonnet-5-5", tokens = 2000, agent = "main", bucket = 50 }

case "bucket 9.9 is in" {
  given = { bucket = 9.9 },
  expect = { to = "openai,gpt-6.1-sol", by = "canary", tag = { experiment = "gpt" }, shadowed = { "control" } },
}
case "bucket 10 is out" {
  given = { bucket = 10 },
  expect = { to = "anthropic,claude-sonnet-5-5", tag = { experiment = "control" } },
}
case "bucket 10 and a half too" { given = { bucket = 10.5 }, expect = { by = "default" } }
case "subagents are not part of it" {
  given = { bucket = 0, agent = "reviewer" },
  expect = { by = "default", tag = { experiment = false } },
}

-- The real hash: over many sessions it is a tenth, give or take.
sweep "a tenth of the sessions" {
  over = { "session", 20000, "s-%d" },
  given = { bucket = "hash" },
  expect = { share = { ["openai,gpt-6.1-sol"] = { 9, 11 } }, rules = { canary = { 9, 11 }, default = { 89, 91 } } },
}
