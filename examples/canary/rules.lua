-- A tenth of the sessions tries the other model. A session stays where it began, because its bucket never changes.
rule "canary" {
  when = { bucket = { name = "gpt", by = "session", lt = 10 }, agent = "main" },
  to = "openai,gpt-6.1-sol",
  tag = { experiment = "gpt" },
}

-- What both groups share comes below: the first claim on `to` has won already.
rule "control" { when = { agent = "main" }, tag = { experiment = "control" } }
