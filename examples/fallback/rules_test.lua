base { model = "claude-sonnet-5-5", tokens = 2000 }

flow "overloaded twice, then the net, then the next of it" {
  { expect = { to = "anthropic,claude-sonnet-5-5", fallback = { "spare", "other" } } },
  { on = "error", given = { status = 529 }, expect = { retry = true, by = "overloaded" } },
  { on = "error", given = { status = 529 }, expect = { to = "spare", by = "net" } },
  { on = "error", given = { status = 500 }, expect = { to = "other", by = "net" } },
  { on = "error", given = { status = 500 }, expect = { to = false } },
}
flow "a rate limit is waited for once too" {
  { expect = { by = "default" } },
  { on = "error", given = { status = 429 }, expect = { retry = true, by = "overloaded" } },
}
flow "too long for it goes to a model that holds more" {
  { expect = { by = "default" } },
  {
    on = "error",
    given = { status = 400, error = "context_exceeded" },
    expect = { by = "too-long", to = "openrouter,google/gemini-3.1-pro-preview" },
  },
}
flow "a bad request is the client's to mend" {
  { expect = { by = "default" } },
  { on = "error", given = { status = 400 }, expect = { to = false, retry = false } },
}
