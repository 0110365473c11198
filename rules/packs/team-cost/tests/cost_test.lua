base { model = "claude-sonnet-5-5", tokens = 9000, tool_count = 12, agent = "main", spend_today = 0 }

case "everyday work takes the standard model, with a net and the team's tag" {
  expect = { to = "standard", by = "everyday", fallback = { "cheap" }, tag = { team = "core" } },
}

case "background work is cheap whatever it asked for" {
  given = { request_class = "background", model = "claude-opus-5-5" },
  expect = { to = "cheap", by = "background" },
}
case "a haiku model means background work" {
  given = { model = "claude-haiku-4-5" },
  expect = { to = "cheap", by = "background" },
}

case "an agent worth the deep model keeps it, also when its request is small" {
  given = { agent = "security-audit", tokens = 100, tool_count = 0 },
  expect = { to = "deep", by = "deep-agents" },
}

case "499 tokens without tools are small talk" {
  given = { tokens = 499, tool_count = 0 },
  expect = { to = "cheap", by = "small-talk" },
}
case "500 are not" {
  given = { tokens = 500, tool_count = 0 },
  expect = { to = "standard", by = "everyday" },
}
case "with tools a short prompt is work" {
  given = { tokens = 499, tool_count = 1 },
  expect = { to = "standard", by = "everyday" },
}

case "one cent below the soft limit nothing changes" {
  given = { spend_today = 19.99 },
  expect = { to = "standard", by = "everyday" },
}
case "at the soft limit everyday work becomes cheap and is marked" {
  given = { spend_today = 20 },
  expect = { to = "cheap", by = "soft-limit", tag = { soft_limit = "reached", team = "core" } },
}
case "deep agents are not slowed down by it" {
  given = { spend_today = 20, agent = "architect" },
  expect = { to = "deep", by = "deep-agents" },
}

case "thinking goes deep, its budget is capped" {
  given = { thinking = true, thinking_budget = 32000 },
  expect = { to = "deep", by = "thinking", set = { ["thinking.budget_tokens"] = { max = 16000 } } },
}
