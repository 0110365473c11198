base { model = "claude-sonnet-5-5" }

case "every request has a backup" {
  expect = { to = "anthropic,claude-sonnet-5-5", fallback = { "backup" } },
}

case "a first 529 is waited out" {
  on = "error",
  given = { status = 529, error = "overloaded", attempt = 1 },
  expect = { by = "wait", retry = { after = "retry-after", at_most = "20s" } },
}
case "after that the next target is tried" {
  on = "error",
  given = { status = 529, error = "overloaded", attempt = 2 },
  expect = { by = "move-on", next_fallback = true },
}

case "a prompt that does not fit goes to the large model" {
  on = "error",
  given = { status = 400, error = "context_exceeded", attempt = 1 },
  expect = { by = "too-long", to = "large" },
}

case "a refused key is no reason to give up" {
  on = "error",
  given = { status = 401, error = "auth", attempt = 1 },
  expect = { by = "move-on", next_fallback = true },
}

case "a mistake of the client's is left alone" {
  on = "error",
  given = { status = 400, error = "refused", attempt = 1 },
  expect = { by = false },
}
