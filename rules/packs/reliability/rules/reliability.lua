rule "backup" { fallback = { "backup" } }

-- Overloaded: what the provider asks for, a few times.
rule "wait" {
  on = "error",
  when = { status = { 429, 503, 529 }, attempt = { lt = settings.patience } },
  retry = { after = "retry-after", at_most = settings.longest_wait },
}

-- The same prompt will not fit a second time.
rule "too-long" { on = "error", when = { error = "context_exceeded" }, to = "large" }

-- A key that is not accepted, a provider that is down: another one may do.
rule "move-on" {
  on = "error",
  when = { error = { "auth", "upstream_failed", "timeout", "overloaded", "connection_lost", "connect_failed" } },
  next_fallback = true,
}

-- Before the first word has gone to the client.
rule "refused" { on = "response", when = { stop_reason = "refusal" }, next_fallback = true }
