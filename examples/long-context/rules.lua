alias {
  long = "openrouter,google/gemini-3.1-pro-preview",
  main = "anthropic,claude-sonnet-5-5",
}

-- A prompt this long is cheaper on a model made for it. Images stay where they are understood best.
rule "long-context" {
  when = { tokens = { gt = 100000 }, images = 0 },
  to = "long",
  reason = "a prompt of {tokens} tokens",
}

-- Whatever was chosen, an overloaded provider is not the end of it.
rule "safety-net" { fallback = { "main", "long" } }
