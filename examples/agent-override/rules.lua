-- The same with conditions: reviews get the best model, but not when the client asked for a small one.
rule "reviewer" {
  when = { agent = { "code-reviewer", "security-*" }, model = none { "*haiku*" } },
  to = "anthropic,claude-opus-5-5",
  set = { effort = "high" },
  tag = { why = "review" },
}
