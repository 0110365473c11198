base { model = "claude-sonnet-5-5", project = "/home/me/open/web", agent = "main" }

case "other projects are none of its business" {
  expect = { to = "anthropic,claude-sonnet-5-5", by = "default", deny = false },
}

case "a private project goes to the local model" {
  given = { project = "/home/me/private/diary" },
  expect = { to = "private", by = "project", deny = false },
}

case "also when the client names another target, long prompts and thinking included" {
  given = { project = "/srv/secret/plans", model = "anthropic,claude-opus-5-5", tokens = 150000, thinking = true },
  expect = { to = "private", by = "project", deny = false },
}

case "a folder that only looks alike is not private" {
  given = { project = "/home/me/privateer/ship" },
  expect = { to = "anthropic,claude-sonnet-5-5", by = "default", deny = false },
}
