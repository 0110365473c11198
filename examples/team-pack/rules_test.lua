base { model = "claude-sonnet-5-5", tokens = 5000, tool_count = 4 }

case "the team's rules hold here" {
  given = { agent = "code-reviewer" },
  expect = { to = "anthropic,claude-opus-5-5", by = "reviews", tag = { team = "web" } },
}
case "mine go first, and the team's net stays" {
  given = { project = "/home/me/notes", agent = "code-reviewer" },
  expect = {
    to = "openrouter,qwen/qwen3-coder",
    by = "notes",
    shadowed = { "reviews" },
    fallback = { "openrouter,anthropic/claude-sonnet-5.5" },
  },
}
case "what I switched off does nothing" {
  given = { tokens = 100, tool_count = 0 },
  expect = { to = "anthropic,claude-sonnet-5-5", by = "default" },
}
