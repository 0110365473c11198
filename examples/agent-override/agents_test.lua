base { model = "claude-sonnet-5-5", tokens = 1500, agent = "main" }

case "the main loop is not touched" {
  expect = { to = "anthropic,claude-sonnet-5-5", by = "default" },
}
case "a subagent named in the configuration goes to the local model" {
  given = { agent = "rust-specialist" },
  expect = { to = "local,qwen3-coder", by = "agent", reason = "agent override" },
}
case "reviews get the best model" {
  given = { agent = "code-reviewer" },
  expect = { to = "anthropic,claude-opus-5-5", by = "reviewer", set = { effort = "high" }, tag = { why = "review" } },
}
case "a pattern covers a family of agents" {
  given = { agent = "security-audit" },
  expect = { by = "reviewer" },
}
case "a reviewer that asks for a small model gets the background model" {
  given = { agent = "code-reviewer", model = "claude-haiku-5" },
  expect = { to = "local,qwen3-coder", by = "background" },
}
