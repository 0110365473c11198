base { model = "gpt-6", tokens = 1200, agent = "main" }

case "1: a model with a comma names its own target" {
  given = { model = "openai,gpt-opus" },
  expect = { to = "openai,gpt-opus", by = "explicit" },
}
case "2: a route of the model's name" { given = { model = "gpt-4.1" }, expect = { to = "openai,gpt-6-luna", by = "direct-route" } }
case "3: the agent of the configuration" {
  given = { model = "claude-opus-5-5", agent = "rust-specialist" },
  expect = { to = "openai,gpt-6-luna", by = "agent" },
}
case "7: opus is big" {
  given = { model = "claude-opus-5-5" },
  expect = { to = "openai,gpt-6.1-sol", by = "tier-big", reason = "tier big", fallback = { "openai,gpt-5.4-mini" } },
}
case "7: sonnet is big" { given = { model = "claude-sonnet-5-5" }, expect = { to = "openai,gpt-6.1-sol", by = "tier-big" } }
case "7: haiku is small" {
  given = { model = "claude-haiku-4-5" },
  expect = { to = "openai,gpt-5.4-mini", by = "tier-small", reason = "tier small", fallback = { "openai,gpt-6-luna" } },
}
case "9: the provider that lists the model" {
  expect = { to = "openai,gpt-6", by = "serving", reason = "provider lists the model", fallback = 0 },
}
