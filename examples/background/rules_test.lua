base { model = "claude-sonnet-5-5", tokens = 700, tool_count = 0, turns = 1, agent = "main" }

case "a short question without tools is background work" {
  expect = { to = "local,qwen3-coder", by = "small-talk", reason = "background work of 700 tokens" },
}
case "800 tokens are no longer short" {
  given = { tokens = 800 },
  expect = { to = "anthropic,claude-sonnet-5-5", by = "default" },
}
case "799 are" { given = { tokens = 799, turns = 2 }, expect = { by = "small-talk" } }
case "work with tools stays" { given = { tool_count = 1 }, expect = { by = "default" } }
case "a conversation stays" { given = { turns = 3 }, expect = { by = "default" } }
case "a haiku model is background work of any size" {
  given = { model = "claude-haiku-4-5", tokens = 5000, tool_count = 12 },
  expect = { to = "local,qwen3-coder", by = "background" },
}
case "a client that says so is believed" {
  given = { tokens = 5000, request_class = "background" },
  expect = { by = "background-class" },
}
