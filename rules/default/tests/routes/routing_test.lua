base { model = "claude-sonnet-5-5", tokens = 1200, agent = "main", request_class = "main", thinking = false }

case "1: a model with a comma names its own target" {
  given = { model = "openai,gpt-4.1", tokens = 72000, agent = "rust-specialist" },
  expect = { to = "openai,gpt-4.1", by = "explicit", reason = "explicit model selection" },
}
case "only the first comma counts" {
  given = { model = "local,a,b" },
  expect = { to = "local,a,b", by = "explicit" },
}
case "2: a route of the model's name" {
  given = { model = "gpt-4.1", tokens = 72000, agent = "rust-specialist" },
  expect = { to = "openai,gpt-6-luna", by = "direct-route", reason = "direct model route" },
}
case "3: the agent of the configuration" {
  given = { model = "claude-haiku-4-5", tokens = 72000, agent = "rust-specialist" },
  expect = { to = "local,qwen3-coder", by = "agent", reason = "agent override" },
}
case "4: one token more than the threshold" {
  given = { model = "claude-haiku-4-5", tokens = 60001 },
  expect = { to = "openai,gpt-6.1-sol", by = "long-context", reason = "token count (60001) exceeds threshold" },
}
case "exactly the threshold is not more" { given = { tokens = 60000 }, expect = { by = "default" } }
case "5: a haiku model" {
  given = { model = "Claude-3-5-HAIKU-latest", request_class = "background", thinking = true },
  expect = { to = "local,qwen3-coder", by = "background", reason = "haiku model routed to background" },
}
case "5: a request that says it is background work" {
  given = { request_class = "background", thinking = true },
  expect = { to = "local,qwen3-coder", by = "background-class", reason = "background request" },
}
case "or an auxiliary one" {
  given = { request_class = "auxiliary", thinking = true },
  expect = { to = "local,qwen3-coder", by = "background-class" },
}
case "6: thinking, with the route's own limit where the request has none" {
  given = { thinking = true },
  expect = {
    to = "anthropic,claude-opus-5-5",
    by = "think",
    reason = "thinking parameter enabled",
    set = { max_tokens = { default = 64000 } },
  },
}
case "8: everything else" {
  expect = { to = "anthropic,claude-sonnet-5-5", by = "default", reason = "default model", fallback = 0 },
}
case "fallbacks of the chosen model" {
  given = { thinking = true, model = "asked-for" },
  expect = { by = "think", fallback = { "anthropic,claude-sonnet-5-5", "openai,gpt-6.1-sol" } },
}
case "else of the one that was asked for" {
  given = { model = "asked-for" },
  expect = { by = "default", fallback = { "local,qwen3-coder" } },
}
