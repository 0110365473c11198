-- Titles, summaries and the like are asked without tools and with few tokens, whatever model the client names. The route
-- `background` of ccrules.json already takes models called haiku and requests that say they are background work.
rule "small-talk" {
  when = { tokens = { lt = 800 }, tool_count = 0, turns = { lte = 2 } },
  to = "local,qwen3-coder",
  reason = "background work of {tokens} tokens",
}
