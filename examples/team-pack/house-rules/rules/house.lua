-- Whoever installs the pack says what deep, cheap and spare mean.
rule "reviews" { when = { agent = { "code-reviewer", "security-*" } }, to = "deep", reason = "reviews go deep" }
rule "small" { when = { tokens = { lt = 1000 }, tool_count = 0 }, to = "cheap", reason = "a small request" }
rule "thinking" { when = { thinking = true }, set = { ["thinking.budget_tokens"] = { max = settings.thinking_tokens } } }
rule "team" { tag = { team = settings.team } }
rule "net" { fallback = "spare" }
rule "overloaded" {
  on = "error",
  when = { status = { 429, 529 }, attempt = { lt = 2 } },
  retry = { after = "retry-after", at_most = "20s" },
}
