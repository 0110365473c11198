alias { spare = "openrouter,anthropic/claude-sonnet-5.5", other = "openai,gpt-6.1-sol" }

-- Tried in this order when the chosen target fails before its first word.
rule "net" { fallback = { "spare", "other" } }

-- Overloaded: once more at the same place, when it says how long to wait; then the net.
rule "overloaded" {
  on = "error",
  when = { status = { 429, 529 }, attempt = { lt = 2 } },
  retry = { after = "retry-after", at_most = "20s" },
}

-- Too long for it: only a model that holds more helps.
rule "too-long" {
  on = "error",
  when = { error = "context_exceeded" },
  to = "openrouter,google/gemini-3.1-pro-preview",
}
