base { model = "claude-sonnet-5-5", tokens = 5000, tool_count = 4 }

case "everyday work stays where it is, with a net" {
  expect = { by = "default", fallback = { "spare" }, tag = { team = "core" }, set = { ["thinking.budget_tokens"] = false } },
}
case "a reviewer goes deep" { given = { agent = "security-audit" }, expect = { to = "deep", by = "reviews" } }
case "small talk is cheap" { given = { tokens = 999, tool_count = 0 }, expect = { to = "cheap", by = "small" } }
case "a thousand tokens are not small" { given = { tokens = 1000, tool_count = 0 }, expect = { by = "default" } }
case "a small request with tools is work" { given = { tokens = 999 }, expect = { by = "default" } }
case "thinking has a limit" {
  given = { thinking = true },
  expect = { set = { ["thinking.budget_tokens"] = { max = 16000 } } },
}
flow "an overload is waited out once" {
  { expect = { by = "default" } },
  { on = "error", given = { status = 529 }, expect = { by = "overloaded", retry = { after = "retry-after", at_most = "20s" } } },
  { on = "error", given = { status = 529 }, expect = { to = "spare" } },
}
case "a mistake of the client's is left alone" {
  on = "error",
  given = { status = 400, attempt = 1 },
  expect = { by = false, retry = false },
}
