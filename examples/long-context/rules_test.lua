base { model = "claude-opus-5-5", tokens = 2000, images = 0 }

case "a short prompt goes to the default model" {
  expect = { to = "anthropic,claude-sonnet-5-5", by = "default", fallback = { "long" } },
}
case "exactly 100 000 tokens are not long" {
  given = { tokens = 100000 },
  expect = { to = "anthropic,claude-sonnet-5-5" },
}
case "one token more is" {
  given = { tokens = 100001 },
  expect = { to = "openrouter,google/gemini-3.1-pro-preview", by = "long-context", reason = "a prompt of 100001 tokens" },
}
case "images stay with the model that sees them best" {
  given = { tokens = 150000, images = 2 },
  expect = { to = "anthropic,claude-sonnet-5-5" },
}
case "whatever was chosen by name has both of them behind it, in order" {
  given = { model = "anthropic,claude-opus-5-5" },
  expect = { by = "explicit", fallback = { "main", "long" } },
}
