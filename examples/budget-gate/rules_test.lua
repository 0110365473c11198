base { model = "claude-sonnet-5-5", tokens = 2000, agent = "main", project = "/srv/web", spend_today = 0, spend = 0 }

case "a fresh day has no limits" { expect = { to = "anthropic,claude-sonnet-5-5", by = "default", deny = false } }
case "at $25 external providers are over" {
  given = { spend_today = 25 },
  expect = { deny = { status = 429, message = "$25 used today: local models still answer" }, by = "stop" },
}
case "a cent before that they are not" { given = { spend_today = 24.99 }, expect = { by = "default", deny = false } }
case "from $20 on subagents work for nothing" {
  given = { spend_today = 20, agent = "reviewer" },
  expect = { to = "cheap", by = "save", reason = "saving: $20 spent today", deny = false },
}
case "a cent before that they do not" { given = { spend_today = 19.99, agent = "reviewer" }, expect = { by = "default" } }
case "the main loop keeps its model" { given = { spend_today = 20 }, expect = { by = "default" } }
case "and at $25 subagents still work" { given = { spend_today = 25, agent = "reviewer" }, expect = { by = "save", deny = false } }
case "a project that used $10 goes local" { given = { spend = 10 }, expect = { to = "cheap", by = "fair-share" } }
case "one that used less does not" { given = { spend = 9.5 }, expect = { by = "default" } }
